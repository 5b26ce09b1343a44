//! A full store sooner than people could sign in.
//!
//! 1. A key file is made, and a store; both are told of one another as `regrant serve` would.
//! 2. Users are added, one for every ten grants, without passwords: nobody signs in here.
//! 3. Sessions with their grants are put in, as if people had signed in one after the other over the last week. Ids and salts
//!    come from a generator that repeats itself; only the keys are secret, and only the times are today's.
//! 4. Each grant's first refresh token is written to the file, one a line, once the grant is committed.
//!
//! Here for a data directory; `seed_database.rs` does the same for a database.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use regrant::{
    keys,
    system::{SystemClock, SystemSource},
};
use regrant_engine::{
    context::{Context, Networks},
    digest::Digests,
    event::{Actor, Event, EventKind},
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    ports::{Answer, Broken, Clock, Identity, Random, Store, UsersAdded},
    reason::Life,
    refresh::{Grant, GrantKind, Holding, Pace, Suspicion},
    session::Session,
    settings::Settings,
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, GrantId, RefreshKeys, Salt, Shard},
    user::{Identified, Identifier, NewUser},
};
use regrant_store::{postgres::PostgresStore, sqlite::SqliteStore};

use crate::{Failure, SeedArguments, chains::Chance, clock, http::USER_AGENT, seed_database};

/// Where `regrant serve` listens if nobody says.
pub(crate) const DEFAULT_ISSUER: &str = "http://127.0.0.1:8080";

const GRANTS_PER_USER: u64 = 10;
/// In one transaction.
const USERS_AT_ONCE: usize = 10_000;
const GRANTS_AT_ONCE: usize = 20_000;
/// The store is closed and opened again, which writes its log back, when that has grown to this.
const LARGEST_LOG: u64 = 1 << 30;
/// The sessions were opened over this time, evenly.
const AGE: Seconds = Seconds::days(7);

/// What was made.
pub(crate) struct Seeded {
    /// A user for every ten grants.
    pub(crate) users: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

/// `regrant-bench seed`
pub(crate) fn run(arguments: &SeedArguments) -> Result<ExitCode, Failure> {
    if let Some(url) = &arguments.database {
        return seed_database::run(arguments, url);
    }
    let data = arguments.data.as_deref().unwrap_or(Path::new(""));
    let seeded = fill(data, arguments.grants, &arguments.tokens, &arguments.issuer)?;
    eprintln!(
        "{} grants of {} users in {}, in {:.1} s; their refresh tokens in {}",
        arguments.grants,
        seeded.users,
        data.display(),
        seeded.took.as_secs_f64(),
        arguments.tokens.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes the store in `data`, which must not have one, and writes the tokens.
pub(crate) fn fill(data: &Path, grants: u64, tokens: &Path, issuer: &str) -> Result<Seeded, Failure> {
    let begun = clock::now();
    let database = data.join("regrant.db");
    if database.exists() {
        return Err(Failure::usage(format!(
            "there is a store in {} already: remove it, or name another --data",
            data.display()
        )));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(Failure::at(format!("cannot make {}", data.display())))?;
    let mut out = Tokens::new(tokens, false)?;
    private(&database, false)?;
    let key_file = data.join("keys.toml");
    keys::create(&key_file, &SystemSource::new()).map_err(Failure::at("no keys"))?;
    let seeder = Seeder::new(&key_file, issuer, Chance(1), "")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().map_err(Failure::at("cannot start the runtime"))?;
    let users = runtime.block_on(seeder.fill(&database, grants, &mut out))?;
    Ok(Seeded { users, took: clock::now() - begun })
}

/// A store that takes users and sessions as they are.
pub(crate) trait Takes: Store {
    /// Adds users, told by an event where the store cannot do without.
    fn add(&self, users: Vec<NewUser>, event: Event) -> Answer<'_, UsersAdded>;
    /// Begins at once.
    fn take(&self, sessions: Vec<(Session, Grant)>) -> Answer<'_, ()>;
}

impl Takes for SqliteStore {
    fn add(&self, users: Vec<NewUser>, event: Event) -> Answer<'_, UsersAdded> {
        self.add_users(users, event)
    }

    fn take(&self, sessions: Vec<(Session, Grant)>) -> Answer<'_, ()> {
        self.seed(sessions)
    }
}

impl Takes for PostgresStore {
    fn add(&self, users: Vec<NewUser>, _: Event) -> Answer<'_, UsersAdded> {
        let added = self.seed_users(users);
        Box::pin(async move { added.await.map(|()| UsersAdded::Added) })
    }

    fn take(&self, sessions: Vec<(Session, Grant)>) -> Answer<'_, ()> {
        self.seed(sessions)
    }
}

