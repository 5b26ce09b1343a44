//! Users: people, their identifiers, claims and roles.

use std::fmt;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::{
    By, Engine,
    claims::{LONGEST_NAME, MOST_MAPPED_BYTES},
    client::is_hidden,
    event::{Event, EventKind},
    factor::password::{Busy, Weakness},
    id::{Epoch, UserId},
    ports::{Broken, End, UserChanged, UserSelector, UsersAdded},
    reason::Reason,
    reason::named,
    time::Time,
    token::Shard,
};

/// A person.
#[derive(Clone, PartialEq, Debug)]
pub struct User {
    /// The `sub` of its tokens.
    pub id: UserId,
    /// Where its rows live on a distributed engine.
    pub shard: Shard,
    /// Since when it cannot sign in; `None` while it can.
    pub disabled_at: Option<Time>,
    /// Raised to end all that it holds.
    pub epoch: Epoch,
    /// What it signs in with.
    pub identifiers: Vec<Identified>,
    /// What is known of it, by claim name (OpenID Connect Core §5.1 and the operator's own).
    pub claims: Map<String, Value>,
    /// Its roles, sorted.
    pub roles: Vec<String>,
    /// Whether it has a password.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Time,
}

/// A role that users can have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// As tokens tell it.
    pub name: String,
    /// What it is for, in words.
    pub description: Option<String>,
    /// When it was added.
    pub created_at: Time,
    /// How many users have it.
    pub users: u64,
}

/// An identifier of a user, as it was given and as it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identified {
    /// As it is compared.
    pub identifier: Identifier,
    /// As it was given.
    pub shown: String,
    /// When the user proved that it is theirs.
    pub verified_at: Option<Time>,
}

named! {
    /// What an identifier is.
    IdentifierKind {
        /// An e-mail address.
        Email = "email",
        /// A name that the user chose.
        Username = "username",
    }
}

/// An identifier in the form that is compared: NFC, trimmed, lower case.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identifier {
    /// What it is.
    pub kind: IdentifierKind,
    /// Its normalised value.
    pub value: String,
}

/// Why text is no identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdentifierError {
    /// Nothing is left after trimming.
    Empty,
    /// Longer than [`Identifier::LONGEST`] bytes.
    TooLong,
    /// White space, a control character or one that is not seen within.
    ForeignCharacter,
    /// It is written like a user's id, and commands take either.
    LikeAnId,
    /// An e-mail address needs one `@` with something on both sides.
    NotAnAddress,
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it is longer than {} bytes", Identifier::LONGEST),
            Self::ForeignCharacter => f.write_str("it contains white space, or a character that is not seen"),
            Self::LikeAnId => f.write_str("it is written like the id of a user, and could be taken for another one's"),
            Self::NotAnAddress => {
                f.write_str("it is not an e-mail address: expected one \"@\" with text on both sides")
            }
        }
    }
}

impl std::error::Error for IdentifierError {}

impl Identifier {
    /// In bytes: the longest path of RFC 5321 §4.5.3.1.3.
    pub const LONGEST: usize = 254;

    /// Reads what somebody typed at a sign-in: an e-mail address if it has an `@`, a username otherwise.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let value = normalised(text)?;
        let kind = if value.contains('@') { IdentifierKind::Email } else { IdentifierKind::Username };
        if kind == IdentifierKind::Email {
            check_address(&value)?;
        }
        Ok(Self { kind, value })
    }

    /// Reads an e-mail address.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn email(text: &str) -> Result<Self, IdentifierError> {
        let value = normalised(text)?;
        check_address(&value)?;
        Ok(Self { kind: IdentifierKind::Email, value })
    }
}

fn normalised(text: &str) -> Result<String, IdentifierError> {
    // Before the normalisation, which may lengthen the text: nothing is worked on that could not be kept.
    if text.len() > 2 * Identifier::LONGEST {
        return Err(IdentifierError::TooLong);
    }
    let value: String = text.trim().nfc().flat_map(char::to_lowercase).nfc().collect();
    if value.is_empty() {
        Err(IdentifierError::Empty)
    } else if value.len() > Identifier::LONGEST {
        Err(IdentifierError::TooLong)
    } else if value.chars().any(|c| c.is_whitespace() || is_hidden(c)) {
        Err(IdentifierError::ForeignCharacter)
    } else if value.parse::<UserId>().is_ok() {
        Err(IdentifierError::LikeAnId)
    } else {
        Ok(value)
    }
}

