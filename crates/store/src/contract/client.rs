//! Clients, their secrets, and what ends with them.

use regrant_engine::{
    client::{
        self, Client, ClientType, Draft, ManagedBy, SecretId,
        authentication::{Credentials, authenticate},
    },
    id::ClientId,
    ports::{ClientAdded, ClientRemoved, ClientsKept, SecretRotated},
    time::Seconds,
};

use super::world::World;

pub(super) fn web(id: &str) -> Draft {
    let draft = Draft::new(id, ClientType::Confidential);
    Draft { redirect_uris: vec!["https://app.example/cb".to_owned()], name: Some("An app".to_owned()), ..draft }
}

pub(super) fn prepared(world: &World, draft: Draft, managed_by: ManagedBy) -> Client {
    client::prepare(draft, managed_by, world.engine().now()).unwrap()
}

/// Adds a client and gives its secret.
pub(super) async fn added(world: &World, draft: Draft) -> String {
    let client = prepared(world, draft, ManagedBy::Operator);
    let (added, secret) = client::add(&world.engine(), client).await.unwrap();
    assert_eq!(added, ClientAdded::Added);
    secret.map(|secret| secret.expose().to_owned()).unwrap_or_default()
}

fn id(text: &str) -> ClientId {
    ClientId::from(text)
}

async fn is_known(world: &World, id: &str, secret: &str) -> bool {
    authenticate(&world.engine(), &Credentials::Secret { id, secret }).await.unwrap().is_some()
}

pub(super) async fn a_client_is_read_as_it_was_written(mut world: World) {
    let full = Draft {
        scopes: vec!["openid".to_owned(), "a:b".to_owned()],
        access_lifetime: Some(Seconds(60)),
        idle: Some(Seconds(120)),
        absolute: Some(Seconds(180)),
        first_party: true,
        tos_uri: Some("https://app.example/terms".to_owned()),
        ..web("web")
    };
    added(&world, full.clone()).await;
    added(&world, Draft::new("job", ClientType::Service)).await;
    let expected = prepared(&world, full, ManagedBy::Operator);
    world.reopen().await;
    let found = world.store().client(id("web")).await.unwrap().unwrap();
    assert_eq!((found.metadata.clone(), found.created_at), (expected.metadata, expected.created_at));
    assert_eq!(found.secrets.len(), 1);
    let all = world.store().clients().await.unwrap();
    assert_eq!(all.iter().map(|client| &*client.id.0).collect::<Vec<_>>(), ["job", "web"]);
    assert_eq!(world.store().client(id("nobody")).await, Ok(None));
}

pub(super) async fn an_id_belongs_to_one_client(world: World) {
    let secret = added(&world, web("web")).await;
    let again = prepared(&world, web("web"), ManagedBy::Operator);
    let (taken, none) = client::add(&world.engine(), again).await.unwrap();
    assert_eq!((taken, none.is_none()), (ClientAdded::Taken, true));
    assert!(is_known(&world, "web", &secret).await);
}

pub(super) async fn two_secrets_work_at_once_and_the_older_one_for_its_window(world: World) {
    let first = added(&world, web("web")).await;
    let rotate = async |keep| {
        let (rotated, secret) = client::rotate_secret(&world.engine(), &id("web"), keep).await.unwrap();
        assert_eq!(rotated, SecretRotated::Rotated);
        secret.expose().to_owned()
    };
    let second = rotate(Seconds::HOUR).await;
    assert!(is_known(&world, "web", &first).await && is_known(&world, "web", &second).await);
    world.pass(Seconds::HOUR);
    assert!(!is_known(&world, "web", &first).await && is_known(&world, "web", &second).await);
    let third = rotate(Seconds::HOUR).await;
    let fourth = rotate(Seconds::HOUR).await;
    assert!(!is_known(&world, "web", &second).await, "never more than two");
    assert!(is_known(&world, "web", &third).await && is_known(&world, "web", &fourth).await);
    let ids: Vec<_> =
        world.store().client(id("web")).await.unwrap().unwrap().secrets.iter().map(|secret| secret.id).collect();
    assert_eq!(ids, [SecretId(4), SecretId(3)]);
    let (none, _) = client::rotate_secret(&world.engine(), &id("nobody"), Seconds(0)).await.unwrap();
    assert_eq!(none, SecretRotated::NotFound);
}

