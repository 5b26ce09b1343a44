//! Passwords: what is asked of one (NIST SP 800-63B-4 §3.1.1), and Argon2id off the async threads.
//!
//! Hashing is the only expensive thing that a stranger can ask for, so it stands behind a bounded queue: so many are hashed
//! at once, so many wait, and the next one is told to come back later.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash, Salt},
};
use aws_lc_rs::constant_time;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::ports::Random;

/// What is asked of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordRules {
    /// At least so many code points after NFC.
    pub shortest: usize,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { shortest: 12 }
    }
}

/// At most so many code points: longer ones cost us more than they give.
pub const LONGEST: usize = 128;

/// Why a password was not taken. NIST SP 800-63B-4 §3.1.1.2: the reason is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weakness {
    /// Fewer code points than this.
    TooShort(usize),
    /// More than [`LONGEST`].
    TooLong,
    /// One of those that everybody tries first.
    Common,
    /// The identifier itself, or it again and again.
    Identifier,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(least) => write!(f, "use at least {least} characters"),
            Self::TooLong => write!(f, "use at most {LONGEST} characters"),
            Self::Common => f.write_str("this is one of the passwords that are tried first; choose another one"),
            Self::Identifier => f.write_str("this is the name that you sign in with; choose another one"),
        }
    }
}

impl PasswordRules {
    /// Checks a new password of somebody with these identifiers.
    ///
    /// # Errors
    /// [`Weakness`]
    pub fn check(&self, password: &str, identifiers: &[&str]) -> Result<(), Weakness> {
        let Some(normal) = normalised(password) else {
            return Err(Weakness::TooLong);
        };
        let length = normal.chars().count();
        if length < self.shortest {
            return Err(Weakness::TooShort(self.shortest));
        }
        // The whole password is compared, not its parts (NIST SP 800-63B-4 §3.1.1.2).
        let lower = normal.to_lowercase();
        if COMMON.contains(&lower.as_str()) || is_one_pattern(&lower) {
            return Err(Weakness::Common);
        }
        let is_name = |name: &&str| {
            let name = name.to_lowercase();
            let local = name.split('@').next().unwrap_or_default().to_owned();
            lower == name || (!local.is_empty() && lower.replace(&local, "").is_empty())
        };
        if identifiers.iter().any(is_name) {
            return Err(Weakness::Identifier);
        }
        Ok(())
    }
}

/// Cost of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// OWASP's recommendation: 19 MiB, t = 2, p = 1.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

impl Cost {
    /// The largest that an imported hash may ask for: one sign-in must not take a node's memory.
    pub const MOST: Self = Self { memory_kib: 256 * 1024, passes: 16, lanes: 8 };

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, None).ok()
    }
}

/// Too many passwords are being hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// How busy a [`Hasher`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// So many are hashed now.
    pub running: usize,
    /// So many wait for their turn.
    pub waiting: usize,
    /// So many were sent away since the start.
    pub refused: u64,
}

/// Makes and checks hashes, so many at once.
pub struct Hasher {
    cost: Cost,
    argon2: Argon2<'static>,
    /// Checked for those who do not exist, so that the answer takes as long.
    decoy: String,
    /// One for each that is hashed at once. Fresh memory for each hash would be kept by the allocator, on every thread that
    /// ever hashed.
    memory: Arc<Memory>,
    concurrency: usize,
    running: Arc<Semaphore>,
    /// A place for each that is hashed or waits.
    waiting: Arc<Semaphore>,
    places: usize,
    refused: AtomicU64,
    random: Arc<dyn Random>,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// The right to hash now. Held while a password is checked, so that what is read after it was taken still holds.
pub struct Turn {
    _running: tokio::sync::OwnedSemaphorePermit,
    _waiting: tokio::sync::OwnedSemaphorePermit,
}

/// What checking a password told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// It is another one, or there is none.
    Wrong,
    /// It is the right one.
    Right {
        /// Its hash was made at another cost and should be made again.
        outdated: bool,
    },
}

