//! What is moved: every table that holds truth, with the columns that both stores have of it.
//!
//! Not moved, because they say nothing once nobody serves: PostgreSQL's `leases` and the rows of `meta` that nodes write to show
//! that they are ready or to wait for each other, the positions of sweeps (which begin anew), `grants.tags` and
//! `grants.session_until` (the first use of each grant writes them); the embedded store's `journal`, `words` and `other_grants`
//! (made of the grants), its `authentications` (part of a grant's row), and its count of changes of roles.

use std::fmt::Write;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `uuid`, and 16 bytes.
    Id,
    /// `integer`, and 4 bytes.
    Shard,
    /// Bytes.
    Bytes,
    /// Text that PostgreSQL keeps as bytes, because a client said it and it may hold zeros.
    Said,
    /// Text.
    Text,
    /// `bigint`.
    Number,
    /// `smallint`.
    Small,
    /// `boolean`, and 0 or 1.
    Flag,
}

/// Where the embedded store has a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Embedded {
    /// Under the same name.
    Same,
    /// Under another name.
    Called(&'static str),
    /// Nowhere: an expression tells it.
    Computed(&'static str),
    /// Nowhere, and the expression may tell another than was there: it does not count when the stores are compared.
    Guessed(&'static str),
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) embedded: Embedded,
}

impl Column {
    /// As the embedded store selects it.
    pub(crate) const fn expression(&self) -> &'static str {
        match self.embedded {
            Embedded::Same => self.name,
            Embedded::Called(name) | Embedded::Computed(name) | Embedded::Guessed(name) => name,
        }
    }

    /// The embedded store's own column.
    pub(crate) const fn stored(&self) -> Option<&'static str> {
        match self.embedded {
            Embedded::Same => Some(self.name),
            Embedded::Called(name) => Some(name),
            Embedded::Computed(_) | Embedded::Guessed(_) => None,
        }
    }

    pub(crate) fn counts(&self) -> bool {
        !matches!(self.embedded, Embedded::Guessed(_))
    }
}

/// A table that is moved.
#[derive(Debug)]
pub struct Table {
    /// What it is called in both stores.
    pub name: &'static str,
    pub(crate) columns: &'static [Column],
    /// In which order each store has it, by an index: that is how it is walked through.
    pub(crate) embedded_order: &'static [(&'static str, Kind)],
    pub(crate) postgres_order: &'static [(&'static str, Kind)],
    /// Which of its rows, if not all.
    pub(crate) only: Option<&'static str>,
    /// PostgreSQL's columns that are made anew, each with its value.
    pub(crate) anew: &'static [(&'static str, &'static str)],
}

impl Table {
    /// The condition and order of a walk: what comes after the parameters from `first` on, as `$1` or `?1`.
    pub(crate) fn walk(&self, order: &[(&str, Kind)], sign: char, after: bool) -> String {
        let names = order.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let mut conditions: Vec<String> = self.only.map(str::to_owned).into_iter().collect();
        if after {
            let parameters = (2..).take(order.len()).map(|index| format!("{sign}{index}")).collect::<Vec<_>>();
            conditions.push(format!("({names}) > ({})", parameters.join(", ")));
        }
        let mut sql = String::new();
        if !conditions.is_empty() {
            let _ = write!(sql, " WHERE {}", conditions.join(" AND "));
        }
        let _ = write!(sql, " ORDER BY {names} LIMIT {sign}1");
        sql
    }
}

/// The shard of a user who is there.
const OF_USER: &str = "coalesce((SELECT u.shard FROM users u WHERE u.id = user_id), substr(user_id, 1, 4))";
/// That of a session that is there.
const OF_SESSION: &str = "coalesce((SELECT s.shard FROM sessions s WHERE s.id = session_id), substr(session_id, 1, 4))";
/// Where what is told is of somebody, if they are still there. Otherwise anywhere, as with events of nobody.
const OF_EVENT: &str = "coalesce((SELECT u.shard FROM users u WHERE u.id = user_id), \
     (SELECT s.shard FROM sessions s WHERE s.id = session_id), substr(events.id, 13, 4))";
const OF_LOGOUT: &str = "coalesce((SELECT s.shard FROM sessions s WHERE s.id = session_id), \
     (SELECT u.shard FROM users u WHERE u.id = user_id), substr(session_id, 13, 4))";
const FIRST_SHOWN: &str = "(SELECT i.shown FROM identifiers i WHERE i.user_id = users.id ORDER BY i.position LIMIT 1)";
const IS_TOLD: &str = "json_extract(metadata, '$.backchannel_logout_uri') IS NOT NULL";
/// A UUIDv7 (RFC 9562 §5.7) of a mail's time and number: the same each time it is asked.
const OF_MAIL: &str = "unhex(printf('%012x7%03x8%015x', max(at, 0), 0, id))";

macro_rules! columns {
    ($($column:ident: $kind:ident $(= $embedded:ident($expression:expr))?),+ $(,)?) => {
        &[$(Column {
            name: stringify!($column),
            kind: Kind::$kind,
            embedded: columns!(@embedded $($embedded($expression))?),
        }),+]
    };
    (@embedded) => { Embedded::Same };
    (@embedded $embedded:ident($expression:expr)) => { Embedded::$embedded($expression) };
}

macro_rules! table {
    ($name:literal by $order:expr; $($column:tt)+) => {
        table!($name by $order, $order; $($column)+)
    };
    ($name:literal by $embedded:expr, $postgres:expr; $($column:tt)+) => {
        Table {
            name: $name,
            columns: columns! { $($column)+ },
            embedded_order: &$embedded,
            postgres_order: &$postgres,
            only: None,
            anew: &[],
        }
    };
}

