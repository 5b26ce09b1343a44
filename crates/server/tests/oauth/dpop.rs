//! DPoP (RFC 9449): tokens that are bound to a key, and what their copies are good for.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::{Algorithm, Signer, SigningKey};
use serde_json::{Value, json};

use crate::{
    browser::parameter,
    support::{Answer, Call},
    world::{App, CALLBACK, VERIFIER, World, refused},
};

const OWN: &str = "https://own.example/cb";
const TOKEN: &str = "/oauth2/token";
const USERINFO: &str = "/oauth2/userinfo";

/// Somebody with a key.
struct Holder {
    key: SigningKey,
    issuer: String,
}

impl Holder {
    fn new(world: &World) -> Self {
        Self { key: SigningKey::generate(Algorithm::Es256).unwrap(), issuer: world.server.issuer.clone() }
    }

    fn thumbprint(&self) -> String {
        self.key.public().thumbprint()
    }

    /// A new proof; what is in `more` replaces.
    fn proof(&self, method: &str, path: &str, more: &Value) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let jwk: Value = serde_json::from_str(&self.key.public().to_json()).unwrap();
        let header = json!({"typ": "dpop+jwt", "jwk": jwk});
        let mut claims = json!({
            "jti": format!("{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            "htm": method,
            "htu": format!("{}{path}", self.issuer),
            "iat": seconds(),
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let signer = Signer::with_header(&self.key, header.as_object().unwrap()).unwrap();
        signer.sign(claims.to_string().as_bytes()).unwrap()
    }

    fn for_token(&self) -> String {
        self.proof("POST", TOKEN, &json!({}))
    }

    /// For a resource, with an access token.
    fn for_userinfo(&self, token: &str) -> String {
        self.proof("GET", USERINFO, &json!({"ath": hashed(token)}))
    }
}

#[allow(clippy::disallowed_methods, reason = "a proof says when it was made")]
fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn hashed(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name} in {tokens}")).to_owned()
}

fn proving(call: Call, proof: Option<&str>) -> Answer {
    match proof {
        Some(proof) => call.header("DPoP", proof).send(),
        None => call.send(),
    }
}

fn redeem(app: &App, callback: &str, code: &str, proof: Option<&str>) -> Answer {
    let fields =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", callback), ("code_verifier", VERIFIER)];
    proving(app.call(TOKEN, &fields), proof)
}

fn refresh(app: &App, token: &str, proof: Option<&str>) -> Answer {
    proving(app.call(TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", token)]), proof)
}

/// Bound tokens of `own`, the public client.
fn own_tokens(world: &World, holder: &Holder) -> Value {
    let code = world.code(&mut world.browser(), "own", &[]);
    redeem(&world.public("own"), OWN, &code, Some(&holder.for_token())).expect(200).json()
}

fn userinfo(world: &World, scheme: &str, token: &str, proof: Option<&str>) -> Answer {
    let call = world.server.client().get(USERINFO).header("Authorization", &format!("{scheme} {token}"));
    proving(call, proof)
}

/// Refused at a resource, by the scheme DPoP.
#[track_caller]
fn challenged(answer: &Answer, error: &str) {
    refused(answer, 401, error);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with(&format!("DPoP error=\"{error}\", algs=\"ES256 ")), "{challenge}");
}

#[test]
fn a_copy_of_a_public_clients_bound_token_is_worth_nothing_and_changes_nothing() {
    let world = World::new();
    let (holder, thief, own) = (Holder::new(&world), Holder::new(&world), world.public("own"));
    let first = own_tokens(&world, &holder);
    assert_eq!(first["token_type"], "DPoP");
    let claims = world.verified(&text(&first, "access_token"), &world.server.issuer);
    assert_eq!(claims["cnf"], json!({"jkt": holder.thumbprint()}));
    let one = text(&first, "refresh_token");
    let grant = text(&claims, "grt");
    let told = || world.server.regrant(&["--json", "explain", &grant]).ok().json();

    // Row 4: whoever has the token and not the key.
    let before = told();
    let stolen = |token: &str| {
        for proof in [None, Some(thief.for_token())] {
            let answer = refresh(&own, token, proof.as_deref());
            refused(&answer, 400, "invalid_dpop_proof");
            assert_eq!(answer.json().get("reason"), None);
        }
    };
    stolen(&one);
    assert_eq!(told(), before);
    // Row 15.
    let second = refresh(&own, &one, Some(&holder.for_token())).expect(200).json();
    assert_eq!(second["token_type"], "DPoP");
    let two = text(&second, "refresh_token");
    assert_ne!(one, two);
    // Row 17: a lost reply; the same successor, for its holder alone, from wherever and however often.
    let before = told();
    stolen(&one);
    assert_eq!(told(), before);
    for _ in 0..4 {
        let again = refresh(&own, &one, Some(&holder.for_token())).expect(200).json();
        assert_eq!(again["refresh_token"], two.as_str());
    }
    // Row 8: two behind. The holder is told, and the thief is told nothing; the family goes on.
    let third = refresh(&own, &two, Some(&holder.for_token())).expect(200).json();
    let stale = refresh(&own, &one, Some(&holder.for_token()));
    refused(&stale, 400, "invalid_grant");
    assert_eq!(stale.json()["reason"], "superseded");
    stolen(&one);
    stolen(&text(&third, "refresh_token"));
    refresh(&own, &text(&third, "refresh_token"), Some(&holder.for_token())).expect(200);
    assert_eq!(told()["state"], "alive");
}

#[test]
fn a_grant_is_bound_from_the_first_proof_on_and_its_token_of_before_is_theft() {
    let world = World::new();
    let (holder, own) = (Holder::new(&world), world.public("own"));
    let mut browser = world.browser();
    let bearer = own.redeem(&world.code(&mut browser, "own", &[])).expect(200).json();
    assert_eq!(bearer["token_type"], "Bearer");
    let bound = refresh(&own, &text(&bearer, "refresh_token"), Some(&holder.for_token())).expect(200).json();
    assert_eq!(bound["token_type"], "DPoP");
    refused(&refresh(&own, &text(&bound, "refresh_token"), None), 400, "invalid_dpop_proof");
    // The reply was lost: the same key asks again.
    let again = refresh(&own, &text(&bearer, "refresh_token"), Some(&holder.for_token())).expect(200).json();
    assert_eq!(again["refresh_token"], bound["refresh_token"]);
    // Row 16: without it, it is somebody else.
    let reused = refresh(&own, &text(&bearer, "refresh_token"), None);
    refused(&reused, 400, "invalid_grant");
    assert_eq!(reused.json()["reason"], "reused");
    refused(&refresh(&own, &text(&bound, "refresh_token"), Some(&holder.for_token())), 400, "invalid_grant");
}

/// RFC 9449 §5: a client that authenticates has its refresh tokens bound to itself, and may change its key.
#[test]
fn a_confidential_clients_key_may_change() {
    let world = World::new();
    let (holder, next, shop) = (Holder::new(&world), Holder::new(&world), world.shop());
    let code = world.code(&mut world.browser(), "shop", &[]);
    let first = redeem(&shop, CALLBACK, &code, Some(&holder.for_token())).expect(200).json();
    let told = shop.introspect(&text(&first, "access_token"));
    assert_eq!((&told["token_type"], &told["cnf"]), (&json!("DPoP"), &json!({"jkt": holder.thumbprint()})));
    let second = refresh(&shop, &text(&first, "refresh_token"), Some(&next.for_token())).expect(200).json();
    let told = shop.introspect(&text(&second, "access_token"));
    assert_eq!(told["cnf"], json!({"jkt": next.thumbprint()}));
    let third = refresh(&shop, &text(&second, "refresh_token"), None).expect(200).json();
    let told = shop.introspect(&text(&third, "access_token"));
    assert_eq!((&told["token_type"], told.get("cnf")), (&json!("Bearer"), None));
}

#[test]
fn a_bound_access_token_is_good_with_its_key_and_no_bearer_token() {
    let world = World::new();
    let (holder, thief, own) = (Holder::new(&world), Holder::new(&world), world.public("own"));
    let tokens = own_tokens(&world, &holder);
    let token = text(&tokens, "access_token");
    let told = userinfo(&world, "DPoP", &token, Some(&holder.for_userinfo(&token))).expect(200).json();
    assert_eq!(told["name"], "Ada Lovelace");
    userinfo(&world, "dpop", &token, Some(&holder.for_userinfo(&token))).expect(200);

    // RFC 9449 §7.2.
    challenged(&userinfo(&world, "Bearer", &token, None), "invalid_token");
    challenged(&userinfo(&world, "Bearer", &token, Some(&holder.for_userinfo(&token))), "invalid_token");
    let form = world.public("own").post(USERINFO, &[("access_token", &token)]);
    challenged(&form, "invalid_token");
    world.server.client().get("/session").bearer(&token).send().refused(401, "invalid_token", None);
    // §7.1.
    challenged(&userinfo(&world, "DPoP", &token, None), "invalid_dpop_proof");
    challenged(&userinfo(&world, "DPoP", &token, Some(&thief.for_userinfo(&token))), "invalid_token");
    let other = holder.proof("GET", USERINFO, &json!({"ath": hashed("another")}));
    for proof in [other, holder.proof("GET", USERINFO, &json!({})), holder.for_token(), "garbage".to_owned()] {
        challenged(&userinfo(&world, "DPoP", &token, Some(&proof)), "invalid_dpop_proof");
    }
    challenged(&userinfo(&world, "DPoP", "garbage", Some(&holder.for_userinfo("garbage"))), "invalid_token");
    // Nor does a proof make a bearer token a better one.
    let bearer = own.redeem(&world.code(&mut world.browser(), "own", &[])).expect(200).json();
    let bearer = text(&bearer, "access_token");
    challenged(&userinfo(&world, "DPoP", &bearer, Some(&holder.for_userinfo(&bearer))), "invalid_token");
    userinfo(&world, "Bearer", &bearer, None).expect(200);
    // Without any, both ways are told.
    let none = world.server.client().get(USERINFO).send();
    refused(&none, 401, "invalid_token");
    let told: Vec<_> = none.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
    assert!(told[0].1 == "Bearer" && told[1].1.starts_with("DPoP algs=\"ES256 "), "{told:?}");
}

#[test]
fn a_proof_is_good_once_wherever_it_is_shown() {
    let world = World::new();
    let (holder, own) = (Holder::new(&world), world.public("own"));
    let mut browser = world.browser();
    let proof = holder.for_token();
    let tokens = redeem(&own, OWN, &world.code(&mut browser, "own", &[]), Some(&proof)).expect(200).json();
    let token = text(&tokens, "refresh_token");
    refused(&refresh(&own, &token, Some(&proof)), 400, "invalid_dpop_proof");
    let next = holder.for_token();
    let renewed = refresh(&own, &token, Some(&next)).expect(200).json();
    refused(&refresh(&own, &text(&renewed, "refresh_token"), Some(&next)), 400, "invalid_dpop_proof");
    refused(&refresh(&own, &token, Some(&next)), 400, "invalid_dpop_proof");
    // A code that comes with one of before is spent, and gives nothing.
    let code = world.code(&mut browser, "own", &[]);
    refused(&redeem(&own, OWN, &code, Some(&next)), 400, "invalid_grant");
    refused(&redeem(&own, OWN, &code, Some(&holder.for_token())), 400, "invalid_grant");
    // A code that is garbage has used up none.
    let unused = holder.for_token();
    refused(&redeem(&own, OWN, "garbage", Some(&unused)), 400, "invalid_grant");
    redeem(&own, OWN, &world.code(&mut browser, "own", &[]), Some(&unused)).expect(200);

    let access = text(&renewed, "access_token");
    let shown = holder.for_userinfo(&access);
    userinfo(&world, "DPoP", &access, Some(&shown)).expect(200);
    challenged(&userinfo(&world, "DPoP", &access, Some(&shown)), "invalid_dpop_proof");
    let job = |proof: &str| proving(world.job().call(TOKEN, &[("grant_type", "client_credentials")]), Some(proof));
    let proof = holder.for_token();
    assert_eq!(job(&proof).expect(200).json()["token_type"], "DPoP");
    refused(&job(&proof), 400, "invalid_dpop_proof");
    // Nor is one of two taken.
    let two = world.job().call(TOKEN, &[("grant_type", "client_credentials")]).header("DPoP", &holder.for_token());
    refused(&proving(two, Some(&holder.for_token())), 400, "invalid_dpop_proof");
}

/// RFC 9449 §10.
#[test]
fn a_code_may_name_the_key_that_must_be_proven_with_it() {
    let world = World::new();
    let (holder, thief, own) = (Holder::new(&world), Holder::new(&world), world.public("own"));
    let mut browser = world.browser();
    let code = world.code(&mut browser, "own", &[("dpop_jkt", &holder.thumbprint())]);
    refused(&redeem(&own, OWN, &code, None), 400, "invalid_grant");
    refused(&redeem(&own, OWN, &code, Some(&thief.for_token())), 400, "invalid_grant");
    let tokens = redeem(&own, OWN, &code, Some(&holder.for_token())).expect(200).json();
    assert_eq!(tokens["token_type"], "DPoP");
    for wrong in ["x", &holder.thumbprint()[1..]] {
        let landed = browser.walk(&world.request("own", &[("dpop_jkt", wrong)]));
        assert_eq!(parameter(&landed, "error").as_deref(), Some("invalid_request"), "{landed}");
    }
}

#[test]
fn a_client_whose_tokens_are_to_be_bound_gets_no_others() {
    let world = World::new();
    let add = ["--json", "client", "add", "--type", "public", "--first-party", "--dpop", "required", "--id", "bound"];
    let added = world.server.regrant(&[&add[..], &["--redirect-uri", OWN]].concat()).ok().json();
    assert_eq!(added["dpop_bound_access_tokens"], true);
    let (holder, bound) = (Holder::new(&world), world.public("bound"));
    let mut browser = world.browser();
    let code = world.code(&mut browser, "bound", &[("redirect_uri", OWN)]);
    refused(&redeem(&bound, OWN, &code, None), 400, "invalid_dpop_proof");
    let tokens = redeem(&bound, OWN, &code, Some(&holder.for_token())).expect(200).json();
    refused(&refresh(&bound, &text(&tokens, "refresh_token"), None), 400, "invalid_dpop_proof");
    refresh(&bound, &text(&tokens, "refresh_token"), Some(&holder.for_token())).expect(200);
}

/// RFC 9449 §8, §9: nothing is kept of a nonce, so it is good on every node, and after a restart.
#[test]
fn a_nonce_is_asked_for_where_it_is_required_and_comes_with_each_reply() {
    let world = World::with(|home| home.set("REGRANT_TOKENS__DPOP_NONCE", "required"));
    let (holder, own) = (Holder::new(&world), world.public("own"));
    let mut browser = world.browser();
    let code = world.code(&mut browser, "own", &[]);
    let asked = redeem(&own, OWN, &code, Some(&holder.for_token()));
    refused(&asked, 400, "use_dpop_nonce");
    let nonce = asked.header("dpop-nonce").expect("a nonce").to_owned();
    let made_up = holder.proof("POST", TOKEN, &json!({"nonce": "x".repeat(27)}));
    refused(&redeem(&own, OWN, &code, Some(&made_up)), 400, "use_dpop_nonce");
    let proof = || holder.proof("POST", TOKEN, &json!({"nonce": nonce}));
    let answer = redeem(&own, OWN, &code, Some(&proof())).expect(200);
    assert!(answer.header("dpop-nonce").is_some());
    let tokens = answer.json();
    let renewed = refresh(&own, &text(&tokens, "refresh_token"), Some(&proof())).expect(200).json();
    refused(&refresh(&own, "garbage", Some(&proof())), 400, "invalid_grant");

    let token = text(&renewed, "access_token");
    let asked = userinfo(&world, "DPoP", &token, Some(&holder.for_userinfo(&token)));
    challenged(&asked, "use_dpop_nonce");
    let nonce = asked.header("dpop-nonce").unwrap();
    let proof = holder.proof("GET", USERINFO, &json!({"ath": hashed(&token), "nonce": nonce}));
    let answer = userinfo(&world, "DPoP", &token, Some(&proof)).expect(200);
    assert!(answer.header("dpop-nonce").is_some());
    // A device whose clock is wrong gets in with one.
    let proof = holder.proof("GET", USERINFO, &json!({"ath": hashed(&token), "nonce": nonce, "iat": 1}));
    userinfo(&world, "DPoP", &token, Some(&proof)).expect(200);
    // Who proves nothing needs none.
    let plain = own.redeem(&world.code(&mut browser, "own", &[])).expect(200);
    assert_eq!((plain.header("dpop-nonce"), &plain.json()["token_type"]), (None, &json!("Bearer")));
}

/// RFC 9449 §4.3: `htu` is the address that clients use, whatever the server is called behind its proxies.
#[test]
fn the_address_in_a_proof_is_the_issuers() {
    let world = World::with(|home| home.set("REGRANT_SERVER__ISSUER", "https://id.example"));
    let holder = Holder { issuer: "https://id.example".to_owned(), ..Holder::new(&world) };
    let here = Holder { issuer: format!("http://{}", world.server.address), ..Holder::new(&world) };
    let job = |proof: &str| proving(world.job().call(TOKEN, &[("grant_type", "client_credentials")]), Some(proof));
    job(&holder.for_token()).expect(200);
    refused(&job(&here.for_token()), 400, "invalid_dpop_proof");
}

/// RFC 7009 asks for no proof, and libraries send none: whoever has the token may give it back, but for an old copy.
#[test]
fn a_bound_token_is_given_back_without_a_proof() {
    let world = World::new();
    let (holder, own) = (Holder::new(&world), world.public("own"));
    let first = own_tokens(&world, &holder);
    let renew =
        |tokens: &Value| refresh(&own, &text(tokens, "refresh_token"), Some(&holder.for_token())).expect(200).json();
    let second = renew(&first);
    let third = renew(&second);
    own.post("/oauth2/revoke", &[("token", &text(&first, "refresh_token"))]).expect(200);
    let fourth = renew(&third);
    own.post("/oauth2/revoke", &[("token", &text(&fourth, "refresh_token"))]).expect(200);
    let over = refresh(&own, &text(&fourth, "refresh_token"), Some(&holder.for_token()));
    refused(&over, 400, "invalid_grant");
    assert_eq!(over.json()["reason"], "signed_out");
}

/// An application in a page sends the header and reads the nonce.
#[test]
fn pages_may_send_proofs_and_read_nonces() {
    let world = World::new();
    for path in [TOKEN, USERINFO] {
        let ask = world.server.client().call("OPTIONS", path).header("Origin", "https://spa.example");
        let preflight = ask.header("Access-Control-Request-Method", "POST").send().expect(204);
        let listed = |name: &str| preflight.header(name).unwrap().split(", ").map(str::to_owned).collect::<Vec<_>>();
        assert!(listed("access-control-allow-headers").contains(&"dpop".to_owned()));
        assert!(listed("access-control-expose-headers").contains(&"dpop-nonce".to_owned()));
    }
    let document = world.server.client().get("/.well-known/openid-configuration").send().expect(200).json();
    assert_eq!(document["dpop_signing_alg_values_supported"][0], "ES256");
}
