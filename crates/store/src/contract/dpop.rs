//! Bound grants: a public client's tokens renew themselves for the holder of one key, and for nobody else.

use std::sync::Arc;

use regrant_engine::{
    Engine,
    authorize::{self, Request},
    client::{self, Client, ClientType, Draft, ManagedBy},
    code,
    dpop::Proof,
    grant::{
        authorization_code::redeem,
        refresh_token::{Renewed, renew},
    },
    id::{ClientId, GrantRef},
    ports::Loaded,
    reason::WireReason,
    refresh::{Holding, KeyThumbprint, Refreshed, Refusal, Tokens},
    time::Seconds,
    token::Endpoint,
};

use super::{
    single_sign_on::{here, seen, sign_in},
    world::{ABROAD, CURL, FIREFOX, HOME, World, at_once, context},
};

const CALLBACK: &str = "https://app.example/cb";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const KEY: KeyThumbprint = KeyThumbprint([7; 32]);
const OTHER_KEY: KeyThumbprint = KeyThumbprint([8; 32]);

/// What came of the use of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Came {
    /// These: the refresh token, and the key of the access token.
    Tokens(String, Option<KeyThumbprint>),
    Refused(Refusal),
    Over(WireReason),
}

/// A new proof of `key`.
fn proof(engine: &Engine, key: KeyThumbprint) -> Proof {
    let mut name = [0; 32];
    engine.random.fill(&mut name);
    Proof { key, name, until: engine.now().plus(Seconds::MINUTE) }
}

async fn public(world: &World) -> Arc<Client> {
    let engine = world.engine();
    let draft = Draft {
        redirect_uris: vec![CALLBACK.to_owned()],
        scopes: ["a", "offline_access"].map(str::to_owned).to_vec(),
        ..Draft::new("app", ClientType::Public)
    };
    let made = client::prepare(draft, ManagedBy::Operator, engine.now()).unwrap();
    client::add(&engine, made).await.unwrap();
    engine.client(&ClientId::from("app")).await.unwrap().unwrap()
}

/// A code that names this key.
async fn code_for(world: &World, client: &Arc<Client>, key: Option<KeyThumbprint>) -> String {
    let engine = world.engine();
    let named = key.map(|key| key.to_string());
    let request = Request {
        response_type: Some("code"),
        redirect_uri: Some(CALLBACK),
        scope: Some("a offline_access"),
        code_challenge: Some(CHALLENGE),
        code_challenge_method: Some("S256"),
        dpop_jkt: named.as_deref(),
        ..Request::default()
    };
    let to = authorize::destination(Some(Arc::clone(client)), &request).unwrap();
    let asked = authorize::check(to, &request, &engine.settings, &engine.registry().await.unwrap()).unwrap();
    let reference = sign_in(world, "ada", None).await;
    let signed_in = seen(world, &reference).await.expect("signed in");
    code::issue(&engine, &asked, &signed_in).await.unwrap().to_string()
}

async fn redeemed(world: &World, client: &Arc<Client>, code: &str, proof: Option<&Proof>) -> Option<Box<Tokens>> {
    let engine = world.engine();
    let granted = redeem(&engine, client, code, Some(CALLBACK), Some(VERIFIER), &[], proof, here(world)).await.unwrap();
    granted.granted().map(|granted| granted.tokens)
}

async fn use_token(
    engine: Arc<Engine>,
    client: Arc<Client>,
    token: String,
    key: Option<KeyThumbprint>,
    from: (&str, &str),
) -> Came {
    let presented = engine.refresh_keys.open(Endpoint::OAuth, &token).unwrap();
    let proof = key.map(|key| proof(&engine, key));
    let context = context(&engine, from.0, from.1);
    came(renew(&engine, &client, presented, None, &[], proof.as_ref(), context).await.unwrap())
}

fn came(renewed: Renewed) -> Came {
    match renewed {
        Renewed::Granted(granted) => Came::Tokens(text(&granted.tokens), granted.tokens.key),
        Renewed::Not(Refreshed::Refused(refusal)) => Came::Refused(refusal),
        Renewed::Not(Refreshed::Over(reason)) => Came::Over(reason),
        Renewed::Not(other) => panic!("{other:?}"),
    }
}

fn text(tokens: &Tokens) -> String {
    tokens.refresh_token.as_ref().unwrap().expose().to_owned()
}

async fn stored(world: &World, grant: GrantRef) -> Loaded {
    world.store().grant(grant).await.unwrap().unwrap()
}

/// A bound grant and its first token.
async fn bound(world: &World) -> (Arc<Client>, GrantRef, String) {
    world.user("ada").await;
    let client = public(world).await;
    let code = code_for(world, &client, None).await;
    let tokens = redeemed(world, &client, &code, Some(&proof(&world.engine(), KEY))).await.unwrap();
    assert_eq!(tokens.key, Some(KEY));
    (client, tokens.grant, text(&tokens))
}