/// A file for its owner's eyes only: empty, or going on behind what it has.
pub(crate) fn private(path: &Path, goes_on: bool) -> Result<File, Failure> {
    let failed = || format!("cannot write {}", path.display());
    let file = OpenOptions::new().append(goes_on).write(true).create(true).truncate(!goes_on).mode(0o600).open(path);
    let file = file.map_err(Failure::at(failed()))?;
    // One that was there before kept its mode.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(Failure::at(failed()))?;
    Ok(file)
}

/// The file of the tokens. What stands in it is in the store.
pub(crate) struct Tokens {
    file: File,
    /// How many were written.
    pub(crate) count: u64,
}

impl Tokens {
    pub(crate) fn new(path: &Path, goes_on: bool) -> Result<Self, Failure> {
        Ok(Self { file: private(path, goes_on)?, count: 0 })
    }

    fn write(&mut self, lines: &str) -> Result<(), Failure> {
        self.file.write_all(lines.as_bytes()).map_err(Failure::at("cannot write the tokens"))?;
        self.count += lines.lines().count() as u64;
        Ok(())
    }
}

/// Sessions that the store is writing, and their tokens.
struct UnderWay<'a> {
    written: Answer<'a, ()>,
    lines: String,
}

impl UnderWay<'_> {
    async fn end(self, tokens: &mut Tokens) -> Result<(), Failure> {
        self.written.await.map_err(broken)?;
        tokens.write(&self.lines)
    }
}

/// A user, as far as sessions need to know: of millions of them there is no room for more.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    id: UserId,
    shard: Shard,
}

pub(crate) struct Seeder {
    /// Whose the store is to be.
    pub(crate) identity: Identity,
    pub(crate) refresh_keys: Arc<RefreshKeys>,
    settings: Settings,
    context: Context,
    digests: Digests,
    chance: Arc<Repeatable>,
    /// Behind the users' names, where there may be users already.
    suffix: String,
    now: Time,
}

impl Seeder {
    pub(crate) fn new(key_file: &Path, issuer: &str, chance: Chance, suffix: &str) -> Result<Self, Failure> {
        let keys = keys::read(key_file).map_err(Failure::at("no keys"))?;
        let keys = keys.ok_or_else(|| Failure::new("the new key file vanished"))?;
        let failed = || Failure::new("the cryptographic library failed while deriving keys");
        let digests = Digests::new(keys.sealing.as_slice()).ok_or_else(failed)?;
        let active = keys.refresh.keys().next_back().copied().ok_or_else(failed)?;
        Ok(Self {
            identity: Identity {
                issuer: Some(issuer.to_owned()),
                refresh_keys: keys.refresh.iter().map(|(id, master)| (*id, master.check_value(*id))).collect(),
            },
            refresh_keys: Arc::new(RefreshKeys::new(&keys.refresh, active, issuer).ok_or_else(failed)?),
            settings: Settings::new(issuer),
            context: digests.context(IpAddr::V4(Ipv4Addr::LOCALHOST), USER_AGENT),
            digests,
            chance: Arc::new(Repeatable(Mutex::new(chance))),
            suffix: suffix.to_owned(),
            now: SystemClock.now(),
        })
    }

