//! Clients. Documents are in RFC 7591's words (§3.2.1: `client_secret` where there is a new one); what it has no word for is ours.

use regrant_engine::{
    By, Engine,
    client::{self, Client, ClientSecret, Draft, GrantType, ManagedBy, Metadata},
    consent,
    id::ClientId,
    ports::{ClientAdded, ClientRemoved, SecretRotated},
    time::{Seconds, Time},
};
use serde::Serialize;
use serde_json::json;

use super::{Refused, Reply, no_such_user, selector, table::table};
use crate::text::printable;

#[derive(Serialize)]
pub(super) struct View<'c> {
    client_id: &'c str,
    /// RFC 7591 §3.2.1: seconds, as that document has them.
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'c str>,
    /// The newest one does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    #[serde(flatten)]
    metadata: &'c Metadata,
    response_types: &'static [&'static str],
    managed_by: ManagedBy,
    secrets: Vec<SecretView>,
}

#[derive(Serialize)]
struct SecretView {
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
}

impl<'c> View<'c> {
    pub(super) fn of(client: &'c Client, secret: Option<&'c ClientSecret>) -> Self {
        let secrets = client.secrets.iter().map(|secret| SecretView {
            created_at: secret.created_at,
            expires_at: secret.expires_at,
            last_used_at: secret.last_used_at,
        });
        Self {
            client_id: &client.id.0,
            client_id_issued_at: client.created_at.seconds(),
            client_secret: secret.map(ClientSecret::expose),
            client_secret_expires_at: secret.map(|_| 0),
            response_types: if client.may(GrantType::AuthorizationCode) { &["code"] } else { &[] },
            managed_by: client.managed_by,
            secrets: secrets.collect(),
            metadata: &client.metadata,
        }
    }
}

pub(super) async fn add(by: By<'_>, draft: Draft) -> Result<Reply, Refused> {
    let engine = by.engine;
    let client =
        client::prepare(draft, ManagedBy::Operator, engine.now()).map_err(|why| Refused::Usage(why.to_string()))?;
    let id = client.id.clone();
    let secret = match client::add(by, client).await? {
        (ClientAdded::Added, secret) => secret,
        (ClientAdded::OfResource, _) => {
            return Err(Refused::No(format!(
                "{} is a resource: access tokens for it would pass for ID tokens of the client; choose another id",
                id.0
            )));
        }
        (ClientAdded::Taken, _) => {
            return Err(Refused::No(format!(
                "there is a client {} already; \"regrant client remove\" removes it",
                id.0
            )));
        }
    };
    let added = engine.store.client(id.clone()).await?.ok_or_else(|| no_such_client(&id.0))?;
    let text = match &secret {
        Some(secret) => format!("added {}\nclient_secret (shown this once): {}", id.0, secret.expose()),
        None => format!("added {}", id.0),
    };
    Reply::new(View::of(&added, secret.as_ref()), text)
}

pub(super) async fn list(engine: &Engine) -> Result<Reply, Refused> {
    let clients = engine.store.clients().await?;
    let views: Vec<View<'_>> = clients.iter().map(|client| View::of(client, None)).collect();
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let Metadata { client_type, grant_types, .. } = &client.metadata;
            let grants = grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(", ");
            let name = client.metadata.client_name.clone().unwrap_or_default();
            vec![client.id.0.to_string(), name, client_type.to_string(), grants, client.managed_by.to_string()]
        })
        .collect();
    let text = if rows.is_empty() {
        "no clients yet: \"regrant client add --id ID --type TYPE …\" adds one".to_owned()
    } else {
        table(&["ID", "NAME", "TYPE", "GRANTS", "MANAGED BY"], &rows)
    };
    Reply::new(&views, text)
}

