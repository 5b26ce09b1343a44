//! Users, their identifiers and roles.

use regrant_engine::{
    event::{Actor, EventKind},
    id::UserId,
    login::{Credentials, SignIn, sign_in},
    mint::{ADMIN_ROLE, ADMIN_SCOPE},
    ports::{End, RoleChanged, TimelineOf, UserChanged, UserSelector, UsersAdded},
    reason::{Reason, WireReason},
    refresh::{GrantKind, Intent, Refreshed},
    time::Seconds,
    user::{self, Identifier, NewUser, UserDraft},
};

use super::world::{FIREFOX, HOME, PASSWORD, Seen, Signed, World, at_once, context, draft, ip, try_token};

fn prepared(world: &World, identifiers: &[&str], roles: &[&str]) -> NewUser {
    let draft = UserDraft { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..draft(identifiers) };
    user::prepare(&world.engine(), draft, None).unwrap()
}

fn named(name: &str) -> UserSelector {
    UserSelector::Identifier(Identifier::parse(name).unwrap())
}

async fn all(world: &World) -> Vec<UserId> {
    world.store().users(None, 1000).await.unwrap().iter().map(|user| user.id).collect()
}

pub(super) async fn users_are_added_all_or_none(world: World) {
    let engine = world.engine();
    world.store().add_role("editor".to_owned(), Some("edits".to_owned()), engine.now()).await.unwrap();
    let first = prepared(&world, &["ada", "ada@example.com"], &["editor"]);
    assert_eq!(user::add(&engine, vec![first.clone()]).await, Ok(UsersAdded::Added));

    let taken = vec![prepared(&world, &["bob"], &[]), prepared(&world, &["eve", "ADA@Example.COM"], &[])];
    assert_eq!(user::add(&engine, taken).await, Ok(UsersAdded::Taken { index: 1 }));
    let twice = ["bob", "carol", "Bob"].map(|name| prepared(&world, &[name], &[]));
    assert_eq!(user::add(&engine, twice.into()).await, Ok(UsersAdded::Taken { index: 2 }));
    let roleless = vec![prepared(&world, &["bob"], &["editor"]), prepared(&world, &["eve"], &["owner"])];
    let no_role = UsersAdded::NoSuchRole { index: 1, role: "owner".to_owned() };
    assert_eq!(user::add(&engine, roleless).await, Ok(no_role));
    assert_eq!(all(&world).await, vec![first.id]);
    for name in ["bob", "eve", "carol"] {
        assert_eq!(world.store().user(named(name)).await, Ok(None));
    }
}

pub(super) async fn an_identifier_belongs_to_one_user_also_in_a_race(world: World) {
    for round in 0..20 {
        let work = (0..8).map(|index| {
            let name = if index % 2 == 0 { format!("User{round}") } else { format!("uSER{round}") };
            let (engine, new) = (world.engine(), prepared(&world, &[&name], &[]));
            async move { user::add(&engine, vec![new]).await.unwrap() }
        });
        let added = at_once(work.collect()).await;
        assert_eq!(added.iter().filter(|added| **added == UsersAdded::Added).count(), 1);
    }
    assert_eq!(all(&world).await.len(), 20);
}

pub(super) async fn a_user_is_read_as_it_was_written(mut world: World) {
    let engine = world.engine();
    world.store().add_role("b-role".to_owned(), None, engine.now()).await.unwrap();
    world.store().add_role("a-role".to_owned(), None, engine.now()).await.unwrap();
    let claims = serde_json::json!({"name": "Ada \u{1f98a}", "n": 1.5, "deep": {"list": [null, true, "x"]}});
    let draft = UserDraft {
        claims: claims.as_object().unwrap().clone(),
        roles: vec!["b-role".to_owned(), "a-role".to_owned()],
        disabled: true,
        ..draft(&["Ada@Example.com", "Ada"])
    };
    let new = user::prepare(&engine, draft, Some("hash".to_owned())).unwrap();
    user::add(&engine, vec![new.clone()]).await.unwrap();
    drop(engine);
    world.reopen().await;
    let found = world.store().user(UserSelector::Id(new.id)).await.unwrap().unwrap();
    assert_eq!(found.identifiers, new.identifiers);
    assert_eq!(found.identifiers[0].shown, "Ada@Example.com");
    assert_eq!(found.claims, new.claims);
    assert_eq!(found.roles, ["a-role", "b-role"]);
    assert_eq!((found.shard, found.created_at), (new.shard, new.at));
    assert_eq!((found.disabled_at, found.has_password), (Some(new.at), true));
    for name in ["ADA", "ada@example.COM"] {
        assert_eq!(world.store().user(named(name)).await, Ok(Some(found.clone())));
    }
    assert_eq!(world.store().password_hash(new.id).await, Ok(Some("hash".to_owned())));
    assert_eq!(world.store().users(None, 10).await, Ok(vec![found]));
}

