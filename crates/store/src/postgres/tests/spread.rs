//! What engines that spread over machines ask of the statements, held against every statement that any test sends.
//!
//! 1. PostgreSQL's partitions stand in for shards: on tables that are split by the same columns, its planner tells which parts a
//!    statement touches when its parameters are known. One part is one shard; that it finds only what a parameter or a constant
//!    names is Citus' rule, too.
//! 2. `Db::prepared` asks [`hold`] about each statement, the first time that it is sent. What breaks a rule fails its test.
//! 3. The whole contract runs once more on such tables, each refresh alone.
//!
//! What goes to all shards stands in [`WIDE`], with the reason, and in docs/howto/scale-out.md.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use regrant_engine::ports::Store;
use serde_json::Value;
use tokio_postgres::types::Type;

use super::{
    super::{
        fault::Fault,
        schema::MIGRATIONS,
        spread::{Spread as Place, TABLES},
        swift,
    },
    Cluster, Database, Options,
};
use crate::contract::world;

/// What goes to all shards: why it may, and the statements, each told by a part of it.
const WIDE: [(&str, &[&str]); 7] = [
    (
        "an id alone, asked by an operator or in the first step of something longer",
        &[
            "WHERE s.id = $1",
            "SELECT shard, user_id FROM sessions WHERE id = $1",
            "SELECT session_id FROM grants WHERE public_id = $1",
            "SELECT shard FROM grants WHERE public_id = $1",
            "FROM sign_ins WHERE hash = $1",
        ],
    ),
    (
        "a timeline, asked by an operator",
        &[
            "SELECT id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, user_agent, data FROM events",
            "SELECT session_id, user_id FROM grants WHERE public_id = $1",
            "g.renewals FROM grants g WHERE g.session_id = $1",
            "g.renewals FROM grants g WHERE g.public_id = $1",
            "last_error FROM logouts WHERE session_id = $1",
        ],
    ),
    (
        "a list or a count of everybody, or of a role",
        &[
            "SELECT shard, id FROM users WHERE id > $1",
            "FROM (SELECT * FROM sessions s WHERE s.id < $1",
            "SELECT count(*) FROM sessions",
            "SELECT count(*) FROM users",
            "SELECT max(at) FROM events",
            "SELECT max(last_event) FROM grants",
            "SELECT role, count(*) FROM user_roles",
            "SELECT shard, user_id FROM user_roles WHERE role = $1",
            "SELECT 1 FROM grants WHERE ended_at IS NULL AND",
        ],
    ),
    (
        "an operator ends or removes what is spread: all sessions, a user, a client, a key; or a user withdraws consent",
        &[
            "SELECT id, shard, user_id FROM sessions WHERE id > $1",
            "WHERE session_id IS NULL AND ended_at IS NULL",
            "DELETE FROM identifiers WHERE user_id = $1",
            "DELETE FROM codes WHERE user_id = $1",
            "WHERE client_id = $1 AND endpoint = 'oauth' AND ended_at IS NULL",
            "DELETE FROM codes WHERE client_id = $1",
            "DELETE FROM consents WHERE client_id = $1",
            "DELETE FROM logouts WHERE client_id = $1",
            "SELECT key_id, count(*) FROM grants",
            "SELECT 1 FROM grants WHERE key_id = $2",
            "WHERE (g.shard, g.id) > ($1, $2)",
        ],
    ),
    (
        "notices that wait, every few seconds",
        &["SELECT min(client_id) FROM logouts", "SELECT shard, session_id, user_id, attempts FROM logouts"],
    ),
    (
        "the sweep, batch by batch on one node",
        &[
            "SELECT s.id, s.shard, s.user_id, s.ended_at, COALESCE(g.idle_deadline",
            "SELECT public_id, shard, id, ended_at",
            "WHERE g.session_id = ANY($1)",
            "WHERE g.public_id = ANY($1)",
            "SELECT id FROM events WHERE id < $1",
            "DELETE FROM events WHERE id = ANY($1)",
            "SELECT id, shard, at, session_id, kind FROM events",
            "SELECT key FROM failures WHERE since < $1",
            "DELETE FROM failures WHERE key = ANY($1)",
            "SELECT id FROM outbox WHERE at < $1",
            "DELETE FROM outbox WHERE id = ANY($1)",
            "SELECT hash FROM codes WHERE expires_at < $1",
            "DELETE FROM codes WHERE hash = ANY($1)",
            "SELECT hash FROM used_once WHERE until < $1",
            "DELETE FROM used_once WHERE hash = ANY($1)",
            "SELECT session_id FROM logouts WHERE state <> 'waiting'",
            "DELETE FROM logouts WHERE session_id = ANY($1)",
        ],
    ),
    (
        "a store without an engine, or a user whom an older version wrote",
        &[
            "SELECT shard FROM users WHERE id = $1",
            "SELECT kind, value, shown, verified_at FROM identifiers WHERE user_id = $1",
        ],
    ),
];

