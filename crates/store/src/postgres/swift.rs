//! A refresh that only rotates, in one statement on one row.
//!
//! 1. The statement holds all conditions of row 15 of the decision table (`crates/engine/src/refresh.rs`), and some that are
//!    narrower: where the table would say something else, or the row does not tell enough, it changes nothing. Then the judge
//!    decides on the locked row (`refresh.rs`).
//! 2. It recognises the token by its tag, four bytes that the row keeps of each of the next tokens; the whole MAC is checked with the
//!    salt that comes back.
//! 3. Refreshes that come at once share a statement and so a commit: a few workers take what waits. Rows are updated in the
//!    order of their keys. Where an engine spreads over machines, each goes alone, and names its shard.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use regrant_engine::{
    event::Renewal,
    ports::{Tags, Verdict, Wanted},
    refresh::{Decision, Grant, Policy, Swift},
    time::{Seconds, Time},
    token::GrantId,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    fault::Fault,
    grant::{self, COLUMNS, endpoint_name},
    pool::{Db, Pool},
    refresh::attributes,
    renewals,
    row::{Columns, shard, uuid},
    spread::{self, Engine},
    stopwatch::Stopwatch,
};

/// How long the statement may go unanswered. One row that somebody keeps locked must not hold up all that share it, and ends it
/// sooner.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait for a worker.
const QUEUE: usize = 16 * 1024;

/// What the statement is given of each refresh, with its type.
pub(super) const PARAMETERS: [(&str, &str); 22] = [
    ("shard", "int"),
    ("id", "uuid"),
    ("generation", "bigint"),
    ("place", "int"),
    ("tag", "bytea"),
    ("key_id", "smallint"),
    ("endpoint", "text"),
    ("client_id", "text"),
    ("proof", "bytea"),
    ("user_agent", "text"),
    ("network", "bytea"),
    ("address", "bytea"),
    ("prefix", "text"),
    ("now", "bigint"),
    ("entry", "bytea"),
    ("pace", "bigint"),
    ("idle_browser", "bigint"),
    ("idle_native", "bigint"),
    ("idle_offline", "bigint"),
    ("life_browser", "bigint"),
    ("life_native", "bigint"),
    ("life_offline", "bigint"),
];