/// The full grammar of RFC 5321 lets through what no mail system takes; that a mail arrives is the only proof.
fn check_address(value: &str) -> Result<(), IdentifierError> {
    match value.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') => Ok(()),
        _ => Err(IdentifierError::NotAnAddress),
    }
}

/// A user to be added.
#[derive(Clone, PartialEq, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Its shard.
    pub shard: Shard,
    /// What it signs in with.
    pub identifiers: Vec<Identified>,
    /// What is known of it.
    pub claims: Map<String, Value>,
    /// Its roles.
    pub roles: Vec<String>,
    /// The hash of its password (PHC string), if it has one.
    pub password: Option<String>,
    /// Whether it begins disabled.
    pub disabled: bool,
    /// When it is made.
    pub at: Time,
}

/// What the operator says of a user to be added.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UserDraft {
    /// E-mail addresses and usernames; at least one.
    pub identifiers: Vec<String>,
    /// What is known of it.
    pub claims: Map<String, Value>,
    /// Its roles.
    pub roles: Vec<String>,
    /// A hash of its password from elsewhere (PHC string).
    pub password_hash: Option<String>,
    /// Whether it begins disabled.
    pub disabled: bool,
}

/// Why a draft is no user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftError {
    /// It has no identifier.
    NoIdentifier,
    /// This one is none.
    Identifier(String, IdentifierError),
    /// This claim's name belongs to tokens (RFC 7519 §4.1, RFC 9068 §2.2) or is too long.
    Claim(String),
    /// The claims are larger than [`MOST_CLAIM_BYTES`].
    TooManyClaims,
    /// Those that tokens tell are larger than [`MOST_MAPPED_BYTES`].
    TooManyMapped,
    /// More than [`MOST_ROLES`].
    TooManyRoles,
    /// The hash is none that this version can check.
    PasswordHash,
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentifier => f.write_str("a user needs an e-mail address or a username"),
            Self::Identifier(text, why) => write!(f, "\"{text}\" cannot be an identifier: {why}"),
            Self::Claim(name) => {
                write!(
                    f,
                    "the claim \"{name}\" cannot be set: its name is reserved for tokens, empty or over 64 characters"
                )
            }
            Self::TooManyClaims => write!(f, "the claims are larger than {MOST_CLAIM_BYTES} bytes as JSON"),
            Self::TooManyMapped => write!(
                f,
                "the claims that access tokens tell ([tokens.claims]) are larger than {MOST_MAPPED_BYTES} bytes as JSON"
            ),
            Self::TooManyRoles => {
                write!(f, "a user has at most {MOST_ROLES} roles: each is told in every access token")
            }
            Self::PasswordHash => {
                f.write_str("the password hash is not an argon2id PHC string within the accepted costs")
            }
        }
    }
}

impl std::error::Error for DraftError {}

/// The roles of a user: their names are told in every access token, which must stay small enough for a header.
pub const MOST_ROLES: usize = 50;

/// The largest claims of a user, as JSON.
pub const MOST_CLAIM_BYTES: usize = 8 * 1024;

/// Names that mean something else in a token: RFC 7519 §4.1, RFC 9068 §2.2, OpenID Connect Core §2, RFC 8693 §4, RFC 9396 §9.
const RESERVED_CLAIMS: [&str; 23] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "sid",
    "grt",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "nonce",
    "at_hash",
    "c_hash",
    "cnf",
    "roles",
    "act",
    "may_act",
    "authorization_details",
];

/// Whether a token means something of its own by this name.
pub(crate) fn is_reserved_claim(name: &str) -> bool {
    RESERVED_CLAIMS.contains(&name)
}

