//! What an application learns of a user (OpenID Connect Core §5.1, §5.4): by the scopes that were granted.

use serde_json::{Map, Value, json};

use crate::{
    Engine,
    id::GrantRef,
    mint::Own,
    ports::{Broken, Loaded, UserSelector},
    refresh::{Owner, Terms},
    scope,
    session::alive,
    user::{IdentifierKind, User},
};

const PROFILE: [&str; 14] = [
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];

/// The grant that an access token came from. Its subject is a user: then a store knows where to look.
pub(crate) async fn granted(engine: &Engine, token: &Own, grant: GrantRef) -> Result<Option<Loaded>, Broken> {
    match token.subject.parse() {
        Ok(user) => engine.store.grant_of_user(user, grant).await,
        Err(_) => engine.store.grant(grant).await,
    }
}

/// Whether an access token's grant, session and user still live.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn lives(engine: &Engine, token: &Own) -> Result<bool, Broken> {
    if let Some(grant) = token.grant {
        let Some(loaded) = granted(engine, token, grant).await? else {
            return Ok(false);
        };
        let (state, now) = (&loaded.state, engine.now());
        let Some(client) = engine.client(&state.grant.client).await? else {
            return Ok(false);
        };
        let policy = Terms::of(&client).policy(engine, state.grant.kind);
        return Ok(state.grant.life.is_alive()
            && state.session.is_none_or(|session| session.is_alive())
            && state.user == Owner::Active(state.grant.epoch)
            && state.grant.expired(&policy, now).is_none());
    }
    match (token.session, token.subject.parse()) {
        (Some(session), Ok(user)) => Ok(alive(engine, user, session).await?.is_some()),
        // A client's own: it lives as long as the client.
        _ => Ok(engine.client(&token.client).await?.is_some()),
    }
}

/// The claims for the holder of this token; `None` if it is over, or not about a user.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn userinfo(engine: &Engine, token: &Own) -> Result<Option<Map<String, Value>>, Broken> {
    let Ok(id) = token.subject.parse() else {
        return Ok(None);
    };
    if !lives(engine, token).await? {
        return Ok(None);
    }
    let Some(user) = engine.store.user(UserSelector::Id(id)).await?.filter(|user| user.disabled_at.is_none()) else {
        return Ok(None);
    };
    let mut told = claims(&user, &token.scope);
    let of_client =
        engine.client(&token.client).await?.map(|client| client.metadata.claims.clone()).unwrap_or_default();
    let identifier = user.identifiers.first().map(|first| first.shown.as_str());
    for (name, value) in engine.settings.told_for(&of_client, &token.scope).of(&user.claims, identifier) {
        // What the standard's scopes tell, they tell: an address must not come apart from whether it is verified.
        told.entry(name).or_insert(value);
    }
    Ok(Some(told))
}

/// What the scopes tell of a user.
#[must_use]
pub fn claims(user: &User, granted: &str) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("sub".to_owned(), json!(user.id));
    let known = |name: &str| user.claims.get(name).filter(|value| !value.is_null()).cloned();
    let first = |kind| user.identifiers.iter().find(|known| known.identifier.kind == kind);
    let mut tell = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            told.insert(name.to_owned(), value);
        }
    };
    if scope::has(granted, scope::PROFILE) {
        PROFILE.iter().for_each(|name| tell(name, known(name)));
        if known("preferred_username").is_none() {
            tell("preferred_username", first(IdentifierKind::Username).map(|known| json!(known.shown)));
        }
    }
    if scope::has(granted, scope::EMAIL) {
        match first(IdentifierKind::Email) {
            Some(address) => {
                tell("email", Some(json!(address.shown)));
                tell("email_verified", Some(json!(address.verified_at.is_some())));
            }
            None => ["email", "email_verified"].iter().for_each(|name| tell(name, known(name))),
        }
    }
    if scope::has(granted, scope::ADDRESS) {
        tell("address", known("address").filter(Value::is_object));
    }
    if scope::has(granted, scope::PHONE) {
        ["phone_number", "phone_number_verified"].iter().for_each(|name| tell(name, known(name)));
    }
    told
}