    async fn fill(&self, database: &Path, grants: u64, tokens: &mut Tokens) -> Result<u64, Failure> {
        let mut store = self.open(database)?;
        store.remember(self.identity.clone()).await.map_err(broken)?;
        let users = self.users(&store, grants).await?;
        let mut n = 0;
        while n < grants {
            if std::fs::metadata(database.with_extension("db-wal")).is_ok_and(|log| log.len() > LARGEST_LOG) {
                drop(store);
                store = self.open(database)?;
            }
            let end = grants.min(n + 4 * GRANTS_AT_ONCE as u64);
            n = self.sessions(&store, &users, n..end, grants, tokens).await?;
        }
        // Closing writes the log back.
        drop(store);
        Ok(users.len() as u64)
    }

    /// Adds the users of so many grants.
    pub(crate) async fn users(&self, store: &impl Takes, grants: u64) -> Result<Vec<Owner>, Failure> {
        let user_count = grants.div_ceil(GRANTS_PER_USER);
        let mut owners = Vec::with_capacity(index(user_count));
        while owners.len() < index(user_count) {
            let begun = owners.len() as u64;
            let end = user_count.min(begun + USERS_AT_ONCE as u64);
            let users = (begun..end).map(|n| self.user(n, user_count)).collect::<Result<Vec<_>, _>>()?;
            owners.extend(users.iter().map(|user| Owner { id: user.id, shard: user.shard }));
            let event = Event::new(EventKind::UserCreated, self.now, Actor::Operator, &*self.chance);
            match store.add(users, event).await.map_err(broken)? {
                UsersAdded::Added => {}
                other => return Err(Failure::new(format!("the users could not be added: {other:?}"))),
            }
        }
        Ok(owners)
    }

    fn open(&self, database: &Path) -> Result<SqliteStore, Failure> {
        let lost = Box::new(|why: &str| {
            eprintln!("regrant-bench: {why}");
            std::process::exit(1);
        });
        SqliteStore::open(database, Arc::<Repeatable>::clone(&self.chance), lost)
            .map_err(Failure::at(format!("cannot open {}", database.display())))
    }

    /// Puts the sessions of `range` in; while the store writes one chunk, the next is made.
    pub(crate) async fn sessions(
        &self,
        store: &impl Takes,
        users: &[Owner],
        range: std::ops::Range<u64>,
        all: u64,
        tokens: &mut Tokens,
    ) -> Result<u64, Failure> {
        let mut under_way: Option<UnderWay<'_>> = None;
        let mut n = range.start;
        while n < range.end {
            let (mut chunk, mut lines) = (Vec::with_capacity(GRANTS_AT_ONCE), String::new());
            let end = range.end.min(n + GRANTS_AT_ONCE as u64);
            // Round and round: a user's sessions lie apart, as they would.
            for (n, user) in (n..end).zip(users.iter().cycle().skip(index(n) % users.len().max(1))) {
                let (session, grant) = self.session(n, all, *user);
                let token =
                    self.refresh_keys.issue(grant.endpoint, grant.key, &grant.id, grant.generation, &grant.salt);
                let token = token.ok_or_else(|| Failure::new("a token could not be made"))?;
                lines.push_str(token.expose());
                lines.push('\n');
                chunk.push((session, grant));
            }
            n = end;
            // Within one transaction nobody sees the order, and pages are visited once.
            chunk.sort_by_key(|(_, grant)| grant.id);
            let next = UnderWay { written: store.take(chunk), lines };
            if let Some(before) = under_way.replace(next) {
                before.end(tokens).await?;
            }
        }
        if let Some(last) = under_way {
            last.end(tokens).await?;
        }
        Ok(n)
    }

    /// When the `n`th of `all` came.
    fn came(&self, n: u64, all: u64) -> Time {
        let share = u64::try_from(AGE.millis()).unwrap_or_default() * n / all.max(1);
        Time::from_millis(self.now.minus(AGE).millis() + i64::try_from(share).unwrap_or_default())
    }

