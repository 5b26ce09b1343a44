//! The authorization endpoint's rules (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2), without HTTP and without a store.
//!
//! 1. [`destination`]: who asks, and where the answer may go. While that is not sure, nobody is sent anywhere.
//! 2. [`check`]: what is asked for. What is wrong here is told to the application.
//! 3. [`step`]: what is to be done next: sign in, ask for consent, give a code, or refuse. First match wins.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Engine,
    client::{Client, GrantType, redirect_uri},
    consent::Consent,
    id::{SessionId, UserId},
    ports::{Broken, UserSelector},
    refresh::KeyThumbprint,
    resource::{Registry, Untargeted, audiences},
    scope,
    settings::Settings,
    time::{Seconds, Time},
};

/// A request as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    /// RFC 6749 §4.1.1; so the next four.
    pub response_type: Option<&'r str>,
    /// See above.
    pub redirect_uri: Option<&'r str>,
    /// See above.
    pub scope: Option<&'r str>,
    /// See above.
    pub state: Option<&'r str>,
    /// OAuth 2.0 Form Post Response Mode.
    pub response_mode: Option<&'r str>,
    /// RFC 7636 §4.3; so the next.
    pub code_challenge: Option<&'r str>,
    /// See above.
    pub code_challenge_method: Option<&'r str>,
    /// OpenID Connect Core §3.1.2.1; so the next three.
    pub nonce: Option<&'r str>,
    /// See above.
    pub prompt: Option<&'r str>,
    /// See above.
    pub max_age: Option<&'r str>,
    /// See above.
    pub login_hint: Option<&'r str>,
    /// The user of the application's last ID token, once that was checked.
    pub hinted_user: Option<UserId>,
    /// An ID token came as a hint, and is none of ours.
    pub hint_is_foreign: bool,
    /// RFC 8707 §2.
    pub resources: &'r [&'r str],
    /// RFC 9449 §10.
    pub dpop_jkt: Option<&'r str>,
    /// OpenID Connect Core §6.1, which is not offered; so the next two.
    pub request: bool,
    /// See above.
    pub request_uri: bool,
    /// OpenID Connect Core §7.2.1.
    pub registration: bool,
}

/// Where nobody is sent, and why: told to the person, on a page of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nowhere {
    /// There is no such client.
    Client,
    /// The client takes no codes.
    Grant,
    /// `redirect_uri` is missing or not registered.
    RedirectUri,
}

/// Whose request it is, and where its answer goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The client.
    pub client: Arc<Client>,
    /// One of its addresses.
    pub redirect_uri: String,
    /// How the answer travels.
    pub mode: ResponseMode,
    /// Given back as it came.
    pub state: Option<String>,
}

/// How an answer travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseMode {
    /// In the query of the address.
    Query,
    /// In a form that the browser posts.
    FormPost,
}

/// Finds out where the answer may go.
///
/// # Errors
/// [`Nowhere`]
pub fn destination(client: Option<Arc<Client>>, request: &Request<'_>) -> Result<Destination, Nowhere> {
    let client = client.ok_or(Nowhere::Client)?;
    if !client.may(GrantType::AuthorizationCode) {
        return Err(Nowhere::Grant);
    }
    let metadata = &client.metadata;
    // RFC 9700 §2.1, §4.1.3: exactly, and before anybody is redirected; §4.11: an error does not make us an open redirector.
    let redirect_uri = request
        .redirect_uri
        .filter(|uri| redirect_uri::is_registered(&metadata.redirect_uris, metadata.application_type, uri))
        .ok_or(Nowhere::RedirectUri)?;
    // A mode that is not known is told by the default one.
    let mode = if request.response_mode == Some("form_post") { ResponseMode::FormPost } else { ResponseMode::Query };
    let state = request.state.map(str::to_owned);
    Ok(Destination { redirect_uri: redirect_uri.to_owned(), mode, state, client })
}

/// Why a request is refused, as its client is told (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, RFC 8707 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A parameter is missing, wrong or does not fit the others; the sentence says which.
    InvalidRequest(&'static str),
    /// Another response type than `code`.
    UnsupportedResponseType,
    /// Nothing of the scope may be asked for.
    InvalidScope,
    /// The resource may not be asked for.
    InvalidTarget,
    /// `prompt=none`, and nobody is signed in.
    LoginRequired,
    /// `prompt=none`, and nobody has consented.
    ConsentRequired,
    /// The person said no.
    AccessDenied,
    /// `request` is not offered.
    RequestNotSupported,
    /// `request_uri` is not offered.
    RequestUriNotSupported,
    /// `registration` is not offered.
    RegistrationNotSupported,
    /// The machine broke.
    ServerError,
}