pub(super) async fn users_are_listed_page_by_page(world: World) {
    let mut ids = Vec::new();
    for index in 0..7 {
        ids.push(world.user(&format!("user{index}")).await);
        world.pass(Seconds(1));
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = world.store().users(after, 3).await.unwrap();
        seen.extend(page.iter().map(|user| user.id));
        after = seen.last().copied();
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(seen, ids);
}

pub(super) async fn a_deleted_user_is_gone_and_its_name_is_free(mut world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let engine = world.engine();
    assert_eq!(user::delete(&engine, named("ADA")).await, Ok(UserChanged::Changed { ended: 1 }));
    assert_eq!(user::delete(&engine, UserSelector::Id(ada)).await, Ok(UserChanged::NotFound));
    drop(engine);
    world.crash().await;
    assert_eq!(world.store().user(UserSelector::Id(ada)).await, Ok(None));
    assert_eq!(world.store().password_hash(ada).await, Ok(None));
    assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Ended));
    assert_eq!(world.ended(signed.session).await, Some(Reason::UserDeleted));
    assert_eq!(world.record(signed.session).await.identifier, None);
    // Its name is another's now, who has nothing of the first one's.
    let another = world.user("ada").await;
    assert_ne!(another, ada);
    assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Ended));
    let told = world.store().timeline(TimelineOf::User(ada), 100).await.unwrap();
    assert!(told.iter().any(|event| event.kind == EventKind::UserDeleted));
}

pub(super) async fn enabling_again_revives_nothing(world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let engine = world.engine();
    let set = |disabled| user::set_disabled(&engine, UserSelector::Id(ada), disabled);
    assert_eq!(set(false).await, Ok(UserChanged::Unchanged));
    assert_eq!(set(true).await, Ok(UserChanged::Changed { ended: 1 }));
    assert_eq!(set(true).await, Ok(UserChanged::Unchanged));
    assert_eq!(set(false).await, Ok(UserChanged::Changed { ended: 0 }));
    assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Ended));
    let again = world.sign_in("ada").await;
    world.rotate(&again.token).await;
    assert_eq!(user::set_disabled(&engine, named("nobody"), true).await, Ok(UserChanged::NotFound));
}

pub(super) async fn a_password_set_by_the_operator_ends_everything(world: World) {
    let ada = world.user("ada").await;
    let signed = [world.sign_in("ada").await, world.sign_in("ada").await];
    let engine = world.engine();
    let hash = engine.hasher.hash("the operator chose it").await.unwrap();
    let set = user::set_password(&engine, UserSelector::Id(ada), hash).await;
    assert_eq!(set, Ok(UserChanged::Changed { ended: 2 }));
    for signed in &signed {
        assert_eq!(world.ended(signed.session).await, Some(Reason::PasswordChanged));
        assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Ended));
    }
    let old = super::world::try_sign_in(&engine, "ada", PASSWORD, HOME, None).await;
    assert!(matches!(old, SignIn::Wrong));
    assert_eq!(user::set_password(&engine, named("nobody"), String::new()).await, Ok(UserChanged::NotFound));
}

