//! The admin API, `/admin/`: the command line's verbs over HTTP, for people with the role `admin` and clients that may.
//!
//! 1. [`Admin`] finds out who calls: by Bearer only. Everything is looked up anew at each call: a role taken away, a session or grant
//!    that ended, a client that was removed end it at once.
//! 2. What a request brings is read by `request.rs`: who calls is found out first, so that strangers learn nothing of paths and bodies.
//! 3. A handler makes a command of it; `control/` carries it out as for the command line, in the caller's name.
//! 4. Documents go out as the command line's `--json` has them, with a strong `ETag` (`entity.rs`); lists a page at a time
//!    (`list.rs`).
//!
//! No cookie counts here and no other origin's page may call: there is nothing to forge.

mod accesses;
mod clients;
mod entity;
mod keys;
mod list;
mod request;
mod resources;
mod sessions;
mod users;

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use regrant_engine::{
    client::GrantType,
    event::Actor,
    id::UserId,
    mint::{ADMIN_ROLE, ADMIN_SCOPE},
    ports::{Broken, UserSelector},
    scope,
    userinfo::lives,
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Shared, caller::bearer, parameters::Unreadable, protocol_error::ApiError};
use crate::control::{self, Command, Refused};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(users::set_password))
        .routes(routes!(users::grant_role, users::revoke_role))
        .routes(routes!(users::roles, users::add_role))
        .routes(routes!(users::show_role, users::remove_role))
        .routes(routes!(clients::list, clients::add))
        .routes(routes!(clients::show, clients::remove))
        .routes(routes!(clients::rotate_secret))
        .routes(routes!(resources::list, resources::add))
        .routes(routes!(resources::show, resources::replace, resources::remove))
        .routes(routes!(sessions::list, sessions::end_all))
        .routes(routes!(sessions::show, sessions::end))
        .routes(routes!(accesses::grants))
        .routes(routes!(accesses::consents, accesses::withdraw))
        .routes(routes!(keys::list))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::retire))
        .routes(routes!(accesses::events))
        .routes(routes!(accesses::explain))
}

/// An administrator who calls.
pub(super) struct Admin {
    app: Shared,
    actor: Actor,
    /// The request's: they may say conditions (`entity.rs`).
    headers: HeaderMap,
}

impl FromRequestParts<Shared> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or(ApiError::NotSignedIn)?;
        let engine = &app.engine;
        let calls = |actor| Self { app: Arc::clone(app), actor, headers: parts.headers.clone() };
        let own = engine.mint.check_own(token, engine.now()).ok_or(ApiError::AccessToken)?;
        // RFC 9449 §7.2: a bound token is no bearer token.
        if own.key.is_some() {
            return Err(ApiError::AccessToken);
        }
        // RFC 8707 §2, RFC 9068 §4: a token for another audience has no power here, whatever it says.
        let is_for_us = own.audience.iter().any(|audience| *audience == engine.settings.issuer);
        if !is_for_us || !lives(engine, &own).await? {
            return Err(ApiError::AccessToken);
        }
        if !scope::has(&own.scope, ADMIN_SCOPE) {
            return Err(ApiError::NotAdmin);
        }
        if let Ok(id) = own.subject.parse::<UserId>() {
            let user = engine.store.user(UserSelector::Id(id)).await?;
            let user = user.filter(|user| user.disabled_at.is_none()).ok_or(ApiError::AccessToken)?;
            // As of now, and not as of when the token was made.
            let is_admin = user.roles.iter().any(|role| role == ADMIN_ROLE);
            return if is_admin { Ok(calls(Actor::Admin(id))) } else { Err(ApiError::NotAdmin) };
        }
        let client = engine.client(&own.client).await?.ok_or(ApiError::AccessToken)?;
        let may = *own.subject == *client.id.0 && client.may(GrantType::ClientCredentials);
        if may && client.has_scope(ADMIN_SCOPE) { Ok(calls(Actor::Service)) } else { Err(ApiError::NotAdmin) }
    }
}

impl Admin {
    /// Carries a command out in the caller's name.
    async fn run(&self, command: Command) -> Result<Value, ApiError> {
        let done = control::execute(&self.app.engine, self.actor, &self.app.keeper, command).await;
        Ok(done.map(|reply| reply.document)?)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::No(why) => Self::Declined(sentence(&why)),
            Refused::NotFound(_) => Self::NotFound,
            Refused::Usage(why) => Self::InvalidRequest(sentence(&why)),
            Refused::Broken(why) => Self::Broken(Broken::Store(why)),
        }
    }
}

impl From<Unreadable> for ApiError {
    fn from(unreadable: Unreadable) -> Self {
        Self::InvalidRequest(format!("The query cannot be read: {unreadable}."))
    }
}

/// As the command line says it, with a capital letter and a full stop.
fn sentence(why: &str) -> String {
    let mut characters = why.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