/// The statement, its parameters named as `value` says. Every condition is a line of the table.
fn statement(value: impl Fn(&str) -> String, from: &str, wanted: Wanted) -> String {
    let p = |name: &str| value(name);
    let by_kind = |what: &str| {
        let of = |kind: &str| p(&format!("{what}_{kind}"));
        format!(
            "CASE g.kind WHEN 'native' THEN {} WHEN 'offline' THEN {} ELSE {} END",
            of("native"),
            of("offline"),
            of("browser")
        )
    };
    // A shorter lifetime acts at the next use, a longer one never does. Without one there is nothing to compare with.
    let absolute = format!("LEAST(g.absolute_deadline, g.issued_at + {})", by_kind("life"));
    let idle = format!("LEAST({}, {absolute})", by_kind("idle"));
    let now = p("now");
    let minute = Seconds::MINUTE.millis();
    // The minute of the pace has passed, or began under a clock that was wrong.
    let fresh = format!("g.rotations = 0 OR g.rotations_since <= {now} - {minute} OR g.rotations_since > {now}");
    let mut sql = format!(
        "UPDATE grants AS g SET generation = g.generation + 1, fence = NULL, newest_used = false, rotated_at = {now}, \
         last_event = {now}, absolute_deadline = {absolute}, idle_deadline = {idle}, address = {address}, \
         points = CASE WHEN g.worst_replay IS NULL THEN 0 WHEN g.worst_replay = 'late' THEN LEAST(g.points + 1, 255) \
         WHEN g.worst_replay = 'foreign' THEN LEAST(g.points + 2, 255) ELSE g.points END, worst_replay = NULL, \
         rotations_since = CASE WHEN {fresh} THEN {now} ELSE g.rotations_since END, \
         rotations = CASE WHEN {fresh} THEN 1 ELSE g.rotations + 1 END, replays_since = 0, replays = 0, \
         renewals = substr({entry} || g.renewals, 1, {most}) {from} WHERE g.shard = {shard} AND g.id = {id}",
        address = p("address"),
        entry = p("entry"),
        most = renewals::MOST,
        shard = p("shard"),
        id = p("id"),
    );
    let conditions = [
        // Row 2, as far as the row can tell; and n = g, which leaves rows 7 to 11 and 16 to 21.
        format!("g.generation = {} AND substr(g.tags, {}, 4) = {}", p("generation"), p("place"), p("tag")),
        // The successor is of the same master: its tag was foreseen.
        format!("g.key_id = {}", p("key_id")),
        // Row 3.
        format!("g.endpoint = {} AND g.client_id = {}", p("endpoint"), p("client_id")),
        // Row 4. A bearer grant that proves a key becomes bound, which is the judge's work.
        format!(
            "(g.holding = 'client' OR (g.holding = 'bearer' AND {proof}::bytea IS NULL) OR \
             (g.holding = 'bound' AND g.bound_key = {proof} AND g.bound_from <= g.generation))",
            proof = p("proof")
        ),
        // Rows 5 and 6. What a grant hangs on is written into its row when it ends. The session's deadline only ever moves away
        // without that.
        "g.ended_at IS NULL".to_owned(),
        format!("(g.endpoint = 'session' OR g.session_id IS NULL OR g.session_until > {now})"),
        format!("g.idle_deadline > {now} AND {absolute} > {now}"),
        // Time runs forwards.
        format!("g.last_event <= {now}"),
        // Nearer deadlines are told to the session's other grants.
        format!("{idle} >= LEAST(g.idle_deadline, g.absolute_deadline)"),
        // Row 15: not too fast.
        format!("({fresh} OR g.rotations < {})", p("pace")),
        // From where it rotated last: then the list of networks stays, and the timeline tells no place.
        format!("g.user_agent = {} AND g.prefix = {}", p("user_agent"), p("prefix")),
        format!("g.network = {network} AND substr(g.networks, 1, 5) = {network}", network = p("network")),
    ];
    for condition in conditions {
        let _ = write!(sql, " AND {condition}");
    }
    let _ = write!(sql, " RETURNING {COLUMNS}");
    if wanted == Wanted::Person {
        let _ = write!(
            sql,
            ", (SELECT u.shown FROM users u WHERE u.shard = {shard} AND u.id = g.user_id), \
             (SELECT u.claims FROM users u WHERE u.shard = {shard} AND u.id = g.user_id)",
            shard = p("shard")
        );
    }
    sql
}

/// One refresh a statement: it names its shard.
pub(super) fn alone(wanted: Wanted) -> String {
    let value = |name: &str| {
        let (index, kind) = PARAMETERS
            .iter()
            .enumerate()
            .find_map(|(index, (known, kind))| (*known == name).then_some((index + 1, *kind)))
            .unwrap_or_default();
        format!("${index}::{kind}")
    };
    statement(value, "", wanted)
}

/// Many a statement.
pub(super) fn together(wanted: Wanted) -> String {
    let arrays: Vec<String> =
        PARAMETERS.iter().enumerate().map(|(index, (_, kind))| format!("${}::{kind}[]", index + 1)).collect();
    let names: Vec<&str> = PARAMETERS.iter().map(|(name, _)| *name).collect();
    let from = format!("FROM unnest({}) AS p ({})", arrays.join(", "), names.join(", "));
    statement(|name| format!("p.{name}"), &from, wanted)
}

/// What the statement is given of one refresh.
struct Given {
    shard: i32,
    id: Uuid,
    generation: i64,
    place: i32,
    tag: Vec<u8>,
    key: i16,
    endpoint: &'static str,
    client: String,
    proof: Option<Vec<u8>>,
    user_agent: String,
    network: Vec<u8>,
    address: Vec<u8>,
    prefix: String,
    now: i64,
    entry: Vec<u8>,
    pace: i64,
    idle: (i64, i64, i64),
    life: (Option<i64>, Option<i64>, Option<i64>),
}