pub(super) async fn roles_are_in_the_very_next_access_token(world: World) {
    let ada = world.user("ada").await;
    let store = world.store();
    assert_eq!(set_role(&world, ADMIN_ROLE, named("ada"), true).await, RoleChanged::NoSuchRole);
    assert_eq!(store.add_role(ADMIN_ROLE.to_owned(), None, world.engine().now()).await, Ok(true));
    assert_eq!(store.add_role(ADMIN_ROLE.to_owned(), None, world.engine().now()).await, Ok(false));
    store.add_role("editor".to_owned(), Some("edits".to_owned()), world.engine().now()).await.unwrap();
    assert_eq!(set_role(&world, ADMIN_ROLE, named("nobody"), true).await, RoleChanged::NoSuchUser);
    assert_eq!(set_role(&world, ADMIN_ROLE, named("ada"), true).await, RoleChanged::Changed);
    assert_eq!(set_role(&world, ADMIN_ROLE, UserSelector::Id(ada), true).await, RoleChanged::Unchanged);

    let signed = sign_in_as_admin(&world, "ada").await;
    assert_eq!(scope(&world, &signed.access), format!("openid {ADMIN_SCOPE}"));
    set_role(&world, "editor", named("ada"), true).await;
    let (token, roles) = rotate(&world, &signed.token).await;
    assert_eq!(roles, [ADMIN_ROLE, "editor"]);
    let editor = ("editor".to_owned(), Some("edits".to_owned()), 1);
    assert_eq!(roles_now(&world).await, [(ADMIN_ROLE.to_owned(), None, 1), editor]);

    assert_eq!(set_role(&world, ADMIN_ROLE, named("ada"), false).await, RoleChanged::Changed);
    assert_eq!(set_role(&world, ADMIN_ROLE, named("ada"), false).await, RoleChanged::Unchanged);
    let (token, roles) = rotate(&world, &token).await;
    assert_eq!(roles, ["editor"]);
    let tokens = try_token(&world.engine(), &token, Intent::Peek, HOME, FIREFOX).await.unwrap();
    let Refreshed::Tokens(tokens) = tokens else { panic!("{tokens:?}") };
    assert_eq!(scope(&world, &tokens.access_token.0), "openid");

    assert_eq!(store.remove_role("editor".to_owned()).await, Ok(true));
    assert_eq!(store.remove_role("editor".to_owned()).await, Ok(false));
    let (_, roles) = rotate(&world, &token).await;
    assert_eq!(roles, [""; 0]);
    assert_eq!(roles_now(&world).await, [(ADMIN_ROLE.to_owned(), None, 0)]);
    let kinds: Vec<_> = store.timeline(TimelineOf::User(ada), 100).await.unwrap();
    let count = |kind| kinds.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::RoleGranted), count(EventKind::RoleRevoked)), (2, 1));
}

async fn roles_now(world: &World) -> Vec<(String, Option<String>, u64)> {
    let known = world.store().roles().await.unwrap();
    known.into_iter().map(|role| (role.name, role.description, role.users)).collect()
}

async fn set_role(world: &World, role: &str, user: UserSelector, has: bool) -> RoleChanged {
    let end = End { at: world.engine().now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    world.store().set_role(role.to_owned(), user, has, end).await.unwrap()
}

async fn sign_in_as_admin(world: &World, name: &str) -> Signed {
    let engine = world.engine();
    let credentials = Credentials {
        identifier: name,
        password: PASSWORD,
        kind: GrantKind::Native,
        device: None,
        audience: None,
        scope: Some(format!("openid {ADMIN_SCOPE}")),
        address: ip(HOME),
        context: context(&engine, HOME, FIREFOX),
        replaces: None,
    };
    match sign_in(&engine, credentials).await.unwrap() {
        SignIn::Granted(tokens) => Signed::new(&tokens),
        other => panic!("{other:?}"),
    }
}

fn scope(world: &World, access: &str) -> String {
    let engine = world.engine();
    engine.mint.check(access, engine.now()).unwrap().scope
}

async fn rotate(world: &World, token: &str) -> (String, Vec<String>) {
    let refreshed = try_token(&world.engine(), token, Intent::Rotate, HOME, FIREFOX).await.unwrap();
    let Refreshed::Tokens(tokens) = refreshed else { panic!("{refreshed:?}") };
    let next = tokens.refresh_token.as_ref().unwrap().expose().to_owned();
    (next, tokens.facts.roles.to_vec())
}
