//! Resources: kept as they were written, in step with the configuration, and known everywhere within two seconds.

use regrant_engine::{
    client::{self, ClientType, ManagedBy},
    event::{Actor, Event, EventKind},
    id::ClientId,
    ports::{ClientAdded, ClientsKept, End, ResourceAdded, ResourceRemoved, ResourcesKept},
    reason::Reason,
    resource::{self, Draft, Resource, Scope},
    time::Seconds,
};
use serde_json::json;

use super::{client::prepared as prepared_client, world::World};

const ORDERS: &str = "https://api.example/orders";

fn prepared(world: &World, id: &str, roles: &[&str], managed_by: ManagedBy) -> Resource {
    let scope = Scope {
        name: "orders:write".to_owned(),
        description: Some("change your orders".to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    // RFC 7517 appendix A.1.
    let key = json!({
        "kty": "EC", "crv": "P-256", "use": "enc", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    let draft = Draft {
        id: id.to_owned(),
        name: Some("Orders".to_owned()),
        scopes: vec![scope],
        signing_alg: Some("RS256".to_owned()),
        encryption_key: Some(key),
        client: Some("orders".to_owned()),
        ..Draft::default()
    };
    resource::prepare(draft, managed_by, world.engine().now()).unwrap()
}

/// Adds a resource.
pub(super) async fn added(world: &World, draft: Draft) {
    let resource = resource::prepare(draft, ManagedBy::Operator, world.engine().now()).unwrap();
    assert_eq!(resource::add(&world.engine(), resource, false).await, Ok(ResourceAdded::Added));
}

pub(super) async fn a_resource_is_read_as_it_was_written(mut world: World) {
    let written = prepared(&world, ORDERS, &["clerk"], ManagedBy::Operator);
    assert_eq!(resource::add(&world.engine(), written.clone(), false).await, Ok(ResourceAdded::Added));
    let other = prepared(&world, ORDERS, &[], ManagedBy::Operator);
    assert_eq!(resource::add(&world.engine(), other.clone(), false).await, Ok(ResourceAdded::Taken));
    let first = prepared(&world, "https://api.example/a", &[], ManagedBy::Operator);
    assert_eq!(resource::add(&world.engine(), first.clone(), true).await, Ok(ResourceAdded::Added));
    world.crash().await;
    assert_eq!(world.store().resources().await, Ok(vec![first.clone(), written.clone()]));
    assert_eq!(resource::add(&world.engine(), other.clone(), true).await, Ok(ResourceAdded::Replaced));
    let replaced = Resource { created_at: written.created_at, ..other };
    assert_eq!(world.store().resources().await, Ok(vec![first, replaced]));
    assert_eq!(resource::remove(&world.engine(), ORDERS).await, Ok(ResourceRemoved::Removed));
    assert_eq!(resource::remove(&world.engine(), ORDERS).await, Ok(ResourceRemoved::NotFound));
    assert_eq!(world.store().resources().await.unwrap().len(), 1);
}

pub(super) async fn a_removed_resource_is_gone_within_two_seconds_everywhere(world: World) {
    let ids = async |world: &World| -> Vec<String> {
        world.engine().registry().await.unwrap().all().map(|resource| resource.id.clone()).collect()
    };
    assert_eq!(ids(&world).await, [""; 0]);
    let engine = world.engine();
    resource::add(&engine, prepared(&world, ORDERS, &[], ManagedBy::Operator), false).await.unwrap();
    assert_eq!(ids(&world).await, [ORDERS], "known at once to whoever added it");
    // Another process does it, so this one's memory is not told.
    let told = Event::new(EventKind::ResourceRemoved, engine.now(), Actor::Operator, &*engine.random);
    assert_eq!(world.store().remove_resource(ORDERS.to_owned(), told).await, Ok(ResourceRemoved::Removed));
    world.pass(Seconds(2));
    assert_eq!(ids(&world).await, [""; 0]);
    assert_eq!(engine.resources.lately().all().count(), 0);
}

pub(super) async fn the_resources_of_the_configuration_are_kept_in_step(world: World) {
    resource::add(&world.engine(), prepared(&world, "urn:by-hand", &[], ManagedBy::Operator), false).await.unwrap();
    let of = |id: &str, roles: &[&str]| prepared(&world, id, roles, ManagedBy::Configuration);
    let keep = async |wanted| resource::keep(&world.engine(), wanted).await.unwrap();
    let kept = |added, changed, removed| ResourcesKept::Kept { added, changed, removed };
    assert_eq!(keep(vec![of("urn:a", &[]), of("urn:b", &[])]).await, kept(2, 0, 0));
    world.pass(Seconds(1));
    assert_eq!(keep(vec![of("urn:a", &[]), of("urn:b", &[])]).await, kept(0, 0, 0));
    assert_eq!(keep(vec![of("urn:a", &["clerk"])]).await, kept(0, 1, 1));
    // What one hand looks after, the other does not touch.
    let both = vec![of("urn:c", &[]), of("urn:by-hand", &[])];
    assert_eq!(keep(both).await, ResourcesKept::Taken("urn:by-hand".to_owned()));
    let by_hand = prepared(&world, "urn:a", &[], ManagedBy::Operator);
    assert_eq!(resource::add(&world.engine(), by_hand, true).await, Ok(ResourceAdded::Configured));
    assert_eq!(resource::remove(&world.engine(), "urn:a").await, Ok(ResourceRemoved::Configured));
    assert_eq!(keep(vec![]).await, kept(0, 0, 1));
    assert_eq!(world.store().resources().await.unwrap().len(), 1);
    let end = End { at: world.engine().now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    assert_eq!(world.store().keep_resources(vec![], end).await, Ok(kept(0, 0, 0)));
}

/// Both go by `aud`: an access token for the one would pass for an ID token of the other.
pub(super) async fn no_resource_has_the_id_of_a_client(world: World) {
    let engine = world.engine();
    let of = |id: &str, managed_by| prepared(&world, id, &[], managed_by);
    let client =
        |id: &str, managed_by| prepared_client(&world, client::Draft::new(id, ClientType::Service), managed_by);
    let (hand, file) = (ManagedBy::Operator, ManagedBy::Configuration);
    assert_eq!(resource::add(&engine, of(ORDERS, hand), false).await, Ok(ResourceAdded::Added));
    let (added, secret) = client::add(&engine, client(ORDERS, hand)).await.unwrap();
    assert_eq!((added, secret.is_none()), (ClientAdded::OfResource, true));
    let refused = ClientsKept::OfResource(ClientId::from(ORDERS));
    assert_eq!(client::keep(&engine, vec![client("a", file), client(ORDERS, file)]).await, Ok(refused));
    assert_eq!(world.store().clients().await, Ok(vec![]), "nothing was done");

    assert_eq!(client::add(&engine, client("urn:x", hand)).await.unwrap().0, ClientAdded::Added);
    for replaces in [false, true] {
        assert_eq!(resource::add(&engine, of("urn:x", hand), replaces).await, Ok(ResourceAdded::OfClient));
    }
    let refused = ResourcesKept::OfClient("urn:x".to_owned());
    assert_eq!(resource::keep(&engine, vec![of("urn:a", file), of("urn:x", file)]).await, Ok(refused));
    assert_eq!(world.store().resources().await.unwrap().len(), 1);

    // In a configuration the two may change places: clients are kept first, and its own resources are in nobody's way then.
    let kept = |added, changed, removed| ResourcesKept::Kept { added, changed, removed };
    assert_eq!(resource::keep(&engine, vec![of("urn:a", file)]).await, Ok(kept(1, 0, 0)));
    let in_step = ClientsKept::Kept { added: 1, changed: 0, removed: 0 };
    assert_eq!(client::keep(&engine, vec![client("urn:a", file)]).await, Ok(in_step));
    assert_eq!(resource::keep(&engine, vec![]).await, Ok(kept(0, 0, 1)));
}