impl Given {
    fn of(swift: &Swift) -> Self {
        let presented = &swift.presented;
        let idle = |policy: &Policy| swift.now.plus(policy.idle).millis();
        let life = |policy: &Policy| policy.absolute.map(Seconds::millis);
        Self {
            shard: shard(&presented.grant),
            id: uuid(&presented.grant.0),
            generation: presented.generation.0.into(),
            // The database counts from 1.
            place: i32::try_from(Tags::place(presented.generation) + 1).unwrap_or(1),
            tag: presented.tag().to_vec(),
            key: swift.key.0.into(),
            endpoint: endpoint_name(presented.endpoint),
            client: swift.client.0.to_string(),
            proof: swift.proof.map(|key| key.0.to_vec()),
            user_agent: swift.context.user_agent.as_str().to_owned(),
            network: swift.context.network.to_bytes().to_vec(),
            address: swift.context.address.0.to_vec(),
            prefix: swift.context.prefix.to_string(),
            now: swift.now.millis(),
            entry: renewals::entry(swift.now, swift.next),
            pace: swift.browser.rotations_per_minute.into(),
            idle: (idle(&swift.browser), idle(&swift.native), idle(&swift.offline)),
            life: (life(&swift.browser), life(&swift.native), life(&swift.offline)),
        }
    }
}

/// A refresh that waits for a worker.
struct Waiting {
    grant: GrantId,
    given: Given,
    answer: oneshot::Sender<Option<Row>>,
}

/// The statement's workers, or none where each refresh goes alone.
pub(super) struct Swifts {
    pool: Arc<Pool>,
    batch: usize,
    /// For what tokens tell of roles only, and of the person.
    queues: std::sync::OnceLock<[mpsc::Sender<Waiting>; 2]>,
    workers: usize,
    /// The engine spreads over machines: each refresh goes alone, also where nobody said so.
    alone: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Swifts {
    pub(super) fn new(pool: Arc<Pool>, batch: usize, workers: usize) -> Self {
        let queues = std::sync::OnceLock::new();
        Self { pool, batch, queues, workers, alone: Arc::default(), done: Arc::default() }
    }

    /// How many refreshes one statement did.
    #[cfg(test)]
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Rotates, if that is all that is to be done; else nothing has changed.
    pub(super) async fn rotate(&self, swift: &Swift, wanted: Wanted) -> Result<Option<Verdict>, Fault> {
        // Its workers have connections of their own.
        self.pool.is_open()?;
        let given = Given::of(swift);
        // Text of the database has no zeros; no client and no program has one in its name.
        if given.client.contains('\0') || given.user_agent.contains('\0') {
            return Ok(None);
        }
        let row = match self.batch {
            _ if self.alone.load(Ordering::Relaxed) => self.one(&given, wanted).await?,
            0 | 1 => self.one(&given, wanted).await?,
            _ => self.wait(swift.presented.grant, given, wanted).await?,
        };
        let Some(verdict) = row.map(|row| verdict(&row, swift, wanted)).transpose()?.flatten() else {
            return Ok(None);
        };
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(Some(verdict))
    }

    async fn one(&self, given: &Given, wanted: Wanted) -> Result<Option<Row>, Fault> {
        let lease = self.pool.take().await?;
        let began = Stopwatch::start();
        let row = run_alone(&lease, given, wanted).await?;
        drop(lease);
        tell(&self.pool, row.as_slice(), began);
        Ok(row)
    }

    async fn wait(&self, grant: GrantId, given: Given, wanted: Wanted) -> Result<Option<Row>, Fault> {
        let queues = self.queues.get_or_init(|| [self.start(Wanted::Roles), self.start(Wanted::Person)]);
        let [of_roles, of_person] = queues;
        let queue = match wanted {
            Wanted::Roles => of_roles,
            Wanted::Person => of_person,
        };
        let (answer, answered) = oneshot::channel();
        queue.try_send(Waiting { grant, given, answer }).map_err(|_| Fault::Overloaded)?;
        // No answer: the worker could not ask. The judge's transaction finds out what became of it.
        Ok(answered.await.unwrap_or(None))
    }

    fn start(&self, wanted: Wanted) -> mpsc::Sender<Waiting> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..self.workers {
            let alone = Arc::clone(&self.alone);
            tokio::spawn(work(Arc::clone(&self.pool), Arc::clone(&waiting), self.batch, wanted, alone));
        }
        queue
    }
}