/// Questions to PostgreSQL and Citus about themselves.
const ABOUT_ITSELF: [&str; 6] = [
    "FROM information_schema.tables",
    "FROM pg_extension WHERE",
    "FROM pg_class WHERE oid",
    "FROM pg_class WHERE relname",
    "FROM pg_index i",
    "FROM pg_dist_partition p",
];

/// Pages of everybody's that are taken before they are joined: Citus (11.2 and newer) fetches the page, and joins that.
const PAGES: [&str; 2] = [
    "FROM (SELECT * FROM sessions s WHERE s.id < $1",
    "FROM (SELECT id, shard, user_id, grant_id, ended_at FROM sessions WHERE id > $1 ORDER BY id LIMIT",
];

/// Words of statements that some engine does not have, or that mean something else there.
const FOREIGN: [&str; 19] = [
    "listen",
    "notify",
    "ctid",
    "temp",
    "temporary",
    "nextval",
    "now",
    "random",
    "current_timestamp",
    "localtimestamp",
    "nowait",
    "skip",
    "with",
    "lateral",
    "over",
    "lock",
    "truncate",
    "using",
    "natural",
];

/// Holds a statement against the rules; what it breaks is told instead of its rows.
pub(in crate::postgres) fn hold(sql: &str, types: &[Type]) -> Result<(), Fault> {
    static HELD: LazyLock<Mutex<HashMap<String, Option<String>>>> = LazyLock::new(Mutex::default);
    let known = HELD.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
    let broken = known.unwrap_or_else(|| {
        let broken = check(sql, types).err();
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), broken.clone());
        broken
    });
    broken.map_or(Ok(()), |rule| Err(Fault::Damaged(format!("{rule}: {sql}"))))
}

fn check(sql: &str, types: &[Type]) -> Result<(), String> {
    let own = ABOUT_ITSELF.iter().any(|part| sql.contains(part));
    // A move takes whole tables, while nobody is served. Many refreshes in one statement: never sent to such an engine.
    if own || sql.starts_with("/* regrant move */ ") || sql.starts_with("SET LOCAL ") || sql.contains("FROM unnest(") {
        return Ok(());
    }
    let lower = sql.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').collect();
    if let Some(word) = words.iter().find(|word| FOREIGN.contains(word) || word.starts_with("pg_")) {
        return Err(format!("not every engine knows \"{word}\""));
    }
    let named = |table: &str| {
        words.windows(2).any(|pair| matches!(pair[0], "from" | "join" | "into" | "update") && pair[1] == table)
    };
    let tables: Vec<&(&str, Place)> = TABLES.iter().filter(|(table, _)| named(table)).collect();
    let spread: Vec<&&(&str, Place)> = tables.iter().filter(|(_, place)| *place != Place::Everywhere).collect();
    if spread.len() > 1 && spread.iter().any(|(_, place)| *place != Place::ByUser) {
        return Err("tables that do not lie together are in one statement".to_owned());
    }
    if tables.is_empty() && words.contains(&"numbers") {
        // The table of the tests of migrating, which no engine but PostgreSQL runs.
        return Ok(());
    }
    let plan = explain(sql, types);
    let column = spread.first().and_then(|(_, place)| place.column());
    if let Some(column) = column
        && assigned(sql).contains(&column)
    {
        return Err("a row would move to another shard".to_owned());
    }
    if lower.starts_with("insert into ") {
        return column.map_or(Ok(()), |column| inserted(sql, column));
    }
    if spread.is_empty() {
        return Ok(());
    }
    let mut touched: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut has_subplans = false;
    walk(&plan, &mut touched, &mut has_subplans);
    let narrow = spread.iter().all(|(table, _)| touched.get(table).is_some_and(|parts| parts.len() == 1));
    let told = touched.values().flatten().next().is_some();
    if !told {
        return Err("its plan does not tell what it touches".to_owned());
    }
    let same = touched.values().flatten().map(|part| part.rsplit('_').next()).collect::<BTreeSet<_>>().len() == 1;
    if narrow && same {
        return Ok(());
    }
    let locks = words.windows(2).any(|pair| matches!(pair, ["for", "update" | "share"]));
    if locks {
        return Err("it locks rows and names no shard".to_owned());
    }
    let takes_a_page = PAGES.iter().any(|page| sql.contains(page));
    if !takes_a_page
        && (has_subplans || words.iter().filter(|word| **word == "select").count() > usize::from(words[0] == "select"))
    {
        return Err("it holds a query within and names no shard".to_owned());
    }
    if tables.len() > spread.len() {
        return Err("it joins what is everywhere and names no shard".to_owned());
    }
    match WIDE.iter().flat_map(|(_, parts)| *parts).any(|part| sql.contains(part)) {
        true => Ok(()),
        false => Err("it goes to all shards".to_owned()),
    }
}