impl Hasher {
    /// `concurrency` at once, `queue` waiting. `None` if Argon2 refuses the cost.
    #[must_use]
    pub fn new(cost: Cost, concurrency: usize, queue: usize, random: Arc<dyn Random>) -> Option<Self> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
        let memory = Arc::new(Memory::new(argon2.params()));
        let decoy = decoy(&argon2, &*random)?;
        Some(Self {
            cost,
            argon2,
            decoy,
            memory,
            concurrency,
            running: Arc::new(Semaphore::new(concurrency)),
            waiting: Arc::new(Semaphore::new(concurrency + queue)),
            places: concurrency + queue,
            refused: AtomicU64::new(0),
            random,
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Busy`] at once if too many wait already.
    pub async fn turn(&self) -> Result<Turn, Busy> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Busy
        })?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        Ok(Turn { _running: running, _waiting: waiting })
    }

    /// How busy it is.
    #[must_use]
    pub fn load(&self) -> Load {
        let running = self.concurrency.saturating_sub(self.running.available_permits());
        let held = self.places.saturating_sub(self.waiting.available_permits());
        Load { running, waiting: held.saturating_sub(running), refused: self.refused.load(Ordering::Relaxed) }
    }

    /// Checks `password` against `hash`. Without one a decoy is checked, so that the time tells nothing.
    ///
    /// # Errors
    /// [`Busy`] if the runtime is stopping.
    pub async fn check(&self, turn: Turn, hash: Option<&str>, password: &str) -> Result<Checked, Busy> {
        let Some(password) = normalised(password) else {
            // Longer than any password can be: it cannot be right, and hashing it would cost. The length is the caller's own.
            return Ok(Checked::Wrong);
        };
        let exists = hash.is_some_and(can_check);
        let hash = hash.filter(|hash| can_check(hash)).unwrap_or(&self.decoy).to_owned();
        let cost = self.cost;
        let memory = Arc::clone(&self.memory);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Ok(parsed) = PasswordHash::new(&hash) else {
                return Checked::Wrong;
            };
            let right = matches(&parsed, &memory, &password);
            if right && exists { Checked::Right { outdated: cost_of(&parsed) != Some(cost) } } else { Checked::Wrong }
        })
        .await
        .map_err(|_| Busy)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Busy`] if too many wait already.
    pub async fn hash(&self, password: &str) -> Result<String, Busy> {
        let turn = self.turn().await?;
        let password = normalised(password).ok_or(Busy)?;
        let (argon2, memory, random) = (self.argon2.clone(), Arc::clone(&self.memory), Arc::clone(&self.random));
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash(&argon2, &memory, &password, &*random)
        })
        .await
        .ok()
        .flatten()
        .ok_or(Busy)
    }
}

/// Whether `hash` is one that this version checks, at a cost that it is willing to pay.
#[must_use]
pub fn can_check(hash: &str) -> bool {
    let Some(cost) = PasswordHash::new(hash).ok().as_ref().and_then(cost_of) else {
        return false;
    };
    cost.memory_kib <= Cost::MOST.memory_kib && cost.passes <= Cost::MOST.passes && cost.lanes <= Cost::MOST.lanes
}

fn cost_of(hash: &PasswordHash) -> Option<Cost> {
    if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() {
        return None;
    }
    let params = Params::try_from(hash).ok()?;
    Some(Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() })
}

/// Working memory of hashes that are done, for those to come.
struct Memory {
    /// The blocks that a hash at our own cost needs. An imported one may ask for more, which is given back.
    size: usize,
    free: Mutex<Vec<Vec<Block>>>,
}

impl Memory {
    fn new(params: &Params) -> Self {
        Self { size: params.block_count(), free: Mutex::default() }
    }