/// All of them, in the order in which they go: what others are looked up in goes first.
pub(crate) static TABLES: [Table; 22] = [
    Table {
        // Who the store is, and how far the clock of its sweeps is believed.
        only: Some("name IN ('issuer', 'resources.ever', 'sweep.clock')"),
        ..table!("meta" by [("name", Kind::Text)]; name: Text, value: Text)
    },
    table!("refresh_keys" by [("id", Kind::Small)]; id: Small, check_value: Bytes, retired_at: Number, retired_why: Text),
    table!("signing_keys" by [("kid", Kind::Text)];
        kid: Text, algorithm: Text, state: Text, since: Number, longest_token: Number, created_at: Number, sealed: Bytes),
    table!("clients" by [("id", Kind::Text)];
        id: Text, managed_by: Text, metadata: Text, is_told: Flag = Computed(IS_TOLD), created_at: Number),
    table!("client_secrets" by [("client_id", Kind::Text), ("id", Kind::Number)];
        client_id: Text, id: Number, hash: Bytes, created_at: Number, expires_at: Number, last_used_at: Number),
    table!("resources" by [("id", Kind::Text)]; id: Text, managed_by: Text, metadata: Text, created_at: Number),
    table!("roles" by [("name", Kind::Text)]; name: Text, created_at: Number, description: Text),
    table!("users" by [("id", Kind::Id)];
        shard: Shard, id: Id, epoch: Number, disabled_at: Number, shown: Text = Computed(FIRST_SHOWN), claims: Text,
        created_at: Number),
    table!("identifiers" by [("kind", Kind::Text), ("value", Kind::Text)], [("value", Kind::Text), ("kind", Kind::Text)];
        kind: Text, value: Text, user_id: Id, user_shard: Shard = Computed(OF_USER), position: Number, shown: Text,
        verified_at: Number),
    table!("passwords" by [("user_id", Kind::Id)]; shard: Shard, user_id: Id, hash: Text, changed_at: Number),
    table!("user_roles" by [("user_id", Kind::Id), ("role", Kind::Text)]; shard: Shard, user_id: Id, role: Text),
    table!("consents" by [("user_id", Kind::Id), ("client_id", Kind::Text)];
        shard: Shard = Computed(OF_USER), user_id: Id, client_id: Text, scope: Text, given_at: Number),
    table!("sessions" by [("id", Kind::Id)];
        shard: Shard, id: Id, user_id: Id, grant_id: Id, created_at: Number, auth_time: Number, amr: Text, device: Text,
        user_agent: Text, network: Bytes, address: Bytes, prefix: Text, ended_at: Number, end_reason: Text),
    table!("sign_ins" by [("session_id", Kind::Id)];
        shard: Shard = Computed(OF_SESSION), session_id: Id, hash: Bytes, auth_time: Number, amr: Text),
    Table {
        anew: &[("tags", "''::bytea")],
        // The embedded store has them packed (grant.rs): only their names count there.
        ..table!("grants" by [("id", Kind::Id)], [("shard", Kind::Shard), ("id", Kind::Id)];
            shard: Shard, id: Id, public_id: Id, user_id: Id, session_id: Id, client_id: Text, endpoint: Text, kind: Text,
            salt: Bytes, scope: Text, audience: Text, issued_at: Number, auth_time: Number, amr: Text, roles: Text,
            epoch: Number, holding: Text, bound_key: Bytes, bound_from: Number, fence: Number, ended_at: Number,
            end_reason: Text, key_id: Small, generation: Number, newest_used: Flag, rotated_at: Number,
            last_event: Number, idle_deadline: Number, absolute_deadline: Number, user_agent: Text, network: Bytes,
            address: Bytes, prefix: Text, networks: Bytes, points: Small, worst_replay: Text, rotations_since: Number,
            rotations: Number, replays_since: Number, replays: Number, renewals: Bytes)
    },
    table!("codes" by [("hash", Kind::Bytes)];
        hash: Bytes, client_id: Text, user_id: Id, session_id: Id, epoch: Number, redirect_uri: Text, scope: Text,
        audience: Text, nonce: Said, challenge: Text, auth_time: Number, amr: Text, created_at: Number,
        expires_at: Number, grant_id: Id, bound_key: Bytes),
    table!("device_codes" by [("hash", Kind::Bytes)];
        hash: Bytes, user_code: Bytes, client_id: Text, scope: Text, audience: Text,
        poll_interval: Number = Called("interval"), polled_at: Number, created_at: Number, expires_at: Number,
        answer: Text, answered_at: Number, user_id: Id, session_id: Id, epoch: Number, auth_time: Number, amr: Text,
        grant_id: Id),
    table!("used_once" by [("hash", Kind::Bytes)]; hash: Bytes, until: Number),
    table!("events" by [("id", Kind::Id)];
        shard: Shard = Guessed(OF_EVENT), id: Id, at: Number, kind: Text, actor: Text, user_id: Id, session_id: Id,
        grant_id: Id, client_id: Text, reason: Text, network: Text, user_agent: Text, data: Text),
    // Counts of failed sign-ins: a move is no way around their limits.
    table!("failures" by [("key", Kind::Bytes)]; key: Bytes, since: Number, count: Number),
    table!("outbox" by [("id", Kind::Number)], [("id", Kind::Id)];
        shard: Shard, id: Id = Guessed(OF_MAIL), user_id: Id, kind: Text, at: Number, data: Text),
    table!("logouts" by [("session_id", Kind::Id), ("client_id", Kind::Text)];
        shard: Shard = Guessed(OF_LOGOUT), session_id: Id, client_id: Text, user_id: Id, at: Number, state: Text,
        attempts: Number, next_at: Number, last_error: Text),
];