/// Columns that a statement gives new values.
fn assigned(sql: &str) -> Vec<&str> {
    let Some((_, rest)) = sql.split_once(" SET ") else { return Vec::new() };
    let rest = rest.split(" WHERE ").next().unwrap_or(rest);
    split(rest).into_iter().filter_map(|one| one.split_whitespace().next()).collect()
}

/// Whether what is inserted says by a parameter where it is to lie.
fn inserted(sql: &str, column: &str) -> Result<(), String> {
    let rule = || "what is inserted does not say by a parameter where it is to lie".to_owned();
    let (before, after) = sql.split_once(") VALUES (").ok_or_else(rule)?;
    let (_, columns) = before.split_once('(').ok_or_else(rule)?;
    if after.to_lowercase().contains("select") {
        return Err("a query stands within what is inserted".to_owned());
    }
    let place = split(columns).iter().position(|known| *known == column).ok_or_else(rule)?;
    let values = split(after);
    let value = values.get(place).copied().unwrap_or_default().trim_end_matches(')');
    if value.starts_with('$') && value[1..].bytes().all(|digit| digit.is_ascii_digit()) { Ok(()) } else { Err(rule()) }
}

/// At the commas that are in no parentheses.
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => {
                parts.push(list[from..at].trim());
                return parts;
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(list[from..].trim());
    parts
}

/// The parts of each table that a plan reads or writes.
fn walk(plan: &Value, touched: &mut BTreeMap<&'static str, BTreeSet<String>>, has_subplans: &mut bool) {
    match plan {
        Value::Array(all) => all.iter().for_each(|one| walk(one, touched, has_subplans)),
        Value::Object(fields) => {
            if let Some(Value::String(name)) = fields.get("Relation Name")
                && let Some((table, _)) = TABLES.iter().find(|(table, _)| is_part(name, table))
            {
                touched.entry(table).or_default().insert(name.clone());
            }
            *has_subplans |=
                matches!(fields.get("Parent Relationship"), Some(Value::String(kind)) if kind == "SubPlan");
            fields.values().for_each(|one| walk(one, touched, has_subplans));
        }
        _ => {}
    }
}

fn is_part(name: &str, table: &str) -> bool {
    name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')).is_some_and(|part| part.parse::<u8>().is_ok())
}

/// How a statement is carried out where its tables are split, with some parameters.
fn explain(sql: &str, types: &[Type]) -> Value {
    static SPLIT: OnceLock<String> = OnceLock::new();
    let database = SPLIT.get_or_init(|| {
        let url = Cluster::shared().database();
        let name = url.rsplit('/').next().unwrap().to_owned();
        for migration in MIGRATIONS {
            Cluster::shared().sql(&name, migration.sql);
        }
        Cluster::shared().sql(&name, &split_tables());
        name
    });
    let values: Vec<String> = (1..).zip(types).map(|(place, of)| some(of, place)).collect();
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let script = format!(
        "SET plan_cache_mode = force_custom_plan; PREPARE it AS {sql}; EXPLAIN (FORMAT JSON, COSTS OFF) EXECUTE it{values}"
    );
    serde_json::from_str(&Cluster::shared().sql(database, &script)).unwrap()
}

/// A value, the greater the later it comes; of what may be many, as many as lie on more than one part.
fn some(of: &Type, place: u8) -> String {
    let uuid = |last: u8| format!("'00000000-0000-0000-0000-0000000000{last:02x}'");
    let list = |one: &dyn Fn(u8) -> String| (1..9).map(one).collect::<Vec<_>>().join(", ");
    match *of {
        Type::BOOL => "true".to_owned(),
        Type::INT2 | Type::INT4 | Type::INT8 => place.to_string(),
        Type::TEXT => "'a'".to_owned(),
        Type::BYTEA => format!("'\\x{place:02x}'"),
        Type::UUID => uuid(place),
        Type::BYTEA_ARRAY => format!("ARRAY[{}]::bytea[]", list(&|number| format!("'\\x{number:02x}'"))),
        Type::UUID_ARRAY => format!("ARRAY[{}]::uuid[]", list(&uuid)),
        ref other => panic!("a parameter of the type {other}: say some value of it"),
    }
}