    /// Lends memory for one hash.
    fn lend<T>(&self, params: &Params, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut blocks = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        blocks.resize(self.size.max(params.block_count()), Block::default());
        let outcome = work(blocks.get_mut(..params.block_count()).unwrap_or_default());
        blocks.truncate(self.size);
        blocks.shrink_to_fit();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
        outcome
    }
}

fn hash(argon2: &Argon2<'_>, memory: &Memory, password: &str, random: &dyn Random) -> Option<String> {
    let mut salt = [0; 16];
    random.fill(&mut salt);
    let mut output = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
    let fill = |blocks: &mut [Block]| {
        argon2.hash_password_into_with_memory(password.as_bytes(), &salt, output.as_mut_slice(), blocks)
    };
    memory.lend(argon2.params(), fill).ok()?;
    told(argon2, &salt, output.as_slice())
}

/// A hash that no password is known to have: it is not computed, only ever compared with.
fn decoy(argon2: &Argon2<'_>, random: &dyn Random) -> Option<String> {
    let (mut salt, mut output) = ([0; 16], [0; Params::DEFAULT_OUTPUT_LEN]);
    random.fill(&mut salt);
    random.fill(&mut output);
    told(argon2, &salt, &output)
}

/// As a PHC string.
fn told(argon2: &Argon2<'_>, salt: &[u8], output: &[u8]) -> Option<String> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: argon2.params().try_into().ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(output).ok()?),
    };
    Some(hash.to_string())
}

/// Whether `password` has this hash, at the cost that the hash names.
fn matches(hash: &PasswordHash, memory: &Memory, password: &str) -> bool {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return false;
    };
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
    let (Ok(params), Ok(version)) = (Params::try_from(hash), version) else {
        return false;
    };
    let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
    let mut output = Zeroizing::new(vec![0; expected.as_bytes().len()]);
    let fill = |blocks: &mut [Block]| {
        argon2.hash_password_into_with_memory(password.as_bytes(), salt.as_ref(), &mut output, blocks)
    };
    memory.lend(argon2.params(), fill).is_ok()
        && constant_time::verify_slices_are_equal(&output, expected.as_bytes()).is_ok()
}

/// NIST SP 800-63B-4 §3.1.1.2: Unicode passwords are normalised before they are hashed. `None` if longer than [`LONGEST`].
fn normalised(password: &str) -> Option<Zeroizing<String>> {
    // A code point is at most four bytes; NFC of text within the limit may have had three times as many before.
    if password.len() > LONGEST * 4 * 3 {
        return None;
    }
    let normal: Zeroizing<String> = Zeroizing::new(password.nfc().collect());
    (normal.chars().count() <= LONGEST).then_some(normal)
}

/// One character, or a run up or down the alphabet or the digits, all the way.
fn is_one_pattern(password: &str) -> bool {
    let codes: Vec<i64> = password.chars().map(|c| i64::from(u32::from(c))).collect();
    [0, 1, -1].iter().any(|step| codes.windows(2).all(|pair| matches!(pair, [a, b] if b - a == *step)))
}

/// Those that are tried first and are long enough for the default rule. An offline list of breached ones is a later wave's.
const COMMON: [&str; 40] = [
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789123456",
    "1234567890123456",
    "1234567891011",
    "123456123456",
    "123123123123",
    "111222333444",
    "121212121212",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "qwertyqwerty",
    "qwerty123456",
    "qwerty1234567890",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "qazwsxedcrfv",
    "asdfghjkl123",
    "zxcvbnm12345",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "password123!",
    "p@ssw0rd1234",
    "p@ssword1234",
    "passw0rd1234",
    "administrator",
    "admin123456789",
    "adminadminadmin",
    "welcome12345",
    "letmein12345",
    "iloveyou1234",
    "iloveyou12345",
    "changeme1234",
    "correcthorsebatterystaple",
    "correct horse battery staple",
];

#[cfg(test)]
mod tests;