/// Makes a user of what the operator said. `password` is the hash made by `factor/password.rs`, if a password was given.
///
/// # Errors
/// [`DraftError`]
pub fn prepare(engine: &Engine, draft: UserDraft, password: Option<String>) -> Result<NewUser, DraftError> {
    if draft.identifiers.is_empty() {
        return Err(DraftError::NoIdentifier);
    }
    let identifiers = draft
        .identifiers
        .into_iter()
        .map(|text| match Identifier::parse(&text) {
            Ok(identifier) => Ok(Identified { identifier, shown: text.trim().to_owned(), verified_at: None }),
            Err(why) => Err(DraftError::Identifier(text, why)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let refused = draft
        .claims
        .keys()
        .find(|name| is_reserved_claim(name) || name.is_empty() || name.chars().count() > LONGEST_NAME);
    if let Some(name) = refused {
        return Err(DraftError::Claim(name.clone()));
    }
    if serde_json::to_string(&draft.claims).map_or(usize::MAX, |json| json.len()) > MOST_CLAIM_BYTES {
        return Err(DraftError::TooManyClaims);
    }
    if !engine.settings.claims.fits(&draft.claims, identifiers.first().map(|first| first.shown.as_str())) {
        return Err(DraftError::TooManyMapped);
    }
    if draft.password_hash.as_deref().is_some_and(|hash| !crate::factor::password::can_check(hash)) {
        return Err(DraftError::PasswordHash);
    }
    if draft.roles.len() > MOST_ROLES {
        return Err(DraftError::TooManyRoles);
    }
    let at = engine.now();
    let id = UserId::new(at, &*engine.random);
    let mut roles = draft.roles;
    roles.sort();
    roles.dedup();
    Ok(NewUser {
        id,
        shard: engine.digests.shard(id),
        identifiers,
        claims: draft.claims,
        roles,
        password: password.or(draft.password_hash),
        disabled: draft.disabled,
        at,
    })
}

/// Adds prepared users: all or none.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn add<'e>(by: impl Into<By<'e>>, users: Vec<NewUser>) -> Result<UsersAdded, Broken> {
    let By { engine, actor } = by.into();
    let event = Event::new(EventKind::UserCreated, engine.now(), actor, &*engine.random);
    engine.store.add_users(users, event).await
}

/// Why a new password was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordRefused {
    /// It is too easy to guess, or too long.
    Weak(Weakness),
    /// Too many passwords are being hashed; nothing was tried.
    Busy,
}

impl From<Busy> for PasswordRefused {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// Hashes a new password for a user with these identifiers, if the rules allow it.
///
/// # Errors
/// [`PasswordRefused`]
pub async fn hash_password(engine: &Engine, password: &str, identifiers: &[&str]) -> Result<String, PasswordRefused> {
    engine.settings.passwords.check(password, identifiers).map_err(PasswordRefused::Weak)?;
    Ok(engine.hasher.hash(password).await?)
}

/// Sets a password by the operator. Everything that the user holds ends.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn set_password<'e>(by: impl Into<By<'e>>, user: UserSelector, hash: String) -> Result<UserChanged, Broken> {
    let by = by.into();
    by.engine.store.set_password(user, hash, end(by, Reason::PasswordChanged)).await
}

/// Disables a user (everything that it holds ends) or enables it.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn set_disabled<'e>(
    by: impl Into<By<'e>>,
    user: UserSelector,
    disabled: bool,
) -> Result<UserChanged, Broken> {
    let by = by.into();
    by.engine.store.set_disabled(user, disabled, end(by, Reason::UserDisabled)).await
}

/// Deletes a user. Its tokens end; its name stays in the timeline until the retention is over.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn delete<'e>(by: impl Into<By<'e>>, user: UserSelector) -> Result<UserChanged, Broken> {
    let by = by.into();
    by.engine.store.delete_user(user, end(by, Reason::UserDeleted)).await
}

fn end(By { engine, actor }: By<'_>, reason: Reason) -> End {
    End { at: engine.now(), reason, actor }
}

/// Whether `name` can be a role: 1 to 64 characters of letters, digits and `-_.:`.
#[must_use]
pub fn is_role_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

#[cfg(test)]
mod tests;