pub(super) async fn a_use_of_a_secret_is_noted_once_an_hour(world: World) {
    let secret = added(&world, web("web")).await;
    let last = async || world.store().client(id("web")).await.unwrap().unwrap().secrets[0].last_used_at;
    assert!(!is_known(&world, "web", "rgs_another").await && !is_known(&world, "job", &secret).await);
    assert_eq!(last().await, None);
    let began = world.engine().now();
    assert!(is_known(&world, "web", &secret).await);
    assert_eq!(last().await, Some(began));
    world.pass(Seconds(3599));
    assert!(is_known(&world, "web", &secret).await);
    assert_eq!(last().await, Some(began));
    world.pass(Seconds(1));
    assert!(is_known(&world, "web", &secret).await);
    assert_eq!(last().await, Some(began.plus(Seconds::HOUR)));
}

pub(super) async fn a_removed_client_is_gone_within_two_seconds_everywhere(world: World) {
    let secret = added(&world, web("web")).await;
    assert!(is_known(&world, "web", &secret).await);
    // Another process does it, so this one's memory is not told.
    let end = regrant_engine::ports::End {
        at: world.engine().now(),
        reason: regrant_engine::reason::Reason::ClientRemoved,
        actor: regrant_engine::event::Actor::Operator,
    };
    let event = regrant_engine::event::Event::new(
        regrant_engine::event::EventKind::ClientRemoved,
        end.at,
        end.actor,
        &*world.engine().random,
    );
    let removed = world.store().remove_client(id("web"), end, event).await.unwrap();
    assert_eq!(removed, ClientRemoved::Removed { ended: 0 });
    world.pass(Seconds(2));
    assert!(!is_known(&world, "web", &secret).await);
    assert_eq!(client::remove(&world.engine(), &id("web")).await, Ok(ClientRemoved::NotFound));
}

pub(super) async fn the_clients_of_the_configuration_are_kept_in_step(world: World) {
    added(&world, web("by-hand")).await;
    let with_secret = |draft: Draft, secret: &str| {
        let mut client = prepared(&world, draft, ManagedBy::Configuration);
        client.secrets = vec![client::ClientSecret::brought(secret).unwrap().stored(SecretId(1), client.created_at)];
        client
    };
    let (one, two) = ("a secret of 32 bytes, the first one", "a secret of 32 bytes, the second one");
    let keep = async |wanted| client::keep(&world.engine(), wanted).await.unwrap();
    let kept = |added, changed, removed| ClientsKept::Kept { added, changed, removed };
    let (a, b) = (with_secret(web("a"), one), with_secret(web("b"), one));
    assert_eq!(keep(vec![a.clone(), b.clone()]).await, kept(2, 0, 0));
    assert_eq!(keep(vec![a.clone(), b.clone()]).await, kept(0, 0, 0));
    assert!(is_known(&world, "a", one).await);
    let other = with_secret(Draft { name: Some("Another name".to_owned()), ..web("a") }, two);
    assert_eq!(keep(vec![other.clone()]).await, kept(0, 1, 1));
    world.pass(Seconds(2));
    assert!(!is_known(&world, "a", one).await && is_known(&world, "a", two).await && !is_known(&world, "b", one).await);
    // What one hand looks after, the other does not touch.
    assert_eq!(keep(vec![other, with_secret(web("by-hand"), one)]).await, ClientsKept::Taken(id("by-hand")));
    assert_eq!(client::remove(&world.engine(), &id("a")).await, Ok(ClientRemoved::Configured));
    let (refused, _) = client::rotate_secret(&world.engine(), &id("a"), Seconds(0)).await.unwrap();
    assert_eq!(refused, SecretRotated::Configured);
    assert_eq!(keep(vec![]).await, kept(0, 0, 1));
    assert_eq!(world.store().clients().await.unwrap().len(), 1);
}
