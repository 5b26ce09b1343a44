//! Resources.

use regrant_engine::{
    By, Engine,
    client::ManagedBy,
    ports::{ResourceAdded, ResourceRemoved},
    resource::{self, Draft, Metadata, Resource},
    time::Time,
};
use serde::Serialize;
use serde_json::json;

use super::{Refused, Reply, table::table};
use crate::text::printable;

#[derive(Serialize)]
pub(super) struct View<'r> {
    id: &'r str,
    #[serde(flatten)]
    metadata: &'r Metadata,
    managed_by: ManagedBy,
    created_at: Time,
}

impl<'r> View<'r> {
    pub(super) fn of(resource: &'r Resource) -> Self {
        let Resource { id, metadata, managed_by, created_at } = resource;
        Self { id, metadata, managed_by: *managed_by, created_at: *created_at }
    }
}

pub(super) async fn add(by: By<'_>, draft: Draft, replaces: bool) -> Result<Reply, Refused> {
    let engine = by.engine;
    let usage = |why: resource::DraftError| Refused::Usage(why.to_string());
    let resource = resource::prepare(draft, ManagedBy::Operator, engine.now()).map_err(usage)?;
    resource::fits(&resource, &engine.settings).map_err(usage)?;
    let done = match resource::add(by, resource.clone(), replaces).await? {
        ResourceAdded::Added => "added",
        ResourceAdded::Replaced => "replaced",
        ResourceAdded::Configured => return Err(configured(&resource.id)),
        ResourceAdded::OfClient => {
            return Err(Refused::No(format!(
                "{} is a client's id: access tokens for the resource would pass for ID tokens of the client; choose another URI",
                resource.id
            )));
        }
        ResourceAdded::Taken => {
            return Err(Refused::No(format!(
                "there is a resource {} already; with --replace this one takes its place",
                resource.id
            )));
        }
    };
    let mut text = format!("{done} {}", resource.id);
    let known = engine.store.roles().await?;
    let mut missing: Vec<&String> = resource.metadata.scopes.iter().flat_map(|scope| &scope.roles).collect();
    missing.retain(|role| !known.iter().any(|known| known.name == **role));
    missing.sort();
    missing.dedup();
    for role in missing {
        text += &format!("\nthere is no role {role} yet: \"regrant role add {role}\" adds it");
    }
    Reply::new(View::of(&resource), text)
}

pub(super) async fn list(engine: &Engine) -> Result<Reply, Refused> {
    let resources = engine.store.resources().await?;
    let rows: Vec<_> = resources
        .iter()
        .map(|resource| {
            let Metadata { name, scopes, signing_alg, encryption, .. } = &resource.metadata;
            let scopes = scopes.iter().map(|scope| scope.name.as_str()).collect::<Vec<_>>().join(", ");
            let form =
                encryption.as_ref().map_or(signing_alg.to_string(), |how| format!("{signing_alg} in {}", how.alg));
            vec![resource.id.clone(), name.clone().unwrap_or_default(), scopes, form, resource.managed_by.to_string()]
        })
        .collect();
    let text = if rows.is_empty() {
        "no resources yet: \"regrant resource add --id URI --scope NAME …\" adds one".to_owned()
    } else {
        table(&["ID", "NAME", "SCOPES", "TOKENS", "MANAGED BY"], &rows)
    };
    Reply::new(resources.iter().map(View::of).collect::<Vec<_>>(), text)
}

pub(super) async fn show(engine: &Engine, id: &str) -> Result<Reply, Refused> {
    let resources = engine.store.resources().await?;
    let resource = resources.iter().find(|known| known.id == id).ok_or_else(|| no_such_resource(id))?;
    let Metadata { name, scopes, signing_alg, encryption, client } = &resource.metadata;
    let mut lines = vec![
        format!("id          {}", resource.id),
        format!("name        {}", name.as_deref().map(printable).unwrap_or_default()),
        format!("signed by   {signing_alg}"),
    ];
    lines.extend(encryption.iter().map(|how| format!("encrypted   {}, {}", how.alg, how.enc)));
    lines.extend(client.iter().map(|client| format!("client      {}", printable(&client.0))));
    lines.push(format!("managed by  {}", resource.managed_by));
    lines.push(format!("added       {}", resource.created_at));
    for scope in scopes {
        let words = scope.description.as_deref().map(|words| format!(": {}", printable(words))).unwrap_or_default();
        let who = if scope.roles.is_empty() { "everybody".to_owned() } else { scope.roles.join(", ") };
        lines.push(format!("scope       {} ({who}){words}", scope.name));
    }
    Reply::new(View::of(resource), lines.join("\n"))
}

pub(super) async fn remove(by: By<'_>, id: &str) -> Result<Reply, Refused> {
    match resource::remove(by, id).await? {
        ResourceRemoved::NotFound => Err(no_such_resource(id)),
        ResourceRemoved::Configured => Err(configured(id)),
        ResourceRemoved::Removed => Reply::new(json!({"removed": id}), format!("{id}: removed")),
    }
}

fn no_such_resource(id: &str) -> Refused {
    Refused::NotFound(format!("there is no resource {}; \"regrant resource list\" shows them all", printable(id)))
}

fn configured(id: &str) -> Refused {
    Refused::No(format!(
        "the resource {} is in the configuration ([resources.…]): change it there, and start anew",
        printable(id)
    ))
}
