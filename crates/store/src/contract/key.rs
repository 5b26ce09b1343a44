//! Signing keys and what the store remembers of the key file.

use std::sync::Arc;

use regrant_engine::{
    keyring::{self, Vault},
    ports::{Broken, Identity},
    token::KeyId,
};

use super::world::{RealRandom, World, at_once};

/// The world has made the first key already, so this one looks at a store beside it.
pub(super) async fn the_first_signing_key_is_made_once(world: World) {
    let fresh = world.beside();
    let store = fresh.open();
    let now = world.engine().now();
    let loads = (0..16).map(|_| {
        let store = Arc::clone(&store);
        async move {
            let vault = Vault::new(b"a sealing secret").unwrap();
            let keys = keyring::load(&*store, &vault, now, &RealRandom).await.unwrap();
            keys.iter().map(|(_, key)| key.kid().to_owned()).collect::<Vec<_>>()
        }
    });
    let kids = at_once(loads.collect()).await;
    assert_eq!(kids[0].len(), 1);
    assert!(kids.iter().all(|kid| *kid == kids[0]));
    assert_eq!(store.signing_keys().await.unwrap()[0].kid, kids[0][0]);

    let another = Vault::new(b"another sealing secret").unwrap();
    let refused = keyring::load(&*store, &another, now, &RealRandom).await;
    assert!(matches!(refused, Err(Broken::Damaged(_))));
}

pub(super) async fn access_tokens_are_good_after_a_restart(mut world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    world.reopen().await;
    let engine = world.engine();
    let bearer = engine.mint.check(&signed.access, engine.now()).unwrap();
    assert_eq!((bearer.user, bearer.session), (signed.user, Some(signed.session)));
}

pub(super) async fn the_identity_is_remembered(mut world: World) {
    assert_eq!(world.store().identity().await, Ok(Identity::default()));
    let first = Identity { issuer: Some("https://id.example".to_owned()), refresh_keys: vec![(KeyId(1), [1; 16])] };
    world.store().remember(first.clone()).await.unwrap();
    assert_eq!(world.store().identity().await, Ok(first));
    // A check value that is known is not replaced: another key under its id is another key file.
    let second = Identity { issuer: None, refresh_keys: vec![(KeyId(1), [9; 16]), (KeyId(2), [2; 16])] };
    world.store().remember(second).await.unwrap();
    world.crash().await;
    let both = Identity {
        issuer: Some("https://id.example".to_owned()),
        refresh_keys: vec![(KeyId(1), [1; 16]), (KeyId(2), [2; 16])],
    };
    assert_eq!(world.store().identity().await, Ok(both));
}