pub(super) async fn show(engine: &Engine, id: String) -> Result<Reply, Refused> {
    let client = engine.store.client(ClientId::from(id.as_str())).await?.ok_or_else(|| no_such_client(&id))?;
    let metadata = &client.metadata;
    let mut lines = vec![
        format!("id          {}", client.id.0),
        format!("name        {}", printable(client.shown_name())),
        format!("type        {}, {}", metadata.client_type, metadata.application_type),
        format!(
            "grants      {}",
            metadata.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(", ")
        ),
        format!("scope       {}", metadata.scope),
        format!("method      {}", metadata.token_endpoint_auth_method),
        format!("managed by  {}", client.managed_by),
        format!("added       {}", client.created_at),
    ];
    lines.extend(metadata.redirect_uris.iter().map(|uri| format!("redirect    {uri}")));
    lines.extend(metadata.post_logout_redirect_uris.iter().map(|uri| format!("logout      {uri}")));
    lines.extend(metadata.claims.names().map(|claim| format!("tells       {claim}")));
    for secret in &client.secrets {
        let until = secret.expires_at.map(|until| format!(", until {until}")).unwrap_or_default();
        let used = secret.last_used_at.map_or(", never used".to_owned(), |at| format!(", last used {at}"));
        lines.push(format!("secret      of {}{until}{used}", secret.created_at));
    }
    Reply::new(View::of(&client, None), lines.join("\n"))
}

pub(super) async fn rotate_secret(by: By<'_>, id: String, keep: Seconds) -> Result<Reply, Refused> {
    let engine = by.engine;
    let id = ClientId::from(id);
    let (rotated, secret) = client::rotate_secret(by, &id, keep).await?;
    match rotated {
        SecretRotated::Rotated => {}
        SecretRotated::NotFound => return Err(no_such_client(&id.0)),
        SecretRotated::Configured => return Err(configured(&id.0)),
        SecretRotated::HasNone => {
            return Err(Refused::No(format!(
                "the client {} has no secret: it authenticates otherwise, or not at all",
                id.0
            )));
        }
    }
    let client = engine.store.client(id.clone()).await?.ok_or_else(|| no_such_client(&id.0))?;
    let before = client.secrets.get(1).and_then(|before| before.expires_at);
    let until = before.map(|until| format!("; the one before works until {until}")).unwrap_or_default();
    let text = format!("{}: client_secret (shown this once): {}{until}", id.0, secret.expose());
    Reply::new(View::of(&client, Some(&secret)), text)
}

pub(super) async fn remove(by: By<'_>, id: String) -> Result<Reply, Refused> {
    match client::remove(by, &ClientId::from(id.as_str())).await? {
        ClientRemoved::NotFound => Err(no_such_client(&id)),
        ClientRemoved::Configured => Err(configured(&id)),
        ClientRemoved::Removed { ended } => {
            let grants = match ended {
                0 => String::new(),
                1 => "; 1 grant ended".to_owned(),
                many => format!("; {many} grants ended"),
            };
            Reply::new(json!({"removed": true, "grants_ended": ended}), format!("{id}: removed{grants}"))
        }
    }
}

pub(super) async fn revoke(by: By<'_>, id: String, user: &str) -> Result<Reply, Refused> {
    let engine = by.engine;
    let found = engine.store.user(selector(user)?).await?.ok_or_else(|| no_such_user(user))?;
    let client = ClientId::from(id.as_str());
    if engine.store.client(client.clone()).await?.is_none() {
        return Err(no_such_client(&id));
    }
    let revoked = consent::withdraw(engine, found.id, &client, by.actor).await?;
    let text = match revoked {
        true => format!("{}: what they granted to {id} is over, and they are asked again", printable(user)),
        false => format!("{}: they have granted nothing to {id}", printable(user)),
    };
    Reply::new(json!({"revoked": revoked}), text)
}

fn no_such_client(id: &str) -> Refused {
    Refused::NotFound(format!("there is no client {}; \"regrant client list\" shows them all", printable(id)))
}

fn configured(id: &str) -> Refused {
    Refused::No(format!("the client {id} is in the configuration (clients.{id}): change it there, and start anew"))
}