/// Takes what waits, again and again, until nobody is left who could ask.
async fn work(
    pool: Arc<Pool>,
    queue: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    batch: usize,
    wanted: Wanted,
    alone: Arc<AtomicBool>,
) {
    let sql = together(wanted);
    let mut held: Option<Db> = None;
    loop {
        let mut taken = Vec::new();
        if queue.lock().await.recv_many(&mut taken, batch).await == 0 {
            return;
        }
        // Two uses of one token in one statement would be one: the second one is for the judge.
        let mut rows: HashMap<GrantId, Waiting> = HashMap::with_capacity(taken.len());
        for waiting in taken {
            if let std::collections::hash_map::Entry::Vacant(place) = rows.entry(waiting.grant) {
                place.insert(waiting);
            }
        }
        let mut waiting: Vec<Waiting> = rows.into_values().collect();
        waiting.sort_unstable_by_key(|waiting| (waiting.given.shard, waiting.given.id));
        let db = match held.take().filter(Db::is_sound) {
            Some(db) => db,
            None => match connect(&pool).await {
                Ok(Some(db)) => db,
                // Whoever waits goes on to the judge, and all that come after go alone.
                Ok(None) => {
                    alone.store(true, Ordering::Relaxed);
                    continue;
                }
                // Whoever waits goes on to the judge, and is told why that cannot be asked either.
                Err(_) => continue,
            },
        };
        let began = Stopwatch::start();
        match run_together(&db, &sql, &waiting).await {
            Ok(found) => {
                tell(&pool, &found, began);
                for row in found {
                    let Ok(id) = row.try_get::<_, Uuid>(0) else { continue };
                    if let Some(place) = waiting.iter().position(|waiting| waiting.given.id == id) {
                        let _ = waiting.swap_remove(place).answer.send(Some(row));
                    }
                }
                held = Some(db);
            }
            Err(fault) => {
                if fault.is_stale_plan() {
                    db.forget_statements();
                }
                tracing::debug!(broken = %regrant_engine::ports::Broken::from(fault), "a statement of many refreshes failed");
                held = Some(db).filter(Db::is_sound);
                if held.is_none() {
                    // The judge, who is asked next, is not to wait for one that is as dead.
                    pool.doubt();
                }
            }
        }
    }
}

/// Tells who listens what was renewed, also where the holder does not wait for it any more.
fn tell(pool: &Pool, rows: &[Row], began: Stopwatch) {
    let surroundings = pool.surroundings();
    let Some(listener) = surroundings.listener.as_ref().filter(|_| !rows.is_empty()) else { return };
    let told = |row| {
        let grant = grant::read(&mut Columns::new(row)).ok()?.grant;
        Some(renewal_of(&grant).told(&grant))
    };
    let events = if surroundings.wants_events { rows.iter().filter_map(told).collect() } else { Vec::new() };
    listener.took(rows.len(), began.elapsed(), events);
}

fn renewal_of(grant: &Grant) -> Renewal {
    Renewal {
        at: grant.rotated_at,
        issued: grant.generation,
        user_agent: grant.context.user_agent.clone(),
        prefix: grant.context.prefix,
    }
}

/// A connection of a worker's own: its one statement is planned once, row by row through the key. None where the engine spreads over
/// machines: rows of many shards in one statement would be everybody's work.
async fn connect(pool: &Pool) -> Result<Option<Db>, Fault> {
    let db = pool.connect().await?.with_patience(PATIENCE);
    if spread::engine(&db).await? != Engine::PostgreSql {
        return Ok(None);
    }
    db.client
        .batch_execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET enable_seqscan = off; SET enable_bitmapscan = off; SET lock_timeout = 2000",
        )
        .await?;
    Ok(Some(db))
}