    fn user(&self, n: u64, all: u64) -> Result<NewUser, Failure> {
        let shown = format!("user{n}{}@bench.example", self.suffix);
        let identifier =
            Identifier::email(&shown).map_err(|why| Failure::new(format!("{shown} is no address: {why}")))?;
        let at = self.came(n, all).minus(AGE);
        let id = UserId::new(at, &*self.chance);
        Ok(NewUser {
            id,
            shard: self.digests.shard(id),
            identifiers: vec![Identified { identifier, shown, verified_at: None }],
            claims: serde_json::Map::new(),
            roles: vec![],
            password: None,
            disabled: false,
            at,
        })
    }

    /// As `regrant_engine::login` opens one.
    fn session(&self, n: u64, all: u64, user: Owner) -> (Session, Grant) {
        let at = self.came(n, all);
        let kind = GrantKind::Native;
        let lifetime = self.settings.lifetimes.of(kind);
        let absolute =
            lifetime.absolute.map_or(AbsoluteDeadline::NEVER, |absolute| AbsoluteDeadline(at.plus(absolute)));
        let id = SessionId::new(at, &*self.chance);
        let mut salt = [0; 16];
        self.chance.fill(&mut salt);
        let grant = Grant {
            id: GrantId::new(user.shard, &*self.chance),
            public_id: GrantRef::own_of(id),
            salt: Salt(salt),
            key: self.refresh_keys.active(),
            endpoint: Endpoint::Session,
            client: ClientId::session_api(),
            user: user.id,
            session: Some(id),
            epoch: Epoch(0),
            holding: Holding::Bearer,
            kind,
            generation: Generation::FIRST,
            fence: None,
            newest_used: false,
            scope: "openid".into(),
            audience: self.settings.audience.as_str().into(),
            issued_at: at,
            rotated_at: at,
            last_event: at,
            idle: IdleDeadline::sliding(at, lifetime.idle, absolute),
            absolute,
            context: self.context.clone(),
            networks: Networks::starting_with(self.context.network),
            suspicion: Suspicion::default(),
            pace: Pace::default(),
            life: Life::Alive,
        };
        let session = Session {
            id,
            user: user.id,
            grant: grant.public_id,
            created_at: at,
            auth_time: at,
            amr: vec!["pwd".to_owned()],
            device: None,
            context: self.context.clone(),
            life: Life::Alive,
        };
        (session, grant)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn broken(broken: Broken) -> Failure {
    Failure::new(format!("the store could not be filled: {broken}"))
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The same bytes in every run: for names and salts, never for keys.
struct Repeatable(Mutex<Chance>);

impl Random for Repeatable {
    fn fill(&self, bytes: &mut [u8]) {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.chunks_mut(8) {
            for (to, from) in piece.iter_mut().zip(chance.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_store_has_what_was_asked_for_and_its_tokens_are_private() {
        let place = tempfile::tempdir().unwrap();
        let (data, tokens) = (place.path().join("data"), place.path().join("tokens"));
        let seeded = fill(&data, 25, &tokens, DEFAULT_ISSUER).unwrap();
        assert_eq!(seeded.users, 3);
        let lines = std::fs::read_to_string(&tokens).unwrap();
        let mut seen: Vec<_> = lines.lines().collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 25);
        assert!(seen.iter().all(|token| token.starts_with("rg1_") && token.len() == 64));
        for file in [&tokens, &data.join("regrant.db"), &data.join("keys.toml")] {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
        let refused = fill(&data, 25, &tokens, DEFAULT_ISSUER).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("already"), "{refused}");
    }

    #[test]
    fn what_is_no_secret_is_the_same_every_time() {
        let bytes = || {
            let mut bytes = [0; 20];
            Repeatable(Mutex::new(Chance(1))).fill(&mut bytes);
            bytes
        };
        assert_eq!(bytes(), bytes());
        assert_ne!(bytes(), [0; 20]);
    }
}