/// A request that may be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorization {
    /// Whose, and where to.
    pub to: Destination,
    /// What is asked for and may be.
    pub scope: String,
    /// Whom the access tokens are for, with a space between.
    pub audience: String,
    /// What the person is to allow, as it is remembered.
    pub to_allow: String,
    /// OpenID Connect Core §2: comes back in the ID token.
    pub nonce: Option<String>,
    /// RFC 7636 §4.2: the SHA-256 of the verifier, in base64url.
    pub challenge: Option<String>,
    /// RFC 9449 §10: the key that the code is to be bound to.
    pub key: Option<KeyThumbprint>,
    /// What the application wants the person to be asked.
    pub prompt: Prompt,
    /// How long ago the person may have proven who they are.
    pub max_age: Option<Seconds>,
    /// Who the application thinks it is.
    pub hinted_user: Option<UserId>,
}

/// OpenID Connect Core §3.1.2.1, `prompt`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prompt {
    /// Nothing: fail instead.
    pub none: bool,
    /// To sign in, again.
    pub login: bool,
    /// To consent, again.
    pub consent: bool,
}

/// Checks what is asked for.
///
/// # Errors
/// [`Refused`], to be told to the client.
pub fn check(
    to: Destination,
    request: &Request<'_>,
    settings: &Settings,
    registry: &Registry,
) -> Result<Authorization, Refused> {
    if request.request {
        return Err(Refused::RequestNotSupported);
    }
    if request.request_uri {
        return Err(Refused::RequestUriNotSupported);
    }
    if request.registration {
        return Err(Refused::RegistrationNotSupported);
    }
    match request.response_type {
        Some("code") => {}
        // RFC 9700 §2.1.2: no implicit grant, and so no other type.
        Some(_) => return Err(Refused::UnsupportedResponseType),
        None => return Err(Refused::InvalidRequest("response_type is missing")),
    }
    if !matches!(request.response_mode, None | Some("query" | "form_post")) {
        return Err(Refused::InvalidRequest("response_mode must be query or form_post"));
    }
    let challenge = challenge(&to.client, request)?;
    let prompt = prompt(request.prompt)?;
    let max_age = match request.max_age {
        None => None,
        Some(text) => {
            let seconds = text.parse().map_err(|_| Refused::InvalidRequest("max_age must be a number of seconds"))?;
            Some(Seconds(seconds))
        }
    };
    if request.hint_is_foreign {
        return Err(Refused::InvalidRequest("id_token_hint is not an ID token of this server"));
    }
    let (scope, audience) = wanted(&to.client, request.scope, request.resources, settings, registry)?;
    let to_allow = registry.to_allow(&audiences(&audience), &scope);
    let named = request.dpop_jkt.map(KeyThumbprint::parse);
    let key = named.map(|key| key.ok_or(Refused::InvalidRequest("dpop_jkt must be the thumbprint of a key")));
    let key = key.transpose()?;
    let nonce = request.nonce.map(str::to_owned);
    let hinted_user = request.hinted_user;
    Ok(Authorization { to, scope, audience, to_allow, nonce, challenge, key, prompt, max_age, hinted_user })
}

/// What a client may have of what it asks for, and whom the access tokens are for.
pub(crate) fn wanted(
    client: &Client,
    scope: Option<&str>,
    resources: &[&str],
    settings: &Settings,
    registry: &Registry,
) -> Result<(String, String), Refused> {
    let is_said = scope.is_some();
    let scope = scope_of(client, scope).ok_or(Refused::InvalidScope)?;
    let targets = registry.targets(settings, resources, &scope, is_said).map_err(|why| match why {
        Untargeted::Target => Refused::InvalidTarget,
        Untargeted::Scope => Refused::InvalidScope,
    })?;
    let of_targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let had = registry.scope_for(&of_targets, &scope, None);
    if had.is_empty() && !scope.is_empty() {
        return Err(Refused::InvalidScope);
    }
    Ok((had, targets.join(" ")))
}

/// What of it this user's roles allow; `None` if that is nothing (RFC 6749 §4.1.2.1: `access_denied`).
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn for_user(engine: &Engine, asked: &Authorization, user: UserId) -> Result<Option<Authorization>, Broken> {
    let registry = engine.registry().await?;
    let targets = audiences(&asked.audience);
    if !registry.asks_for_roles(&targets, &asked.scope) {
        return Ok(Some(asked.clone()));
    }
    let roles = engine.store.user(UserSelector::Id(user)).await?.map(|user| user.roles).unwrap_or_default();
    let scope = registry.scope_for(&targets, &asked.scope, Some(&roles));
    let to_allow = registry.to_allow(&targets, &scope);
    Ok(Some(Authorization { scope, to_allow, ..asked.clone() }).filter(|allowed| !allowed.scope.is_empty()))
}