async fn run_alone(db: &Db, given: &Given, wanted: Wanted) -> Result<Option<Row>, Fault> {
    static OF_ROLES: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| alone(Wanted::Roles));
    static OF_PERSON: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| alone(Wanted::Person));
    let sql: &str = match wanted {
        Wanted::Roles => &OF_ROLES,
        Wanted::Person => &OF_PERSON,
    };
    let parameters: [&(dyn ToSql + Sync); 22] = [
        &given.shard,
        &given.id,
        &given.generation,
        &given.place,
        &given.tag,
        &given.key,
        &given.endpoint,
        &given.client,
        &given.proof,
        &given.user_agent,
        &given.network,
        &given.address,
        &given.prefix,
        &given.now,
        &given.entry,
        &given.pace,
        &given.idle.0,
        &given.idle.1,
        &given.idle.2,
        &given.life.0,
        &given.life.1,
        &given.life.2,
    ];
    forgiving(db.rows(sql, &parameters).await).map(|rows| rows.into_iter().next())
}

async fn run_together(db: &Db, sql: &str, waiting: &[Waiting]) -> Result<Vec<Row>, Fault> {
    macro_rules! all {
        ($given:ident => $value:expr) => {
            waiting
                .iter()
                .map(|waiting| {
                    let $given = &waiting.given;
                    $value
                })
                .collect::<Vec<_>>()
        };
    }
    let parameters: [&(dyn ToSql + Sync); 22] = [
        &all!(given => given.shard),
        &all!(given => given.id),
        &all!(given => given.generation),
        &all!(given => given.place),
        &all!(given => given.tag.as_slice()),
        &all!(given => given.key),
        &all!(given => given.endpoint),
        &all!(given => given.client.as_str()),
        &all!(given => given.proof.as_deref()),
        &all!(given => given.user_agent.as_str()),
        &all!(given => given.network.as_slice()),
        &all!(given => given.address.as_slice()),
        &all!(given => given.prefix.as_str()),
        &all!(given => given.now),
        &all!(given => given.entry.as_slice()),
        &all!(given => given.pace),
        &all!(given => given.idle.0),
        &all!(given => given.idle.1),
        &all!(given => given.idle.2),
        &all!(given => given.life.0),
        &all!(given => given.life.1),
        &all!(given => given.life.2),
    ];
    db.rows(sql, &parameters).await
}

/// What is not done by the statement is done by the judge: also where the statement failed for a reason of the moment.
fn forgiving(ran: Result<Vec<Row>, Fault>) -> Result<Vec<Row>, Fault> {
    match ran {
        Err(Fault::Sql(_)) => Ok(Vec::new()),
        ran => ran,
    }
}

/// What the table would have said. `None` if the token is not this server's after all: its tag was right by chance.
fn verdict(row: &Row, swift: &Swift, wanted: Wanted) -> Result<Option<Verdict>, Fault> {
    let mut columns = Columns::new(row);
    let record = grant::read(&mut columns)?;
    let (identifier, claims) = match wanted {
        Wanted::Roles => (None, None),
        Wanted::Person => (columns.take()?, columns.take::<Option<&str>>()?.and_then(attributes)),
    };
    if !swift.is_genuine(&record.grant.salt) {
        tracing::error!(grant = %record.grant.public_id, "a token that is not ours had the right tag, and renewed its grant");
        return Ok(None);
    }
    let mut loaded = record.loaded(identifier, claims);
    if loaded.state.grant.endpoint == regrant_engine::token::Endpoint::Session {
        loaded.state.session_until = None::<Time>;
    }
    let grant = &loaded.state.grant;
    let renewed = renewal_of(grant);
    Ok(Some(Verdict {
        decision: Decision::Rotated { next: grant.generation },
        loaded: Some(Box::new(loaded)),
        write: true,
        ends: None,
        renewed: Some(renewed),
        events: vec![],
        mail: None,
    }))
}