/// Splits the tables by the columns by which engines spread them. PostgreSQL refuses what they refuse: a key that does not hold
/// the column.
fn split_tables() -> String {
    let mut script = String::new();
    for (table, place) in TABLES {
        let Some(column) = place.column() else { continue };
        script.push_str(
            &[
                format!("ALTER TABLE {table} RENAME TO whole;"),
                format!("CREATE TABLE {table} (LIKE whole INCLUDING ALL) PARTITION BY HASH ({column});"),
            ]
            .concat(),
        );
        for part in 0..3 {
            script += &format!(
                "CREATE TABLE {table}_{part} PARTITION OF {table} FOR VALUES WITH (MODULUS 3, REMAINDER {part});"
            );
        }
        script += &format!("INSERT INTO {table} SELECT * FROM whole; DROP TABLE whole;");
    }
    script
}

/// A database whose tables are split, and whose refreshes go alone.
pub(crate) struct Spread(Database);

impl Spread {
    pub(crate) fn new() -> Self {
        let database = Database::new();
        drop(database.store(Options::default()));
        database.sql(&split_tables());
        Self(database)
    }
}

impl world::Place for Spread {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.store(Options { connections: 8, batch: 1, ..Options::default() }))
    }

    fn after_a_crash(&self) -> Box<dyn world::Place> {
        // A copy is split as the original is.
        Box::new(Self(Database { url: Cluster::shared().copy(&self.0.url) }))
    }

    fn beside(&self) -> Box<dyn world::Place> {
        Box::new(Self::new())
    }

    fn mails(&self) -> usize {
        self.0.mails()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_has_its_place() {
    let database = Database::new();
    drop(database.store(Options::default()));
    let told = database.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()");
    let found: BTreeSet<&str> = told.split_whitespace().collect();
    let listed: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    assert_eq!(found, listed, "spread.rs lists every table of the migrations");
}

#[test]
fn the_how_to_says_to_citus_what_the_list_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/howto/scale-out.md");
    let page = std::fs::read_to_string(file).unwrap();
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with("SELECT create_")).collect();
    let wanted: Vec<String> = TABLES.iter().map(|(table, place)| place.on_citus(table)).collect();
    assert_eq!(told, wanted, "the page holds these lines:\n{}", wanted.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_find_what_breaks_them() {
    let uuid = [Type::UUID];
    let place = [Type::INT4, Type::UUID];
    for (sql, types, rule) in [
        ("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", &uuid[..], "locks rows"),
        ("UPDATE users SET epoch = 1 WHERE id = $1", &uuid, "all shards"),
        ("DELETE FROM sessions WHERE id = $1", &uuid, "all shards"),
        ("UPDATE users SET shard = 2 WHERE shard = $1 AND id = $2", &place, "would move"),
        (
            "SELECT (SELECT count(*) FROM user_roles r WHERE r.shard = u.shard) FROM users u WHERE u.shard = $1 AND u.id = $2",
            &place,
            "within",
        ),
        ("SELECT 1 FROM codes c JOIN users u ON u.id = c.user_id WHERE u.shard = $1 AND u.id = $2", &place, "together"),
        ("SELECT 1 FROM grants g JOIN clients c ON c.id = g.client_id WHERE g.public_id = $1", &uuid, "everywhere"),
        ("INSERT INTO leases (name, holder, fence, until) VALUES ('a' || 'b', $1, 1, 1)", &uuid, "by a parameter"),
        ("SELECT pg_advisory_lock(1) WHERE $1 IS NOT NULL", &uuid, "knows"),
        ("DELETE FROM users WHERE shard = $1 AND id = $2 AND created_at < extract(epoch FROM now())", &place, "knows"),
    ] {
        let told = check(sql, types).expect_err(sql);
        assert!(told.contains(rule), "{sql}: {told}");
    }
    for (sql, types) in [
        ("SELECT 1 FROM users WHERE shard = $1 AND id = $2 FOR UPDATE", &place[..]),
        ("SELECT 1 FROM device_codes WHERE user_id = $1 FOR UPDATE", &uuid),
        ("SELECT 1 FROM grants g JOIN clients c ON c.id = g.client_id WHERE g.shard = $1 AND g.id = $2", &place),
    ] {
        assert_eq!(check(sql, types), Ok(()), "{sql}");
    }
}

/// The statement of a refresh is what such an engine is sent most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_alone_is_one_shards_work() {
    use regrant_engine::ports::Wanted;
    let types = swift::PARAMETERS.map(|(_, kind)| match kind {
        "int" => Type::INT4,
        "uuid" => Type::UUID,
        "bigint" => Type::INT8,
        "smallint" => Type::INT2,
        "text" => Type::TEXT,
        _ => Type::BYTEA,
    });
    for wanted in [Wanted::Roles, Wanted::Person] {
        assert_eq!(check(&swift::alone(wanted), &types), Ok(()));
    }
}
