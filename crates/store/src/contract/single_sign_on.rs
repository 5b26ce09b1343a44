//! One sign-in for every service: references, codes, the grants that come of them, consents.

use std::sync::Arc;

use regrant_engine::{
    authorize::{self, Request},
    backchannel_logout::{self, Answered},
    client::{self, Client, ClientType, Draft, ManagedBy},
    code, consent,
    context::Context,
    event::{Actor, EventKind},
    grant::{
        Granted,
        authorization_code::redeem,
        refresh_token::{Renewed, renew},
    },
    id::{ClientId, SessionId, UserId},
    login::Credentials,
    ports::TimelineOf,
    reason::{Reason, WireReason},
    refresh::{GrantKind, Refreshed, Tokens},
    session,
    single_sign_on::{self, Outcome, SignedIn},
    time::Seconds,
    token::Endpoint,
    user,
};

use super::world::{FIREFOX, HOME, PASSWORD, World, at_once, context, ip};

const CALLBACK: &str = "https://app.example/cb";

pub(super) fn here(world: &World) -> Context {
    context(&world.engine(), HOME, FIREFOX)
}

/// Signs somebody in at the provider, where somebody may be signed in already.
pub(super) async fn sign_in(world: &World, name: &str, current: Option<&str>) -> String {
    let engine = world.engine();
    let current = match current {
        Some(reference) => single_sign_on::signed_in(&engine, reference).await.unwrap(),
        None => None,
    };
    let credentials = Credentials {
        identifier: name,
        password: PASSWORD,
        kind: GrantKind::Cookie,
        device: None,
        audience: None,
        scope: None,
        address: ip(HOME),
        context: here(world),
        replaces: None,
    };
    match single_sign_on::sign_in(&engine, credentials, current).await.unwrap() {
        Outcome::Done { reference, .. } => reference.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn seen(world: &World, reference: &str) -> Option<SignedIn> {
    single_sign_on::signed_in(&world.engine(), reference).await.unwrap()
}

/// A public application of the operator's own, as it is known.
pub(super) async fn app(world: &World, id: &str) -> Arc<Client> {
    app_told_at(world, id, None).await
}

/// One that is told at this address that a session ended.
pub(super) async fn app_told_at(world: &World, id: &str, uri: Option<&str>) -> Arc<Client> {
    let draft = Draft {
        backchannel_logout_uri: uri.map(str::to_owned),
        redirect_uris: vec![CALLBACK.to_owned()],
        scopes: ["a", "b", "offline_access"].map(str::to_owned).to_vec(),
        first_party: true,
        ..Draft::new(id, ClientType::Public)
    };
    let draft = Draft { client_type: ClientType::Confidential, pkce: Some(client::Requirement::Optional), ..draft };
    let client = client::prepare(draft, ManagedBy::Operator, world.engine().now()).unwrap();
    client::add(&world.engine(), client).await.unwrap();
    world.engine().client(&ClientId::from(id)).await.unwrap().unwrap()
}

pub(super) async fn code(world: &World, client: &Arc<Client>, reference: &str, scope: &str) -> String {
    let engine = world.engine();
    let request =
        Request { response_type: Some("code"), redirect_uri: Some(CALLBACK), scope: Some(scope), ..Request::default() };
    let to = authorize::destination(Some(Arc::clone(client)), &request).unwrap();
    let asked = authorize::check(to, &request, &engine.settings, &engine.registry().await.unwrap()).unwrap();
    let signed_in = seen(world, reference).await.expect("signed in");
    code::issue(&engine, &asked, &signed_in).await.unwrap().to_string()
}

pub(super) async fn tokens(world: &World, client: &Arc<Client>, code: &str) -> Option<Box<Tokens>> {
    let redeemed = redeem(&world.engine(), client, code, Some(CALLBACK), None, &[], None, here(world)).await.unwrap();
    redeemed.granted().map(|Granted { tokens, .. }| tokens)
}

async fn refresh(world: &World, client: &Arc<Client>, token: &str) -> Result<String, WireReason> {
    let engine = world.engine();
    let presented = engine.refresh_keys.open(Endpoint::OAuth, token).unwrap();
    match renew(&engine, client, presented, None, &[], None, here(world)).await.unwrap() {
        Renewed::Granted(granted) => Ok(text(&granted.tokens)),
        Renewed::Not(Refreshed::Over(reason)) => Err(reason),
        Renewed::Not(other) => panic!("{other:?}"),
    }
}

fn text(tokens: &Tokens) -> String {
    tokens.refresh_token.as_ref().unwrap().expose().to_owned()
}

pub(super) fn session_of(signed_in: Option<&SignedIn>) -> (SessionId, UserId) {
    let session = &signed_in.unwrap().record.session;
    (session.id, session.user)
}

pub(super) async fn a_reference_names_a_session_as_long_as_it_lives(mut world: World) {
    let ada = world.user("ada").await;
    let reference = sign_in(&world, "ada", None).await;
    let (id, user) = session_of(seen(&world, &reference).await.as_ref());
    assert_eq!(user, ada);
    world.crash().await;
    assert_eq!(session_of(seen(&world, &reference).await.as_ref()).0, id);
    for wrong in ["", "x", &reference[1..], &"A".repeat(43)] {
        assert_eq!(seen(&world, wrong).await, None);
    }
    world.pass(Seconds::days(7));
    assert_eq!(seen(&world, &reference).await, None, "idle");
    let reference = sign_in(&world, "ada", None).await;
    session::end_all(&world.engine(), ada, None, Reason::RevokedByUser, Actor::User).await.unwrap();
    assert_eq!(seen(&world, &reference).await, None, "ended");
}

pub(super) async fn each_proof_makes_a_new_reference_and_the_same_users_session_goes_on(world: World) {
    world.user("ada").await;
    world.user("bob").await;
    let first = sign_in(&world, "ada", None).await;
    let before = seen(&world, &first).await.unwrap();
    world.pass(Seconds::HOUR);
    let second = sign_in(&world, "ada", Some(&first)).await;
    assert_eq!(seen(&world, &first).await, None, "worth nothing");
    let after = seen(&world, &second).await.unwrap();
    assert_eq!(after.record.session.id, before.record.session.id);
    assert_eq!(after.authentication.auth_time, before.authentication.auth_time.plus(Seconds::HOUR));
    assert_eq!(world.told(after.record.session.id, EventKind::Reauthenticated).await, 1);
    // Somebody else takes the place.
    let third = sign_in(&world, "bob", Some(&second)).await;
    assert!(seen(&world, &second).await.is_none() && seen(&world, &third).await.is_some());
    assert_eq!(world.ended(after.record.session.id).await, Some(Reason::Replaced));
}

pub(super) async fn a_use_slides_the_session_and_revives_none(world: World) {
    let ada = world.user("ada").await;
    let reference = sign_in(&world, "ada", None).await;
    for _ in 0..4 {
        world.pass(Seconds::days(6));
        let signed_in = seen(&world, &reference).await.expect("it was used in time");
        single_sign_on::touch(&world.engine(), &signed_in).await.unwrap();
    }
    // Never past the absolute deadline.
    let signed_in = seen(&world, &reference).await.unwrap();
    assert_eq!(signed_in.record.grant.idle.0, signed_in.record.grant.absolute.0);
    // A use that is overtaken by an end changes nothing.
    session::end_all(&world.engine(), ada, None, Reason::RevokedByUser, Actor::User).await.unwrap();
    single_sign_on::touch(&world.engine(), &signed_in).await.unwrap();
    assert_eq!(world.ended(signed_in.record.session.id).await, Some(Reason::RevokedByUser));
}

pub(super) async fn of_many_redemptions_at_once_one_is_the_first_and_the_others_end_it(world: World) {
    world.user("ada").await;
    let client = app(&world, "web").await;
    let reference = sign_in(&world, "ada", None).await;
    for _ in 0..5 {
        let code = code(&world, &client, &reference, "a").await;
        let work =
            (0..6).map(|_| {
                let (engine, client, code, context) = (world.engine(), Arc::clone(&client), code.clone(), here(&world));
                async move {
                    redeem(&engine, &client, &code, Some(CALLBACK), None, &[], None, context).await.unwrap().granted()
                }
            });
        let granted: Vec<_> = at_once(work.collect()).await.into_iter().flatten().collect();
        let [Granted { tokens, .. }] = granted.as_slice() else { panic!("{} were granted", granted.len()) };
        assert_eq!(refresh(&world, &client, &text(tokens)).await, Err(WireReason::Reused));
    }
    assert!(seen(&world, &reference).await.is_some(), "the sign-in has no part in it");
}

pub(super) async fn a_redeemed_code_is_recognised_after_a_crash(mut world: World) {
    world.user("ada").await;
    let client = app(&world, "web").await;
    let reference = sign_in(&world, "ada", None).await;
    let code = code(&world, &client, &reference, "a").await;
    let given = tokens(&world, &client, &code).await.unwrap();
    let (id, _) = session_of(seen(&world, &reference).await.as_ref());
    world.crash().await;
    assert_eq!(tokens(&world, &client, &code).await.map(|_| ()), None);
    assert_eq!(refresh(&world, &client, &text(&given)).await, Err(WireReason::Reused));
    assert_eq!((world.told(id, EventKind::GrantIssued).await, world.told(id, EventKind::CodeReused).await), (1, 1));
    // It is forgotten in the end.
    world.pass(Seconds::days(2));
    world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
}

pub(super) async fn a_code_against_an_end_gives_nothing_that_lives_on(world: World) {
    let client = app(&world, "web").await;
    for round in 0..10 {
        let name = format!("user{round}");
        let user = world.user(&name).await;
        let reference = sign_in(&world, &name, None).await;
        let code = code(&world, &client, &reference, "a").await;
        let redeeming = {
            let (engine, client, context) = (world.engine(), Arc::clone(&client), here(&world));
            async move { redeem(&engine, &client, &code, Some(CALLBACK), None, &[], None, context).await.unwrap().granted() }
        };
        let ending = {
            let engine = world.engine();
            async move {
                let selector = regrant_engine::ports::UserSelector::Id(user);
                user::set_disabled(&engine, selector, true).await.unwrap();
                None
            }
        };
        let work: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Granted>> + Send>>> =
            vec![Box::pin(redeeming), Box::pin(ending)];
        for Granted { tokens, .. } in at_once(work).await.into_iter().flatten() {
            assert_eq!(refresh(&world, &client, &text(&tokens)).await, Err(WireReason::Ended));
        }
    }
}

pub(super) async fn online_grants_end_with_their_session_and_offline_ones_do_not(world: World) {
    let ada = world.user("ada").await;
    let client = app(&world, "web").await;
    let reference = sign_in(&world, "ada", None).await;
    let online = tokens(&world, &client, &code(&world, &client, &reference, "a").await).await.unwrap();
    let offline = tokens(&world, &client, &code(&world, &client, &reference, "a offline_access").await).await.unwrap();
    let (session, _) = session_of(seen(&world, &reference).await.as_ref());
    assert_eq!((online.session, offline.session), (Some(session), None));
    assert!(online.absolute < offline.absolute);
    session::end(&world.engine(), session, Some(ada), Reason::SignedOut, Actor::User).await.unwrap();
    assert_eq!(refresh(&world, &client, &text(&online)).await, Err(WireReason::Ended));
    let next = refresh(&world, &client, &text(&offline)).await.unwrap();
    let id = world.engine().refresh_keys.open(Endpoint::OAuth, &next).unwrap().grant;
    assert!(world.store().authentication(id).await.unwrap().is_some());
    // Epoch, consent, client: each ends it.
    user::set_password(
        &world.engine(),
        regrant_engine::ports::UserSelector::Id(ada),
        world.engine().hasher.hash(PASSWORD).await.unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(refresh(&world, &client, &next).await, Err(WireReason::Ended));
}

/// The session idles out while an application goes on: its online grant is over with it, before anybody has written that.
pub(super) async fn an_online_grant_does_not_outlive_its_sessions_deadline(world: World) {
    world.user("ada").await;
    let client = app(&world, "app").await;
    let reference = sign_in(&world, "ada", None).await;
    let mut online = text(&tokens(&world, &client, &code(&world, &client, &reference, "a").await).await.unwrap());
    let offline = tokens(&world, &client, &code(&world, &client, &reference, "a offline_access").await).await;
    let mut offline = text(&offline.unwrap());
    for _ in 0..2 {
        world.pass(Seconds::days(3));
        online = refresh(&world, &client, &online).await.unwrap();
        offline = refresh(&world, &client, &offline).await.unwrap();
    }
    world.pass(Seconds::days(1));
    assert_eq!(refresh(&world, &client, &online).await, Err(WireReason::Ended));
    refresh(&world, &client, &offline).await.unwrap();
}

/// A grant that outlives its session goes, too, once it is over for as long as everything is kept.
pub(super) async fn offline_grants_are_swept_once_they_are_over(world: World) {
    world.user("ada").await;
    let client = app(&world, "app").await;
    let reference = sign_in(&world, "ada", None).await;
    let offline = tokens(&world, &client, &code(&world, &client, &reference, "a offline_access").await).await;
    let offline = text(&offline.unwrap());
    let sweep = async || world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
    world.pass(Seconds::days(100));
    sweep().await;
    assert_eq!(refresh(&world, &client, &offline).await, Err(WireReason::Expired));
    // Its deadline, 90 days on; 7 days until that is settled; 90 that everything is kept.
    world.pass(Seconds::days(90));
    sweep().await;
    assert_eq!(refresh(&world, &client, &offline).await, Err(WireReason::Unknown));
}

pub(super) async fn a_removed_client_ends_its_grants_and_nobody_elses(world: World) {
    world.user("ada").await;
    let (one, other) = (app(&world, "one").await, app(&world, "other").await);
    let reference = sign_in(&world, "ada", None).await;
    let waiting = code(&world, &one, &reference, "a").await;
    let mut given = Vec::new();
    for client in [&one, &other] {
        given.push(text(&tokens(&world, client, &code(&world, client, &reference, "a").await).await.unwrap()));
    }
    let removed = client::remove(&world.engine(), &one.id).await.unwrap();
    assert_eq!(removed, regrant_engine::ports::ClientRemoved::Removed { ended: 1 });
    assert_eq!(refresh(&world, &one, &given[0]).await, Err(WireReason::Ended));
    assert_eq!(tokens(&world, &one, &waiting).await.map(|_| ()), None);
    refresh(&world, &other, &given[1]).await.unwrap();
    assert!(seen(&world, &reference).await.is_some());
}

/// A restored backup, or another issuer, signs everybody out: applications with offline access, too.
pub(super) async fn the_end_of_everybodys_sessions_ends_what_outlives_them(world: World) {
    world.user("ada").await;
    let client = app(&world, "web").await;
    let reference = sign_in(&world, "ada", None).await;
    let offline = tokens(&world, &client, &code(&world, &client, &reference, "a offline_access").await).await.unwrap();
    let end =
        regrant_engine::ports::End { at: world.engine().now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    let mut last = None;
    loop {
        last = world.store().end_sessions_of_all(end, last, 1).await.unwrap();
        if last.is_none() {
            break;
        }
    }
    assert_eq!(refresh(&world, &client, &text(&offline)).await, Err(WireReason::Ended));
    assert_eq!(world.store().has_live_sessions(world.engine().now()).await, Ok(false));
}

pub(super) async fn a_consent_grows_and_its_end_ends_what_it_allowed(world: World) {
    let ada = world.user("ada").await;
    let client = app(&world, "web").await;
    let reference = sign_in(&world, "ada", None).await;
    let (session, _) = session_of(seen(&world, &reference).await.as_ref());
    let give = async |scope: &str| {
        consent::give(&world.engine(), ada, session, &client.id, scope, &here(&world)).await.unwrap()
    };
    let remembered = async || world.store().consent(ada, client.id.clone()).await.unwrap().map(|consent| consent.scope);
    assert_eq!(remembered().await, None);
    give("a").await;
    give("b a").await;
    assert_eq!(remembered().await.as_deref(), Some("a b"));
    let given = tokens(&world, &client, &code(&world, &client, &reference, "a offline_access").await).await.unwrap();
    let unredeemed = code(&world, &client, &reference, "a").await;
    assert_eq!(consent::withdraw(&world.engine(), ada, &client.id, Actor::User).await, Ok(true));
    assert!(tokens(&world, &client, &unredeemed).await.is_none(), "what was not fetched is not allowed any more");
    assert_eq!(consent::withdraw(&world.engine(), ada, &client.id, Actor::User).await, Ok(false));
    assert_eq!(remembered().await, None);
    assert_eq!(refresh(&world, &client, &text(&given)).await, Err(WireReason::Ended));
    let told = world.store().timeline(TimelineOf::User(ada), 100).await.unwrap();
    let count = |kind| told.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::ConsentGiven), count(EventKind::ConsentWithdrawn)), (2, 1));
    // A deleted user leaves none behind, and gets none.
    give("a").await;
    user::delete(&world.engine(), regrant_engine::ports::UserSelector::Id(ada)).await.unwrap();
    give("a").await;
    assert_eq!(remembered().await, None);
}

pub(super) async fn what_may_be_used_once_is_used_by_one(mut world: World) {
    let until = world.engine().now().plus(Seconds::HOUR);
    let work = (0..16).map(|_| {
        let store = world.store();
        async move { store.use_once([7; 32], until).await.unwrap() }
    });
    let first = at_once(work.collect()).await.into_iter().filter(|is_first| *is_first).count();
    assert_eq!(first, 1);
    world.crash().await;
    assert_eq!(world.store().use_once([7; 32], until).await, Ok(false));
    assert_eq!(world.store().use_once([8; 32], until).await, Ok(true));
    // It is remembered for a while longer than it is good.
    let sweep = async || world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
    world.pass(Seconds::HOUR);
    sweep().await;
    assert_eq!(world.store().use_once([7; 32], until).await, Ok(false));
    world.pass(Seconds::days(2));
    sweep().await;
    assert_eq!(world.store().use_once([7; 32], until).await, Ok(true));
}

/// What applications ask for every day, for the test that looks at the statements.
pub(crate) async fn every_request(world: &World) {
    let ada = world.user("adele").await;
    let client = app_told_at(world, "statements", Some("https://app.example/logout")).await;
    let reference = sign_in(world, "adele", None).await;
    let reference = sign_in(world, "adele", Some(&reference)).await;
    let (session, _) = session_of(seen(world, &reference).await.as_ref());
    consent::give(&world.engine(), ada, session, &client.id, "a", &here(world)).await.unwrap();
    let used = code(world, &client, &reference, "a").await;
    let given = tokens(world, &client, &used).await.unwrap();
    let next = refresh(world, &client, &text(&given)).await.unwrap();
    world.store().grant(given.grant).await.unwrap();
    world.store().use_once([1; 32], world.engine().now()).await.unwrap();
    tokens(world, &client, &used).await;
    assert!(refresh(world, &client, &next).await.is_err());
    consent::withdraw(&world.engine(), ada, &client.id, Actor::User).await.unwrap();
    session::end(&world.engine(), session, None, Reason::SignedOut, Actor::User).await.unwrap();
    for notice in backchannel_logout::claim(&world.engine(), 10, vec![]).await.unwrap() {
        backchannel_logout::settle(&world.engine(), notice, Answered::Done).await.unwrap();
    }
    world.store().logouts(session).await.unwrap();
    client::rotate_secret(&world.engine(), &client.id, Seconds(1)).await.unwrap();
    client::remove(&world.engine(), &client.id).await.unwrap();
}

pub(super) async fn the_applications_with_access_are_those_that_were_allowed_or_hold_a_living_grant(world: World) {
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let engine = world.engine();
    let client = app(&world, "app").await;
    let asked = app(&world, "asked").await;
    let reference = sign_in(&world, "ada", None).await;
    let (session, _) = session_of(seen(&world, &reference).await.as_ref());
    assert_eq!(consent::applications(&engine, ada).await.unwrap(), vec![]);
    consent::give(&engine, ada, session, &asked.id, "a b", &here(&world)).await.unwrap();
    for scope in ["a", "a offline_access", "b"] {
        let code = code(&world, &client, &reference, scope).await;
        tokens(&world, &client, &code).await.expect("tokens");
    }
    let seen_of = async |user| {
        let applications = consent::applications(&world.engine(), user).await.unwrap();
        let told =
            applications.into_iter().map(|app| (app.client.id.0.to_string(), app.scope, app.online, app.offline));
        told.collect::<Vec<_>>()
    };
    let mut found = seen_of(ada).await;
    let mut scope: Vec<&str> = found[0].1.split(' ').collect();
    scope.sort_unstable();
    assert_eq!(scope, ["a", "b", "offline_access"]);
    found[0].1 = String::new();
    let only_asked = ("asked".to_owned(), "a b".to_owned(), false, false);
    assert_eq!(found, [("app".to_owned(), String::new(), true, true), only_asked.clone()]);
    assert_eq!(seen_of(bob).await, [], "nobody else's");
    // What ends with the session is gone with it; what outlives it stays.
    session::end(&engine, session, None, Reason::SignedOut, Actor::User).await.unwrap();
    let found = seen_of(ada).await;
    assert_eq!(found, [("app".to_owned(), "a offline_access".to_owned(), false, true), only_asked.clone()]);
    // A deadline that has passed is an end, before anybody writes it.
    world.pass(Seconds::days(91));
    assert_eq!(seen_of(ada).await, [only_asked]);
    assert!(consent::withdraw(&engine, ada, &asked.id, Actor::User).await.unwrap());
    assert_eq!(seen_of(ada).await, []);
}