pub(super) async fn a_bound_grant_renews_itself_for_its_key_alone(mut world: World) {
    let (client, grant, first) = bound(&world).await;
    world.crash().await;
    let using = async |world: &World, token: &str, key, from| {
        use_token(world.engine(), Arc::clone(&client), token.to_owned(), key, from).await
    };
    let (home, abroad) = ((HOME, FIREFOX), (ABROAD, CURL));
    assert!(matches!(stored(&world, grant).await.state.grant.holding, Holding::Bound { key: KEY, .. }));

    // A thief without the key, again and again, wherever the thief is.
    let nothing = async |world: &World, token: &str| {
        let before = stored(world, grant).await;
        for (key, from) in [(None, abroad), (None, home), (Some(OTHER_KEY), abroad), (Some(OTHER_KEY), home)] {
            assert_eq!(using(world, token, key, from).await, Came::Refused(Refusal::Proof));
        }
        assert_eq!(stored(world, grant).await, before);
    };
    nothing(&world, &first).await;
    let Came::Tokens(second, Some(KEY)) = using(&world, &first, Some(KEY), home).await else { panic!("it renews") };
    nothing(&world, &first).await;
    nothing(&world, &second).await;
    // Lost replies: the same successor, from anywhere, however late, and after a crash.
    for round in 0..5 {
        world.pass(Seconds::HOUR);
        let from = if round % 2 == 0 { abroad } else { home };
        let again = using(&world, &first, Some(KEY), from).await;
        assert_eq!(again, Came::Tokens(second.clone(), Some(KEY)));
        if round == 2 {
            world.crash().await;
        }
    }
    let Came::Tokens(third, _) = using(&world, &second, Some(KEY), home).await else { panic!("it renews") };
    // Two behind: the holder is told that it is too old, the thief nothing, and nothing ends.
    let before = stored(&world, grant).await;
    assert_eq!(using(&world, &first, Some(KEY), home).await, Came::Refused(Refusal::Stale));
    assert_eq!(stored(&world, grant).await, before);
    nothing(&world, &first).await;
    assert!(matches!(using(&world, &third, Some(KEY), home).await, Came::Tokens(..)));
}

pub(super) async fn holder_and_thief_at_once_make_one_successor_for_the_holder(world: World) {
    let (client, grant, mut token) = bound(&world).await;
    for generation in 2..=3 {
        let one = |index: usize| {
            let key = [Some(KEY), None, Some(OTHER_KEY)][index % 3];
            use_token(world.engine(), Arc::clone(&client), token.clone(), key, (HOME, FIREFOX))
        };
        let came = at_once((0..60).map(one).collect()).await;
        let Came::Tokens(next, _) = came[0].clone() else { panic!("{:?}", came[0]) };
        for (index, came) in came.iter().enumerate() {
            match index % 3 {
                0 => assert_eq!(came, &Came::Tokens(next.clone(), Some(KEY))),
                _ => assert_eq!(came, &Came::Refused(Refusal::Proof)),
            }
        }
        assert_eq!(stored(&world, grant).await.state.grant.generation.0, generation);
        token = next;
    }
}

pub(super) async fn a_proof_renews_once(world: World) {
    let (client, grant, first) = bound(&world).await;
    let engine = world.engine();
    let seen_by_a_thief = proof(&engine, KEY);
    let with = async |token: &str| {
        let presented = engine.refresh_keys.open(Endpoint::OAuth, token).unwrap();
        came(renew(&engine, &client, presented, None, &[], Some(&seen_by_a_thief), here(&world)).await.unwrap())
    };
    let Came::Tokens(second, _) = with(&first).await else { panic!("it renews") };
    for token in [&first, &second] {
        assert_eq!(with(token).await, Came::Refused(Refusal::Proof));
    }
    assert_eq!(stored(&world, grant).await.state.grant.generation.0, 2);
    // Nor does it redeem a code: what came of it ends, unseen.
    let code = code_for(&world, &client, None).await;
    assert!(redeemed(&world, &client, &code, Some(&seen_by_a_thief)).await.is_none());
    assert!(redeemed(&world, &client, &code, Some(&proof(&engine, KEY))).await.is_none());
}

pub(super) async fn a_code_keeps_the_key_that_it_names(mut world: World) {
    world.user("ada").await;
    let client = public(&world).await;
    let code = code_for(&world, &client, Some(KEY)).await;
    world.crash().await;
    let engine = world.engine();
    assert!(redeemed(&world, &client, &code, None).await.is_none());
    assert!(redeemed(&world, &client, &code, Some(&proof(&engine, OTHER_KEY))).await.is_none());
    let tokens = redeemed(&world, &client, &code, Some(&proof(&engine, KEY))).await.unwrap();
    // Nobody else's second try ends anything; the holder's does.
    assert!(redeemed(&world, &client, &code, Some(&proof(&engine, OTHER_KEY))).await.is_none());
    let life = async || stored(&world, tokens.grant).await.state.grant.life.is_alive();
    assert!(life().await);
    assert!(redeemed(&world, &client, &code, Some(&proof(&engine, KEY))).await.is_none());
    assert!(!life().await);
}

/// Each proof is a row: as many go as come.
pub(super) async fn what_was_used_once_is_forgotten_however_much_it_is(world: World) {
    let world = world.with(|settings| settings.retention.batch = 2).await;
    let (engine, store) = (world.engine(), world.store());
    let until = engine.now().plus(Seconds::MINUTE);
    let first_uses = async || {
        let mut first = 0;
        for name in 0..70 {
            first += u32::from(store.use_once([name; 32], until).await.unwrap());
        }
        first
    };
    assert_eq!((first_uses().await, first_uses().await), (70, 0));
    let sweep = async || {
        let mut sweeps = 1;
        while store.sweep(engine.now(), engine.settings.retention).await.unwrap().more {
            sweeps += 1;
        }
        sweeps
    };
    // Not as soon as they are good no more: the clock may be put right.
    world.pass(Seconds::minutes(30));
    assert_eq!((sweep().await, first_uses().await), (1, 0));
    world.pass(Seconds::HOUR);
    assert_eq!(sweep().await, 2);
    assert_eq!(first_uses().await, 70);
}
