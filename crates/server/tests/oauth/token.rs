//! The token endpoint, and what tokens are good for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, form},
    support::assert_members,
    world::{CALLBACK, VERIFIER, World, refused},
};

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name} in {tokens}")).to_owned()
}

#[test]
fn a_code_becomes_tokens_that_say_who_signed_in() {
    let world = World::new();
    let mut browser = world.browser();
    let code = world.code(&mut browser, "shop", &[]);
    let answer = world.shop().redeem(&code).expect(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let tokens = answer.json();
    assert_members(&tokens, &["access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope"]);
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"], &tokens["scope"]),
        (&json!("Bearer"), &json!(900), &json!("openid profile email"))
    );

    let (id_token, access_token) = (text(&tokens, "id_token"), text(&tokens, "access_token"));
    let id = world.verified(&id_token, "shop");
    assert_eq!((&id["nonce"], &id["azp"], &id["amr"]), (&json!("n-1"), &json!("shop"), &json!(["pwd"])));
    assert_eq!(id["acr"], "1");
    assert!(text(&id, "sub").starts_with("usr_") && text(&id, "sid").starts_with("ses_"));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access_token.as_bytes());
    let half = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]);
    assert_eq!(id["at_hash"], half);
    let (auth_time, issued) = (id["auth_time"].as_i64().unwrap(), id["iat"].as_i64().unwrap());
    assert!((0..60).contains(&(issued - auth_time)));
    let header = world.header(&id_token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));

    let access = world.verified(&access_token, &world.server.issuer);
    let header = world.header(&access_token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("at+jwt")));
    assert_eq!((&access["sub"], &access["sid"], &access["client_id"]), (&id["sub"], &id["sid"], &json!("shop")));
    assert!(text(&access, "grt").starts_with("grt_"));

    let told = world.shop().userinfo(&access_token).expect(200).json();
    assert_eq!(
        told,
        json!({"sub": id["sub"], "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": false})
    );
}

