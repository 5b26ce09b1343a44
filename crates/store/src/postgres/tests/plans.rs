//! The plans of the statements that requests wait for: each names the shard, where it can, and goes by one index.

use regrant_engine::{ports::Wanted, time::Seconds};

use super::{
    super::{sweep, swift},
    Cluster, Database,
};
use crate::contract::world::World;

/// A statement's plan when it is prepared, for tables that are worth an index.
fn plan(database: &Database, sql: &str, types: &str, values: &str) -> String {
    let script = format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan; \
         PREPARE it ({types}) AS {sql}; EXPLAIN (COSTS OFF) EXECUTE it ({values})"
    );
    Cluster::shared().sql(database.name(), &script)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_goes_to_its_row_by_shard_and_id() {
    let database = Database::new();
    drop(database.store(super::Options::default()));
    for wanted in [Wanted::Roles, Wanted::Person] {
        let types: Vec<&str> = swift::PARAMETERS.iter().map(|(_, kind)| *kind).collect();
        let values = swift::PARAMETERS.map(|(_, kind)| match kind {
            "uuid" => "'00000000-0000-0000-0000-000000000000'",
            "text" | "bytea" => "''",
            _ => "1",
        });
        let told = plan(&database, &swift::alone(wanted), &types.join(","), &values.join(","));
        assert!(told.contains("Index Scan using grants_pkey on grants g"), "{told}");
        assert!(told.contains("(shard = $1) AND (id = $2)"), "{told}");

        let types: Vec<String> = swift::PARAMETERS.iter().map(|(_, kind)| format!("{kind}[]")).collect();
        let values = swift::PARAMETERS.map(|_| "'{}'").join(",");
        let script = format!(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET plan_cache_mode = force_generic_plan; PREPARE it ({}) AS {}; EXPLAIN (COSTS OFF) EXECUTE it ({values})",
            types.join(","),
            swift::together(wanted)
        );
        let told = Cluster::shared().sql(database.name(), &script);
        assert!(told.contains("Index Scan using grants_pkey on grants g"), "{told}");
        assert!(told.contains("(shard = p.shard) AND (id = p.id)"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_a_request_asks_goes_by_an_index() {
    let database = Database::new();
    drop(database.store(super::Options::default()));
    let zero = "'00000000-0000-0000-0000-000000000000'";
    for (sql, types, values, index) in [
        (
            "SELECT 1 FROM users WHERE shard = $1 AND id = $2 FOR UPDATE",
            "int, uuid",
            format!("1, {zero}"),
            "users_pkey",
        ),
        ("SELECT 1 FROM sessions WHERE id = $1", "uuid", zero.to_owned(), "sessions_pkey"),
        ("SELECT 1 FROM grants WHERE public_id = $1", "uuid", zero.to_owned(), "grants_by_public_id"),
        (
            "UPDATE grants SET ended_at = 1 WHERE shard = $1 AND session_id = $2 AND ended_at IS NULL",
            "int, uuid",
            format!("1, {zero}"),
            "grants_by_session",
        ),
        (
            "SELECT 1 FROM identifiers WHERE value = $1 AND kind = $2",
            "text, text",
            "'a', 'b'".to_owned(),
            "identifiers_pkey",
        ),
        ("SELECT 1 FROM sign_ins WHERE hash = $1", "bytea", "''".to_owned(), "sign_ins_by_hash"),
        ("SELECT 1 FROM codes WHERE hash = $1 FOR UPDATE", "bytea", "''".to_owned(), "codes_pkey"),
        ("SELECT 1 FROM device_codes WHERE hash = $1 FOR UPDATE", "bytea", "''".to_owned(), "device_codes_pkey"),
        (
            "SELECT 1 FROM device_codes WHERE user_code = $1 FOR UPDATE",
            "bytea",
            "''".to_owned(),
            "device_codes_by_user_code",
        ),
        (
            "DELETE FROM device_codes WHERE user_id = $1 AND client_id = $2 AND grant_id IS NULL",
            "uuid, text",
            format!("{zero}, 'a'"),
            "device_codes_by_user",
        ),
    ] {
        let told = plan(&database, sql, types, &values);
        assert!(told.contains(&format!("using {index} ")), "{sql}: {told}");
    }
}

/// The columns that a statement sets: what stands before an `=` in its list.
fn set_by(sql: &str) -> Vec<String> {
    let list = sql.split_once(" SET ").unwrap().1;
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    let mut take = |part: &str| found.push(part.split_once(" = ").unwrap().0.trim().to_owned());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                take(&list[from..at]);
                from = at + 1;
            }
            _ if depth == 0 && [" FROM ", " WHERE "].iter().any(|end| list[at..].starts_with(end)) => {
                take(&list[from..at]);
                break;
            }
            _ => {}
        }
    }
    found
}

/// Else every refresh would write into that index, and leave what vacuum has to fetch there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_index_has_what_a_refresh_sets() {
    let database = Database::new();
    drop(database.store(super::Options::default()));
    // With their predicates: those count too.
    let indexes = database.sql("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'grants'::regclass");
    assert!(indexes.lines().count() >= 5 && indexes.contains("public_id"), "{indexes}");
    for sql in [swift::alone(Wanted::Person), swift::together(Wanted::Person)] {
        let set = set_by(&sql);
        for column in ["generation", "rotated_at", "idle_deadline", "points", "renewals"] {
            assert!(set.iter().any(|known| known == column), "{column} is among {set:?}");
        }
        for index in indexes.lines() {
            let mut words = index.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            assert!(!words.any(|word| set.iter().any(|column| column == word)), "{index} and {set:?}");
        }
    }
}

/// A batch that is cut off after the join would make each step of the sweep as long as the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_takes_its_batch_of_sessions_before_it_asks_for_their_grants() {
    let database = Database::new();
    drop(database.store(super::Options::default()));
    let zero = "'00000000-0000-0000-0000-000000000000'";
    let told = plan(&database, &sweep::next_sessions_sql(500), "uuid", zero);
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    assert!(at(" Join") < at("Limit") && at("Limit") < at("using sessions_pkey"), "{told}");
}

/// Nothing grows with refreshes: the new version of the row lies on its page, and no index is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_touches_no_index() {
    let database = Database::new();
    let name = database.name().to_owned();
    let world = World::at(Box::new(database)).await;
    world.user("ada").await;
    let mut token = world.sign_in("ada").await.token;
    for _ in 0..200 {
        token = world.rotate(&token).await;
        world.pass(Seconds(60));
    }
    // What a backend counts it tells a moment later.
    let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'grants'";
    let counted = || Cluster::shared().sql(&name, sql);
    let (mut all, mut hot) = (0, 0);
    for _ in 0..2000 {
        let told = counted();
        let numbers: Vec<u64> = told.trim().split('|').map(|number| number.parse().unwrap()).collect();
        (all, hot) = (numbers[0], numbers[1]);
        if all >= 200 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // But for some, while the list of renewals grows, more where others keep the machine busy; half an hour of it is in
    // docs/benchmarks.md. With an index on what changes none would.
    assert!(all >= 200 && hot * 4 >= all * 3, "{hot} of {all} updates stayed on their page");
}
