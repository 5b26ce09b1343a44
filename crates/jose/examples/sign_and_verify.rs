//! An issuer signs, an API verifies, and a few attacks fail, each with its own error.

use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Algorithm, Error, Jwks, Signer, SigningKey, jws};

/// The example's clock; a program passes its own.
const NOW: i64 = 1_800_000_100;

fn main() -> Result<(), Error> {
    let key = SigningKey::generate(Algorithm::Es256)?;
    let published = Jwks::from_keys(vec![key.public()]).to_json();
    println!("published: {published}\n");

    let claims = concat!(
        r#"{"iss":"https://id.example","aud":"https://api.example","sub":"usr_1","client_id":"web","#,
        r#""iat":1800000000,"exp":1800000900,"jti":"1"}"#
    );
    let token = Signer::new(&key, "at+jwt").sign(claims.as_bytes())?;
    println!("token: {token}\n");

    let keys = Jwks::parse(published.as_bytes())?;
    let verified = jws::verify(&token, &keys, &[Algorithm::Es256])?;
    let rules = Rules::ACCESS_TOKEN.issuer("https://id.example").audience("https://api.example");
    let claims = jwt::check(&verified, &rules, NOW)?;
    println!("good, and about {}", claims.subject().unwrap_or_default());

    let changed = token.replacen('.', ".AAAA", 1);
    say("changed payload", jws::verify(&changed, &keys, &[Algorithm::Es256]).map(drop));

    let stranger = SigningKey::generate(Algorithm::Es256)?;
    let forged = Signer::new(&stranger, "at+jwt").sign(&verified.payload)?;
    say("another key", jws::verify(&forged, &keys, &[Algorithm::Es256]).map(drop));

    let id_token = Signer::new(&key, "JWT").sign(&verified.payload)?;
    let id_token = jws::verify(&id_token, &keys, &[Algorithm::Es256])?;
    say("another kind of token", jwt::check(&id_token, &rules, NOW).map(drop));

    say("an hour later", jwt::check(&verified, &rules, NOW + 3600).map(drop));
    Ok(())
}

fn say(what: &str, outcome: Result<(), Error>) {
    match outcome {
        Ok(()) => println!("{what}: accepted, which is a mistake"),
        Err(error) => println!("{what}: {} ({error})", error.code()),
    }
}