/// RFC 9700 §2.1.1: required of public clients, and of the others unless their operator says otherwise; S256 only.
fn challenge(client: &Client, request: &Request<'_>) -> Result<Option<String>, Refused> {
    match (request.code_challenge, request.code_challenge_method) {
        (None, None) if !client.metadata.require_pkce => Ok(None),
        (None, _) => Err(Refused::InvalidRequest("code_challenge is missing: this client must use PKCE (RFC 7636)")),
        (Some(challenge), Some("S256")) => {
            // RFC 7636 §4.2: the base64url of 32 bytes.
            let is_one = URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|bytes| bytes.len() == 32);
            let wrong = Refused::InvalidRequest("code_challenge must be the base64url of a SHA-256");
            if is_one { Ok(Some(challenge.to_owned())) } else { Err(wrong) }
        }
        (Some(_), _) => Err(Refused::InvalidRequest("code_challenge_method must be S256")),
    }
}

fn prompt(text: Option<&str>) -> Result<Prompt, Refused> {
    let mut prompt = Prompt::default();
    for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.none = true,
            // Whoever is to choose an account signs in: there is no other way to choose one.
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(Refused::InvalidRequest("prompt must be of none, login, consent and select_account")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(Refused::InvalidRequest("prompt=none stands alone"));
    }
    Ok(prompt)
}

/// What the client may have of what it asks for; `None` if that is nothing. OpenID Connect Core §3.1.2.1: scopes that are not
/// known are passed over. Without a scope it is all that the client has but for what outlives the session.
fn scope_of(client: &Client, asked: Option<&str>) -> Option<String> {
    let registered = client.metadata.scope.split(' ').filter(|scope| !scope.is_empty());
    let is_asked = |part: &&str| match asked {
        Some(asked) => scope::has(asked, part),
        None => *part != scope::OFFLINE_ACCESS && *part != crate::mint::ADMIN_SCOPE,
    };
    // OpenID Connect Core §11: without refresh tokens nothing outlives the session.
    let can_be = |part: &&str| *part != scope::OFFLINE_ACCESS || client.may(GrantType::RefreshToken);
    let kept: Vec<&str> = registered.filter(is_asked).filter(can_be).collect();
    (!kept.is_empty() || asked.is_none()).then(|| kept.join(" "))
}

/// Who is signed in, as far as the steps care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Present {
    /// Who.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// When they last proved it.
    pub auth_time: Time,
}

/// What the person did for this very request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// They signed in, and this session is what came of it.
    pub login: Option<SessionId>,
    /// They consented, in this session.
    pub consent: Option<SessionId>,
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The person signs in.
    Login,
    /// The person is asked.
    Consent,
    /// The client gets its code.
    Issue,
    /// The client is told why not.
    Refuse(Refused),
}

/// Says what is to be done next. First match wins.
#[must_use]
pub fn step(
    asked: &Authorization,
    present: Option<&Present>,
    consent: Option<&Consent>,
    done: Done,
    now: Time,
) -> Step {
    let prompt = asked.prompt;
    let login = if prompt.none { Step::Refuse(Refused::LoginRequired) } else { Step::Login };
    let Some(present) = present else {
        return login;
    };
    let just_signed_in = done.login == Some(present.session);
    if asked.hinted_user.is_some_and(|hinted| hinted != present.user) {
        // OpenID Connect Core §3.1.2.1: somebody else signed in although this one was meant: it is said, not asked again.
        return if just_signed_in { Step::Refuse(Refused::LoginRequired) } else { login };
    }
    // §3.1.2.1: `prompt=login` and `max_age` ask for a new proof, which the one for this very request is.
    let is_too_old = asked.max_age.is_some_and(|max_age| now > present.auth_time.plus(max_age));
    if (prompt.login || is_too_old) && !just_signed_in {
        return login;
    }
    // The operator's own applications need nobody's consent.
    if !asked.to.client.metadata.first_party {
        let just_consented = done.consent == Some(present.session);
        let stands = consent.is_some_and(|consent| scope::is_within(&asked.to_allow, &consent.scope));
        if !stands || (prompt.consent && !just_consented) {
            return if prompt.none { Step::Refuse(Refused::ConsentRequired) } else { Step::Consent };
        }
    }
    Step::Issue
}

#[cfg(test)]
mod tests;
