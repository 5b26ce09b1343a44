//! How many refreshes a second, beside pgbench's own one-row updates on the same cluster in the same run. A measurement, not a test:
//! `cargo test -p regrant-store rate -- --ignored --nocapture`, better with `--release`.

use std::{sync::Arc, time::Duration};

use regrant_engine::{
    context::Context,
    id::{Generation, GrantRef, SessionId},
    ports::Store,
    refresh::{Grant, Intent, Refreshed, Use, refresh},
    session::Session,
    token::{Endpoint, GrantId, KeyId, Salt},
};
use tokio::task::JoinSet;

use super::{Cluster, Database, Options, PostgresStore, cluster::program};
use crate::contract::world::{FIREFOX, HOME, Place, RealRandom, World, context};

const GRANTS: usize = 20_000;
const LENGTH: Duration = Duration::from_secs(8);

struct Known(Arc<PostgresStore>);

impl Place for Known {
    fn open(&self) -> Arc<dyn Store> {
        Arc::<PostgresStore>::clone(&self.0)
    }

    fn after_a_crash(&self) -> Box<dyn Place> {
        unreachable!("nothing crashes here")
    }

    fn beside(&self) -> Box<dyn Place> {
        unreachable!("there is one store")
    }

    fn mails(&self) -> usize {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
async fn refreshes_beside_pgbench() {
    // Durable, as in production.
    let cluster = Cluster::start(&["shared_buffers=256MB", "max_wal_size=2GB"]);
    let bench = cluster.database();
    let pgbench = |arguments: &[&str]| {
        let ran = program("pgbench").args(arguments).arg(&bench).output().unwrap();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    pgbench(&["-i", "-q", "-s", "1", "--unlogged-tables", "-I", "dtgv"]);
    cluster.sql(
        bench.rsplit('/').next().unwrap(),
        "CREATE TABLE one (id int PRIMARY KEY, value bigint) WITH (fillfactor = 60); \
         INSERT INTO one SELECT g, 0 FROM generate_series(1, 20000) g",
    );
    let script = cluster.directory.join("one.sql");
    std::fs::write(&script, "\\set id random(1, 20000)\nUPDATE one SET value = value + 1 WHERE id = :id;\n").unwrap();
    let plain = pgbench(&["-n", "-M", "prepared", "-c", "32", "-j", "2", "-T", "8", "-f", script.to_str().unwrap()]);
    let tps = plain.lines().find(|line| line.starts_with("tps")).unwrap_or(&plain).to_owned();
    println!("pgbench, one row an UPDATE, 32 clients: {tps}");

    for (batch, connections, callers) in [(1, 32, 64), (256, 16, 64), (256, 32, 256), (256, 32, 1024)] {
        let database = Database { url: cluster.database() };
        let store = Arc::new(database.store(Options { connections, batch, ..Options::default() }));
        let world = World::at(Box::new(Known(Arc::clone(&store)))).await;
        world.user("ada").await;
        let signed = world.sign_in("ada").await;
        let record = world.record(signed.session).await;
        let engine = world.engine();
        let context: Context = context(&engine, HOME, FIREFOX);
        let mut grants = Vec::new();
        for _ in 0..GRANTS {
            let id = SessionId::new(engine.now(), &RealRandom);
            let mut random = [0; 32];
            regrant_engine::ports::Random::fill(&RealRandom, &mut random);
            let (secret, salt) = random.split_at(16);
            grants.push((
                Session { id, ..record.session.clone() },
                Grant {
                    id: GrantId(secret.try_into().unwrap()),
                    salt: Salt(salt.try_into().unwrap()),
                    public_id: GrantRef::own_of(id),
                    session: Some(id),
                    generation: Generation::FIRST,
                    ..record.grant.clone()
                },
            ));
        }
        for some in grants.chunks(1000) {
            store.seed(some.to_vec()).await.unwrap();
        }
        cluster.sql(database.name(), "VACUUM ANALYZE grants");
        let tokens: Vec<_> = grants
            .iter()
            .map(|(_, grant)| {
                engine.refresh_keys.issue(Endpoint::Session, KeyId(1), &grant.id, grant.generation, &grant.salt)
            })
            .collect();
        let mut work = JoinSet::new();
        let began = std::time::Instant::now();
        for mine in tokens.chunks(GRANTS.div_ceil(callers)) {
            let (engine, context) = (Arc::clone(&engine), context.clone());
            let mut mine: Vec<String> = mine.iter().map(|token| token.as_ref().unwrap().expose().to_owned()).collect();
            work.spawn(async move {
                let mut done = 0u64;
                'all: loop {
                    for token in &mut mine {
                        if began.elapsed() > LENGTH {
                            break 'all;
                        }
                        let presented = engine.refresh_keys.open(Endpoint::Session, token).unwrap();
                        let used = Use::of_session(presented, context.clone(), Intent::Rotate);
                        match refresh(&engine, used).await {
                            Ok(Refreshed::Tokens(tokens)) => {
                                tokens.refresh_token.as_ref().unwrap().expose().clone_into(token);
                                done += 1;
                            }
                            Ok(Refreshed::Limited(_)) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
                done
            });
        }
        let done: u64 = work.join_all().await.into_iter().sum();
        let seconds = LENGTH.as_secs_f64();
        println!(
            "{connections} connections, {batch} a statement, {callers} callers: {:.0} refreshes/s, {:.1} % by one statement",
            done as f64 / seconds,
            100.0 * store.inner.swifts.done() as f64 / done as f64
        );
        drop(engine);
    }
}
