//! A store with something of everything in it, and what its tokens do afterwards, wherever it is.

use regrant_engine::{
    backchannel_logout,
    client::{ClientType, Draft},
    consent,
    event::Actor,
    login::SignIn,
    ports::{End, RoleChanged, UserSelector},
    reason::{Reason, WireReason},
    refresh::Intent,
    resource, session,
    time::Seconds,
    user,
};

use super::{
    client as clients, device, resource as resources,
    single_sign_on::{self, app, app_told_at, here, seen, session_of, sign_in, tokens},
    world::{ABROAD, CURL, FIREFOX, HOME, PASSWORD, Seen, Signed, World, try_sign_in, use_token},
};

/// What was made, as far as somebody holds it.
pub(crate) struct Filled {
    /// The newest token of somebody who comes back, and the one before, which a lost reply makes them use again.
    kept: Vec<Kept>,
    /// One whose successor was used: whoever comes with it is a thief.
    old: String,
    signed_out: String,
    /// The provider's own sign-in.
    reference: String,
    /// A code that nobody has redeemed, and its client.
    code: String,
}

struct Kept {
    newest: String,
    before: Option<String>,
}

/// Uses every verb that leaves rows.
pub(crate) async fn fill(world: &mut World) -> Filled {
    single_sign_on::every_request(world).await;
    device::every_request(world).await;
    let mut kept = Vec::new();
    for name in ["ada", "bea", "cyd", "eve"] {
        world.user(name).await;
        // None, one, and more than a few renewals, from here and there.
        let mut token = world.sign_in(name).await.token;
        let mut before = None;
        for round in 0..match name {
            "ada" => 0,
            "bea" => 1,
            _ => 14,
        } {
            world.pass(Seconds(90));
            let (address, agent) = if round % 5 == 2 { (ABROAD, CURL) } else { (HOME, FIREFOX) };
            let next = use_token(world.engine(), token.clone(), Intent::Rotate, address, agent).await;
            let Seen::Rotated(next) = next else { panic!("{next:?}") };
            before = Some(std::mem::replace(&mut token, next));
        }
        kept.push(Kept { newest: token, before });
    }
    // Folded by a stop; what comes after is in the journal alone.
    world.reopen().await;
    let engine = world.engine();

    // Roles, of which grants know an older state.
    for name in ["clerk", "admin"] {
        assert!(world.store().add_role(name.to_owned(), Some(format!("may {name}")), engine.now()).await.unwrap());
    }
    let ada = world.sign_in("ada").await;
    let end = End { at: engine.now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    for role in ["clerk", "admin"] {
        let given = world.store().set_role(role.to_owned(), UserSelector::Id(ada.user), true, end).await.unwrap();
        assert_eq!(given, RoleChanged::Changed);
    }
    // A replay, a theft, an end, a wrong password, somebody who is gone and somebody who may not come.
    let stolen = world.sign_in("bea").await;
    let second = world.rotate(&stolen.token).await;
    world.pass(Seconds(90));
    world.rotate(&second).await;
    assert!(matches!(world.refresh_from(ABROAD, CURL, &stolen.token).await, Seen::Over(WireReason::Reused)));
    let old = world.sign_in("cyd").await.token;
    let next = world.rotate(&old).await;
    world.pass(Seconds(90));
    world.rotate(&next).await;
    let signed_out = world.sign_in("cyd").await.token;
    assert_eq!(world.sign_out(&signed_out).await, Seen::SignedOut);
    for _ in 0..3 {
        assert!(!matches!(try_sign_in(&engine, "ada", "wrong", ABROAD, None).await, SignIn::Granted(_)));
    }
    let gone = world.user("gone").await;
    world.sign_in("gone").await;
    user::delete(&engine, UserSelector::Id(gone)).await.unwrap();
    let fay = world.user("fay").await;
    world.sign_in("fay").await;
    user::set_disabled(&engine, UserSelector::Id(fay), true).await.unwrap();

    // Clients with secrets, resources, consents, codes in every state, grants with and without a session.
    clients::added(world, clients::web("web")).await;
    clients::added(world, Draft::new("job", ClientType::Service)).await;
    let orders = resource::Draft { id: "https://api.example/orders".to_owned(), ..resource::Draft::default() };
    resources::added(world, orders).await;
    let told = app_told_at(world, "told", Some("https://app.example/logout")).await;
    let shop = app(world, "shop").await;
    let reference = sign_in(world, "eve", None).await;
    let (session, eve) = session_of(seen(world, &reference).await.as_ref());
    consent::give(&engine, eve, session, &shop.id, "a b", &here(world)).await.unwrap();
    for scope in ["a", "a offline_access"] {
        let code = single_sign_on::code(world, &shop, &reference, scope).await;
        tokens(world, &shop, &code).await.unwrap();
    }
    let code = single_sign_on::code(world, &shop, &reference, "b").await;
    device::leave_open(world).await;
    let other = sign_in(world, "ada", None).await;
    let given = single_sign_on::code(world, &told, &other, "a").await;
    tokens(world, &told, &given).await.unwrap();
    let (ended, _) = session_of(seen(world, &other).await.as_ref());
    assert!(session::end(&engine, ended, None, Reason::RevokedByUser, Actor::User).await.unwrap());
    backchannel_logout::claim(&engine, 10, vec![]).await.unwrap();
    world.store().use_once([9; 32], engine.now().plus(Seconds::DAY)).await.unwrap();
    let identity = regrant_engine::ports::Identity {
        issuer: Some("https://id.example".to_owned()),
        refresh_keys: vec![(regrant_engine::token::KeyId(1), [5; 16])],
    };
    world.store().remember(identity).await.unwrap();
    world.store().sweep(engine.now(), engine.settings.retention).await.unwrap();
    Filled { kept, old, signed_out, reference, code }
}

/// Everybody comes back, and finds what they left. What they hold then is in the place of what they held.
pub(crate) async fn come_back(world: &World, filled: &mut Filled) {
    let engine = world.engine();
    assert!(seen(world, &filled.reference).await.is_some());
    let shop = engine.client(&regrant_engine::id::ClientId::from("shop")).await.unwrap().unwrap();
    tokens(world, &shop, &filled.code).await.expect("the code is good once");
    for kept in &mut filled.kept {
        // The reply that carried the newest was lost.
        if let Some(before) = kept.before.take() {
            let again = world.refresh(&before).await;
            assert_eq!(again, Seen::Replayed(kept.newest.clone()));
        }
        world.pass(Seconds(90));
        let next = world.rotate(&kept.newest).await;
        kept.before = Some(std::mem::replace(&mut kept.newest, next));
    }
    assert!(matches!(world.refresh(&filled.signed_out).await, Seen::Over(WireReason::SignedOut)));
    assert!(matches!(world.refresh_from(ABROAD, CURL, &filled.old).await, Seen::Over(WireReason::Reused)));
    assert!(!matches!(try_sign_in(&engine, "gone", PASSWORD, HOME, None).await, SignIn::Granted(_)));
    assert!(!matches!(try_sign_in(&engine, "fay", PASSWORD, HOME, None).await, SignIn::Granted(_)));
    let SignIn::Granted(again) = try_sign_in(&engine, "ada", PASSWORD, HOME, None).await else { panic!() };
    assert!(!Signed::new(&again).access.is_empty());
    // For the next place.
    filled.old = world.sign_in("cyd").await.token;
    let next = world.rotate(&filled.old).await;
    world.pass(Seconds(90));
    world.rotate(&next).await;
    filled.code = single_sign_on::code(world, &shop, &filled.reference, "b").await;
}