#[test]
fn a_code_is_good_once_for_its_client_address_and_verifier() {
    let world = World::new();
    let mut browser = world.browser();
    let code = world.code(&mut browser, "shop", &[]);
    let right = [("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    for wrong in [
        &right[..1],
        &right[1..],
        &[("redirect_uri", "https://shop.example/other"), right[1]],
        &[right[0], ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX")],
        &[right[0], ("code_verifier", "short")],
    ] {
        refused(&world.shop().redeem_with(&code, wrong), 400, "invalid_grant");
    }
    refused(&world.public("own").redeem_with(&code, &right), 400, "invalid_grant");
    refused(&world.shop().redeem("made-up"), 400, "invalid_grant");
    // None of that has burned it.
    let tokens = world.shop().redeem(&code).expect(200).json();
    world.shop().userinfo(&text(&tokens, "access_token")).expect(200);

    // The second time, with all that the first had: everything that came of it ends. Another's try does not.
    refused(&world.shop().redeem_with(&code, &right[..1]), 400, "invalid_grant");
    let renewed = world.shop().refresh(&text(&tokens, "refresh_token")).expect(200).json();
    refused(&world.shop().redeem(&code), 400, "invalid_grant");
    refused(&world.shop().userinfo(&text(&tokens, "access_token")), 401, "invalid_token");
    refused(&world.shop().userinfo(&text(&renewed, "access_token")), 401, "invalid_token");
    let over = world.shop().refresh(&text(&renewed, "refresh_token"));
    refused(&over, 400, "invalid_grant");
    assert_eq!(over.json()["reason"], "reused");
    // Whoever runs the server can see why, by the token and by the name of the grant.
    let claims = world.server.regrant_reading(&["--json", "jwt", "inspect"], text(&tokens, "access_token")).ok().json();
    let grant = text(&claims["payload"], "grt");
    for asked in [text(&renewed, "refresh_token"), grant] {
        let told = match asked.starts_with("grt_") {
            true => world.server.regrant(&["--json", "explain", &asked]).ok().json(),
            false => world.server.regrant_reading(&["--json", "explain", "-"], &asked).ok().json(),
        };
        assert_eq!((&told["state"], &told["reason"]), (&json!("ended"), &json!("reused")), "{told}");
        let kinds: Vec<_> = told["timeline"].as_array().unwrap().iter().map(|event| event["kind"].clone()).collect();
        assert!(kinds.contains(&json!("grant.issued")) && kinds.contains(&json!("code.reused")), "{told}");
    }
    // The person stays signed in, and goes on with a new code.
    world.shop().redeem(&world.code(&mut browser, "shop", &[])).expect(200);
}

/// RFC 9700 §2.1.1: a verifier for a request that had no challenge is a downgrade.
#[test]
fn a_verifier_without_a_challenge_is_refused() {
    let world = World::new();
    let add = [
        "client",
        "add",
        "--id",
        "old",
        "--type",
        "confidential",
        "--pkce",
        "optional",
        "--first-party",
        "--redirect-uri",
        CALLBACK,
        "--json",
    ];
    let secret = text(&world.server.regrant(&add).ok().json(), "client_secret");
    let mut browser = world.browser();
    let request = world.request("shop", &[("client_id", "old"), ("code_challenge", ""), ("code_challenge_method", "")]);
    let mut code = || crate::browser::parameter(&browser.walk(&request), "code").unwrap();
    let redeem = |code: &str, more: &[(&str, &str)]| {
        let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        let id = [("client_id", "old"), ("client_secret", secret.as_str())];
        let body = form(&[&fields[..], &id, more].concat());
        world.server.client().post("/oauth2/token").body("application/x-www-form-urlencoded", body).send()
    };
    let first = code();
    refused(&redeem(&first, &[("code_verifier", VERIFIER)]), 400, "invalid_grant");
    redeem(&first, &[]).expect(200);
}

#[test]
fn a_refresh_token_renews_itself_through_the_one_rotation() {
    let world = World::new();
    let mut browser = world.browser();
    let first = world.shop_tokens(&mut browser, &[]);
    let shop = world.shop();
    let second = shop.refresh(&text(&first, "refresh_token")).expect(200).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // A lost reply: the client authenticates, so whoever asks again is itself.
    let again = shop.refresh(&text(&first, "refresh_token")).expect(200).json();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    // OpenID Connect Core §12.2.
    let (before, after) =
        (world.verified(&text(&first, "id_token"), "shop"), world.verified(&text(&second, "id_token"), "shop"));
    for name in ["iss", "sub", "aud", "auth_time", "sid", "azp"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert!(after.get("nonce").is_none() && after["iat"].as_i64() >= before["iat"].as_i64());

    // Another client, the other kind of endpoint, and garbage.
    let token = text(&second, "refresh_token");
    let other = world.public("own").refresh(&token);
    refused(&other, 400, "invalid_grant");
    assert_eq!(other.json()["reason"], "unknown");
    world.server.client().refresh_by_body(&token).over("unknown");
    let (_, session) = world.server.client().sign_in_by_body();
    refused(&shop.refresh(&session), 400, "invalid_grant");
    refused(&shop.refresh("rg1_garbage"), 400, "invalid_grant");

    // Less, but never more (RFC 6749 §6).
    let ask = |scope: &str| {
        shop.post("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)])
    };
    refused(&ask("openid phone"), 400, "invalid_scope");
    let less = ask("email email").expect(200).json();
    assert_eq!((&less["scope"], less.get("id_token")), (&json!("email"), None));
    let all = shop.refresh(&text(&less, "refresh_token")).expect(200).json();
    assert_eq!(all["scope"], "openid profile email");
}

#[test]
fn an_old_token_of_a_public_client_ends_its_family_and_no_session() {
    let world = World::new();
    let mut browser = world.browser();
    let own = world.public("own");
    let first = own.redeem(&world.code(&mut browser, "own", &[])).expect(200).json();
    let second = own.refresh(&text(&first, "refresh_token")).expect(200).json();
    let third = own.refresh(&text(&second, "refresh_token")).expect(200).json();
    let reused = own.refresh(&text(&first, "refresh_token"));
    refused(&reused, 400, "invalid_grant");
    assert_eq!(reused.json()["reason"], "reused");
    refused(&own.refresh(&text(&third, "refresh_token")), 400, "invalid_grant");
    refused(&own.userinfo(&text(&third, "access_token")), 401, "invalid_token");
    own.redeem(&world.code(&mut browser, "own", &[("prompt", "none")])).expect(200);
}

#[test]
fn clients_authenticate_in_one_way_and_by_their_own_method() {
    let world = World::new();
    let client = world.server.client();
    let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let post = |authorization: Option<&str>, fields: &[(&str, &str)]| {
        let call = client.post("/oauth2/token");
        let call = authorization.map_or(call.clone(), |line| call.header("Authorization", line));
        call.body(
            "application/x-www-form-urlencoded",
            form(&[&[("grant_type", "client_credentials")], fields].concat()),
        )
        .send()
    };
    let (job, right) = (world.job.as_str(), basic("job", &world.job));
    post(Some(&right), &[]).expect(200);
    post(Some(&right), &[("client_id", "job")]).expect(200);
    post(None, &[("client_id", "job"), ("client_secret", job)]).expect(200);
    for (authorization, fields) in [
        (Some(basic("job", "rgs_wrong")), &[][..]),
        (Some(basic("nobody", job)), &[]),
        (Some("Basic !!".to_owned()), &[]),
        (None, &[("client_id", "job")]),
        (None, &[("client_id", "own"), ("client_secret", job)]),
        (None, &[("client_id", "regrant")]),
        (None, &[("client_secret", job)]),
        (None, &[]),
    ] {
        let answer = post(authorization.as_deref(), fields);
        refused(&answer, 401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"regrant\""));
    }
    refused(&post(Some(&right), &[("client_secret", job)]), 400, "invalid_request");
    refused(&post(Some(&right), &[("client_id", "shop")]), 400, "invalid_request");
    refused(&post(None, &[("client_id", "own")]), 400, "unauthorized_client");
    let json = client.post("/oauth2/token").json(&json!({"grant_type": "client_credentials"})).send();
    refused(&json, 400, "invalid_request");
    let twice =
        client.post("/oauth2/token").body("application/x-www-form-urlencoded", "grant_type=a&grant_type=a").send();
    refused(&twice, 400, "invalid_request");
    refused(
        &world.job().post("/oauth2/token", &[("grant_type", "password"), ("username", "a")]),
        400,
        "unsupported_grant_type",
    );
    refused(&world.job().post("/oauth2/token", &[]), 400, "invalid_request");
    // Which secret was used is known afterwards.
    let shown = world.server.regrant(&["--json", "client", "show", "job"]).ok().json();
    assert!(shown["secrets"][0]["last_used_at"].is_string());
    // A new secret works at once, and the one before goes on.
    let rotated = world.server.regrant(&["--json", "client", "rotate-secret", "job"]).ok().json();
    post(Some(&basic("job", &text(&rotated, "client_secret"))), &[]).expect(200);
    post(Some(&right), &[]).expect(200);
}

#[test]
fn a_service_gets_tokens_of_its_own() {
    let world = World::new();
    let job = world.job();
    let ask =
        |more: &[(&str, &str)]| job.post("/oauth2/token", &[&[("grant_type", "client_credentials")], more].concat());
    let tokens = ask(&[("scope", "stock:read stock:read")]).expect(200).json();
    assert_members(&tokens, &["access_token", "token_type", "expires_in", "scope"]);
    let claims = world.verified(&text(&tokens, "access_token"), &world.server.issuer);
    assert_eq!(
        (&claims["sub"], &claims["client_id"], &claims["scope"]),
        (&json!("job"), &json!("job"), &json!("stock:read"))
    );
    assert_eq!(ask(&[]).expect(200).json()["scope"], "stock:read stock:write");
    refused(&ask(&[("scope", "stock:read openid")]), 400, "invalid_scope");
    let for_api = ask(&[("resource", "https://api.example/")]).expect(200).json();
    world.verified(&text(&for_api, "access_token"), "https://api.example/");
    // It is nobody's session, and about no user.
    refused(&job.userinfo(&text(&tokens, "access_token")), 403, "insufficient_scope");
    world.server.client().get("/session").bearer(&text(&tokens, "access_token")).send().refused(
        401,
        "invalid_token",
        None,
    );
    assert_eq!(job.introspect(&text(&tokens, "access_token"))["active"], true);
    world.server.regrant(&["client", "remove", "job"]).ok();
    refused(&ask(&[]), 401, "invalid_client");
}

/// What was granted to an application is not the user's own session.
#[test]
fn an_applications_token_is_refused_at_the_session_api() {
    let world = World::new();
    let tokens = world.shop_tokens(&mut world.browser(), &[]);
    let (client, token) = (world.server.client(), text(&tokens, "access_token"));
    for call in [client.get("/session"), client.get("/sessions"), client.delete("/session"), client.get("/auth/verify")]
    {
        call.bearer(&token).send().refused(401, "invalid_token", None);
    }
    world.shop().userinfo(&token).expect(200);
}

#[test]
fn introspection_is_for_whom_it_concerns() {
    let world = World::new();
    let tokens = world.shop_tokens(&mut world.browser(), &[]);
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let told = world.shop().introspect(&access);
    let claims = world.verified(&access, &world.server.issuer);
    assert_eq!(
        (&told["active"], &told["client_id"], &told["token_type"]),
        (&json!(true), &json!("shop"), &json!("Bearer"))
    );
    for name in ["sub", "scope", "exp", "iat", "iss", "aud", "sid", "jti"] {
        assert_eq!(told[name], claims[name], "{name}");
    }
    assert_eq!(world.shop().introspect(&refresh)["active"], true);
    for token in [access.as_str(), &refresh, "garbage", "a.b.c"] {
        assert_eq!(world.job().introspect(token), json!({"active": false}), "{token}");
    }
    refused(&world.public("own").post("/oauth2/introspect", &[("token", &access)]), 401, "invalid_client");
    refused(&world.shop().post("/oauth2/introspect", &[]), 400, "invalid_request");
    // Reading is no renewal.
    world.shop().refresh(&refresh).expect(200);
}

#[test]
fn what_a_client_gives_back_is_over() {
    let world = World::new();
    let mut browser = world.browser();
    for which in ["refresh_token", "access_token"] {
        let tokens = world.shop_tokens(&mut browser, &[]);
        let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
        // Not by another client.
        world.job().post("/oauth2/revoke", &[("token", tokens[which].as_str().unwrap())]).expect(200);
        world.shop().userinfo(&access).expect(200);
        let gone = world
            .shop()
            .post("/oauth2/revoke", &[("token", tokens[which].as_str().unwrap()), ("token_type_hint", "x")]);
        assert!(gone.expect(200).body.is_empty());
        refused(&world.shop().userinfo(&access), 401, "invalid_token");
        assert_eq!(world.shop().introspect(&access), json!({"active": false}));
        let over = world.shop().refresh(&refresh);
        refused(&over, 400, "invalid_grant");
        assert_eq!(over.json()["reason"], "signed_out");
    }
    world.shop().post("/oauth2/revoke", &[("token", "garbage")]).expect(200);
    refused(&world.shop().post("/oauth2/revoke", &[]), 400, "invalid_request");
}

#[test]
fn userinfo_takes_a_token_in_a_header_or_a_form_and_never_in_a_query() {
    let world = World::new();
    let tokens = world.shop_tokens(&mut world.browser(), &[("scope", "openid address phone")]);
    let (client, token) = (world.server.client(), text(&tokens, "access_token"));
    let form_body = form(&[("access_token", &token)]);
    let post = client
        .post("/oauth2/userinfo")
        .body("application/x-www-form-urlencoded", form_body.clone())
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (&post["address"], &post["phone_number"], post.get("name")),
        (&json!({"country": "GB"}), &json!("+44"), None)
    );
    client.post("/oauth2/userinfo").bearer(&token).send().expect(200);
    let nothing = client.get(&format!("/oauth2/userinfo?access_token={token}")).send();
    refused(&nothing, 401, "invalid_token");
    assert_eq!(nothing.header("www-authenticate"), Some("Bearer"));
    let wrong = client.get("/oauth2/userinfo").bearer("a.b.c").send();
    refused(&wrong, 401, "invalid_token");
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    let twice =
        client.post("/oauth2/userinfo").bearer(&token).body("application/x-www-form-urlencoded", form_body).send();
    refused(&twice, 400, "invalid_request");
}

/// Whatever ends a session, a user or a client ends what was granted with it, at once.
#[test]
fn what_a_grant_hangs_on_ends_it() {
    let world = World::new();
    let shop = world.shop();
    type End = fn(&World, &str);
    let ends: [(&str, End, &str); 3] = [
        ("the session", |world, sid| drop(world.server.regrant(&["session", "revoke", sid]).ok()), "ended"),
        (
            "the password",
            |world, _| {
                drop(
                    world
                        .server
                        .regrant_reading(&["user", "set-password", crate::support::EMAIL], crate::support::PASSWORD)
                        .ok(),
                )
            },
            "ended",
        ),
        ("the client", |world, _| drop(world.server.regrant(&["client", "remove", "own"]).ok()), ""),
    ];
    for (name, end, reason) in ends {
        let mut browser: Browser = world.browser();
        let app = if reason.is_empty() { world.public("own") } else { shop.clone() };
        let id = if reason.is_empty() { "own" } else { "shop" };
        let waiting = world.code(&mut browser, id, &[]);
        let tokens = app.redeem(&world.code(&mut browser, id, &[])).expect(200).json();
        let sid = text(&world.verified(&text(&tokens, "access_token"), &world.server.issuer), "sid");
        end(&world, &sid);
        refused(&app.userinfo(&text(&tokens, "access_token")), 401, "invalid_token");
        let over = app.refresh(&text(&tokens, "refresh_token"));
        if reason.is_empty() {
            refused(&over, 401, "invalid_client");
        } else {
            refused(&over, 400, "invalid_grant");
            assert_eq!(over.json()["reason"], reason, "{name}");
            // A code of before is worth nothing either.
            refused(&app.redeem(&waiting), 400, "invalid_grant");
        }
    }
}

/// RFC 7523: a client that signs who it is. Each assertion is for us, for now, and good once.
#[test]
fn a_client_may_sign_who_it_is() {
    use regrant_jose::{Algorithm, Jwks, Signer, SigningKey};
    const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let world = World::new();
    let (key, other) =
        (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
    let file = world.server.path("jwks.json");
    std::fs::write(&file, Jwks::from_keys(vec![key.public()]).to_json()).unwrap();
    let add =
        ["--json", "client", "add", "--type", "service", "--scope", "stock:read", "--auth-method", "private_key_jwt"];
    let added =
        world.server.regrant(&[&add[..], &["--id", "signer", "--jwks", file.to_str().unwrap()]].concat()).ok().json();
    assert_eq!((added.get("client_secret"), &added["token_endpoint_auth_method"]), (None, &json!("private_key_jwt")));

    // Now, by the server's own word: tests read no clock.
    let tokens = world.job().post("/oauth2/token", &[("grant_type", "client_credentials")]).expect(200).json();
    let now = world.verified(&text(&tokens, "access_token"), &world.server.issuer)["iat"].as_i64().unwrap();
    let issuer = world.server.issuer.as_str();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({"iss": "signer", "sub": "signer", "aud": issuer, "exp": now + 60, "jti": "one"});
        change(&mut claims);
        claims
    };
    let sign = |key: &SigningKey, claims: &Value| Signer::new(key, "JWT").sign(claims.to_string().as_bytes()).unwrap();
    let client = world.server.client();
    let ask = |assertion: &str, more: &[(&str, &str)]| {
        let fields =
            [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", assertion)];
        client
            .post("/oauth2/token")
            .body("application/x-www-form-urlencoded", form(&[&fields[..], more].concat()))
            .send()
    };
    let wrong: [&dyn Fn(&mut Value); 9] = [
        &|claims| claims["iss"] = json!("job"),
        &|claims| claims["sub"] = json!("job"),
        &|claims| claims["aud"] = json!("https://elsewhere.example"),
        &|claims| claims["aud"] = json!(format!("{issuer}/oauth2/authorize")),
        &|claims| claims["exp"] = json!(now - 60),
        &|claims| claims["exp"] = json!(now + 7200),
        &|claims| drop(claims.as_object_mut().unwrap().remove("exp")),
        &|claims| drop(claims.as_object_mut().unwrap().remove("jti")),
        &|claims| claims["nbf"] = json!(now + 600),
    ];
    for change in wrong {
        let claims = claims(change);
        refused(&ask(&sign(&key, &claims), &[]), 401, "invalid_client");
    }
    refused(&ask(&sign(&other, &claims(&|_| ())), &[]), 401, "invalid_client");
    refused(&ask("a.b.c", &[]), 401, "invalid_client");
    let good = sign(&key, &claims(&|_| ()));
    refused(&ask(&good, &[("client_id", "job")]), 400, "invalid_request");
    refused(&ask(&good, &[("client_secret", "x")]), 400, "invalid_request");
    assert_eq!(ask(&good, &[("client_id", "signer")]).expect(200).json()["scope"], "stock:read");
    // Once, also after a restart of the library that made it.
    refused(&ask(&good, &[]), 401, "invalid_client");
    let next = sign(
        &key,
        &claims(&|claims| {
            claims["jti"] = json!("two");
            claims["aud"] = json!(format!("{issuer}/oauth2/token"));
        }),
    );
    ask(&next, &[]).expect(200);
    // A key instead of a secret, and no way round it.
    let body = form(&[("grant_type", "client_credentials"), ("client_id", "signer")]);
    refused(
        &client.post("/oauth2/token").body("application/x-www-form-urlencoded", body).send(),
        401,
        "invalid_client",
    );
}
