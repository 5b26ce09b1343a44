//! `regrant demo`: the whole promise, played on a real server with a throw-away store and a free port.
//!
//! Every step is a request like anybody's, and every sentence is checked before it is told: a step that did not happen as told
//! ends the demo with exit code 1. Afterwards `pages.rs` lets whoever watched play it in a browser.

mod browser;
mod pages;
mod stage;

use std::process::ExitCode;

use axum::Router;
use browser::{Answer, Browser};
use regrant_engine::event::Actor;
use regrant_jose::{Algorithm, Jwks, jws, jwt};
use serde_json::{Map, Value, json};
use stage::{Stage, Turn};
use zeroize::Zeroizing;

use crate::{
    config::Config,
    control::{self, Command, Secret},
    home::Place,
    serve::{Running, Start},
};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "the difference engine, 1822";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1";
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// Plays the story; then serves until Ctrl-C, unless `once`.
pub(super) async fn run(once: bool, json: bool) -> ExitCode {
    let mut stage = Stage::new(json);
    let told = play(&mut stage, once).await;
    match &told {
        Ok(()) => {}
        Err(why) => stage.failed(why),
    }
    stage.close(told.is_ok());
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(stage: &mut Stage, once: bool) -> Turn<()> {
    let directory = tempfile::Builder::new()
        .prefix("regrant-demo-")
        .tempdir()
        .map_err(|error| format!("no temporary directory: {error}"))?;
    let mut config = Config::default();
    config.server.listen = Some("127.0.0.1:0".to_owned());
    config.tokens.claims.insert("name".to_owned(), "name".to_owned());
    let start =
        Start { config, place: Place::Directory(directory.path().to_owned()), key_file: None, change_issuer: false };
    let pages = |engine: &_, address| if once { Router::new() } else { pages::router(engine, address) };
    let running = Running::start_with(start, pages).await.map_err(|error| error.to_string())?;
    let story = story(stage, &running).await;
    if story.is_ok() && !once {
        stage.invite(&running.issuer, EMAIL, PASSWORD, directory.path());
        // Without a handler the wait ends at once, and so does the demo.
        let _ = tokio::signal::ctrl_c().await;
    }
    running.stop().await;
    story
}

async fn story(stage: &mut Stage, running: &Running) -> Turn<()> {
    stage.step("A server", &format!("with a new store and new keys listens on {}", running.issuer));
    add_user(running).await?;
    stage.step("A user", &format!("{EMAIL} with the role \"editor\"; her password is kept as an Argon2id hash"));

    let ada = Browser::new(running.address, [127, 0, 0, 1], FIREFOX);
    let signed_in = ada.sign_in(EMAIL, PASSWORD).await?.expect_status(200)?;
    let first = signed_in.cookie()?;
    let seven_days = signed_in.cookie_max_age()?;
    check(seven_days == 7 * 24 * 60 * 60, "the refresh cookie should live 7 days")?;
    check(signed_in.number("expires_in")? == 900, "the access token should live 15 minutes")?;
    stage.step(
        "Sign in",
        "a 15-minute access token (a JWT), and a 7-day refresh token in an HttpOnly, SameSite=Strict cookie",
    );
    decode(stage, &ada, &running.issuer, &signed_in).await?;

    let renewed = ada.refresh(&first).await?.expect_status(200)?;
    let second = renewed.cookie()?;
    check(second != first, "a refresh should make a new refresh token")?;
    stage.step("Refresh", "a new access token and a new refresh token; each token is good for one renewal");

    let lost = ada.refresh(&second).await?.expect_status(200)?.cookie()?;
    let third = ada.refresh(&second).await?.expect_status(200)?.cookie()?;
    check(third == lost, "a retry should get the same successor")?;
    stage.step(
        "Lose the reply",
        "on a train; the browser tries again with the token it has, and gets the very same successor",
    );

    let fourth = burst(&ada, &third).await?;
    stage.step("Forty tabs", "renew the same token at once: one successor for all of them, nobody is signed out");

    let phone = Browser::new(running.address, [127, 0, 0, 1], PHONE);
    let on_phone = phone.sign_in(EMAIL, PASSWORD).await?.expect_status(200)?.cookie()?;
    stage.step("A second device", "Ada's phone signs in; it has a session of its own");

    rob(stage, running, &ada, &fourth).await?;

    let still = phone.refresh(&on_phone).await?.expect_status(200)?;
    check(still.cookie()? != on_phone, "the phone should be renewed")?;
    stage.step("The phone", "is still signed in: only the stolen family ended");
    explain(stage, running, &signed_in.text("/session/id")?).await
}

/// A thief copies the newest token and uses it first, from another network and browser.
async fn rob(stage: &mut Stage, running: &Running, ada: &Browser, stolen: &str) -> Turn<()> {
    let thief = Browser::new(running.address, [127, 66, 6, 6], CHROME);
    let taken = thief.refresh(stolen).await?.expect_status(200)?.cookie()?;
    stage.step(
        "A thief",
        "copies the refresh token and is quicker than Ada: one access token, and nobody can know it yet",
    );

    let noticed = ada.refresh(stolen).await?.expect_status(200)?.cookie()?;
    check(noticed == taken, "Ada and the thief should hold the same successor")?;
    stage.step(
        "Ada renews",
        "the same token from another place: she gets the same successor, and the family gets 2 points of 3",
    );

    let next = ada.refresh(&noticed).await?.expect_status(200)?.cookie()?;
    let caught = thief.refresh(&taken).await?;
    caught.expect_problem(401, "reused")?;
    stage.alarm(
        "The thief comes back",
        "a second generation is used from two places: caught, after one access token. The family ends",
    );

    ada.refresh(&next).await?.expect_problem(401, "reused")?;
    stage.step("Ada", "is asked to sign in again, is told why, and a mail to her waits in the outbox");
    Ok(())
}

async fn add_user(running: &Running) -> Turn<()> {
    let mut claims = Map::new();
    claims.insert("name".to_owned(), json!("Ada Lovelace"));
    let password = Some(Secret(Zeroizing::new(PASSWORD.to_owned())));
    let add = Command::UserAdd { identifier: EMAIL.to_owned(), password, roles: vec!["editor".to_owned()], claims };
    for command in [Command::RoleAdd { name: "editor".to_owned(), description: None }, add] {
        control::execute(&running.engine, Actor::Operator, &running.keeper, command)
            .await
            .map_err(|refused| format!("{refused:?}"))?;
    }
    Ok(())
}

/// Checks the token like any API would: with the published keys, nothing else.
async fn decode(stage: &mut Stage, ada: &Browser, issuer: &str, signed_in: &Answer) -> Turn<()> {
    let keys = ada.get("/.well-known/jwks.json").await?.expect_status(200)?;
    let keys = Jwks::parse(&keys.body).map_err(|error| format!("the published keys: {error}"))?;
    let token = signed_in.text("/access_token")?;
    let verified =
        jws::verify(&token, &keys, &[Algorithm::Es256]).map_err(|error| format!("the access token: {error}"))?;
    let rules = jwt::Rules::ACCESS_TOKEN.issuer(issuer).audience(issuer);
    let claims = jwt::check(&verified, &rules, stage.now_seconds()).map_err(|error| format!("the claims: {error}"))?;
    let claim = |name: &str| claims.members().get(name).cloned().unwrap_or_default();
    check(claim("roles") == json!(["editor"]), "the access token should tell the role")?;
    check(claim("name") == json!("Ada Lovelace"), "the access token should tell the name")?;
    stage.step("Decode it", "the signature holds by the published keys (ES256), and it says:");
    for name in ["iss", "sub", "name", "roles", "sid", "client_id", "amr", "exp"] {
        stage.detail(&format!("{name:<10}{}", shown(&claim(name))));
    }
    Ok(())
}

async fn burst(ada: &Browser, token: &str) -> Turn<String> {
    let mut tabs = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (ada, token) = (ada.clone(), token.to_owned());
        tabs.spawn(async move { ada.refresh(&token).await?.expect_status(200)?.cookie() });
    }
    let mut successors = Vec::new();
    while let Some(tab) = tabs.join_next().await {
        successors.push(tab.map_err(|error| error.to_string())??);
    }
    successors.sort();
    successors.dedup();
    match successors.as_slice() {
        [one] if one != token => Ok(one.clone()),
        other => Err(format!("forty refreshes of one token made {} successors", other.len())),
    }
}

async fn explain(stage: &mut Stage, running: &Running, session: &str) -> Turn<()> {
    let asked = Command::Explain { text: Secret(Zeroizing::new(session.to_owned())) };
    let reply = control::execute(&running.engine, Actor::Operator, &running.keeper, asked)
        .await
        .map_err(|refused| format!("{refused:?}"))?;
    let fact = |path: &str| reply.document.pointer(path).cloned().unwrap_or_default();
    check(fact("/state") == json!("ended") && fact("/reason") == json!("reused"), "explain should say why it ended")?;
    stage.step("Explain", "the operator asks \"regrant explain\" why Ada was signed out:");
    // Forty tabs are forty lines: the first ones tell enough.
    let mut bursts = 0;
    for line in reply.text.lines() {
        bursts += usize::from(line.contains("(burst)"));
        if !line.contains("(burst)") || bursts <= 2 {
            stage.detail(line);
        } else if bursts == 3 {
            stage.detail("                          ⋮ (the other tabs)");
        }
    }
    Ok(())
}

fn check(happened: bool, otherwise: &str) -> Turn<()> {
    if happened { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
