//! Crate openidconnect, unmodified, over TLS. The person at the browser is played here: redirects and forms, without script.

use std::{collections::HashMap, env::var, error::Error};

use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IntrospectionUrl, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, RevocationUrl, Scope,
    TokenIntrospectionResponse, TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreRevocableToken, CoreUserInfoClaims},
    http::{Request, Response},
    url::Url,
};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Client = CoreClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointMaybeSet, EndpointMaybeSet>;

const CALLBACK: &str = "http://127.0.0.1:9/cb";
const BYE: &str = "http://127.0.0.1:9/bye";

fn main() -> Outcome<()> {
    let world = World::new()?;
    let http = |request: HttpRequest| world.http(request);
    let metadata = ProviderMetadataWithLogout::discover(&IssuerUrl::new(world.issuer.clone())?, &http)?;
    did(&["discovery"]);
    for (id, secret) in [("web", Some(var("WEB_SECRET")?)), ("spa", None)] {
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(id.to_owned()),
            secret.clone().map(ClientSecret::new),
        )
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned())?)
        .set_introspection_url(IntrospectionUrl::new(format!("{}/oauth2/introspect", world.issuer))?)
        .set_revocation_url(RevocationUrl::new(format!("{}/oauth2/revoke", world.issuer))?);
        people(&world, &client, secret.is_some())?;
        let end = metadata.additional_metadata().end_session_endpoint.clone().ok_or("nowhere to sign out")?;
        logout(&world, &client, LogoutRequest::from(end))?;
    }
    let job = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new("job".to_owned()),
        Some(ClientSecret::new(var("JOB_SECRET")?)),
    );
    let asked = job.exchange_client_credentials()?.add_scope(Scope::new("stock:read".to_owned()));
    let tokens = asked.request(&http)?;
    assert_eq!(tokens.scopes().map(|scopes| scopes[0].as_str()), Some("stock:read"));
    did(&["client_credentials"]);
    Ok(())
}

/// The code flow, with everything checked that the library can check; then what the tokens are good for.
fn people(world: &World, client: &Client, is_confidential: bool) -> Outcome<()> {
    let http = |request: HttpRequest| world.http(request);
    let (tokens, nonce) = sign_in(world, client, &mut Browser::new(world))?;
    let id_token = tokens.id_token().ok_or("no ID token")?;
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce)?;
    let computed =
        AccessTokenHash::from_token(tokens.access_token(), id_token.signing_alg()?, id_token.signing_key(&verifier)?)?;
    assert_eq!(claims.access_token_hash(), Some(&computed));
    let asked = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()))?;
    let user: CoreUserInfoClaims = asked.request(&http)?;
    assert_eq!(user.email().map(|email| email.as_str().to_owned()), var("EMAIL").ok());
    did(&["code", "id_token", "userinfo"]);

    let before = tokens.refresh_token().ok_or("no refresh token")?;
    let renewed = client.exchange_refresh_token(before)?.request(&http)?;
    let after = renewed.refresh_token().ok_or("no refresh token")?;
    assert_ne!(before.secret(), after.secret());
    let again = client.exchange_refresh_token(after)?.request(&http)?;
    let newest = again.refresh_token().ok_or("no refresh token")?;
    did(&["refresh"]);
    let is_active = || Ok::<_, Box<dyn Error>>(client.introspect(again.access_token()).request(&http)?.active());
    if is_confidential {
        assert!(is_active()?);
    }
    client.revoke_token(CoreRevocableToken::RefreshToken(newest.clone()))?.request(&http)?;
    assert!(client.exchange_refresh_token(newest)?.request(&http).is_err());
    if is_confidential {
        assert!(!is_active()?);
        did(&["introspection"]);
    }
    did(&["revocation"]);
    Ok(())
}

fn logout(world: &World, client: &Client, end: LogoutRequest) -> Outcome<()> {
    let http = |request: HttpRequest| world.http(request);
    let mut browser = Browser::new(world);
    let (tokens, _) = sign_in(world, client, &mut browser)?;
    let asked = end
        .set_id_token_hint(tokens.id_token().ok_or("no ID token")?)
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(BYE.to_owned())?)
        .set_state(CsrfToken::new("s".to_owned()));
    let landed = browser.walk(asked.http_get_url())?;
    assert_eq!(landed.as_str(), "http://127.0.0.1:9/bye?state=s");
    let token = tokens.refresh_token().ok_or("no refresh token")?;
    assert!(client.exchange_refresh_token(token)?.request(&http).is_err());
    did(&["logout"]);
    Ok(())
}

fn sign_in(
    world: &World,
    client: &Client,
    browser: &mut Browser<'_>,
) -> Outcome<(openidconnect::core::CoreTokenResponse, Nonce)> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("profile".to_owned()))
        .add_scope(Scope::new("email".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let landed = browser.walk(url)?;
    let answer: HashMap<_, _> = landed.query_pairs().into_owned().collect();
    assert_eq!(answer.get("state"), Some(state.secret()));
    assert_eq!(answer.get("iss"), Some(&world.issuer));
    let code = AuthorizationCode::new(answer.get("code").ok_or("no code")?.clone());
    let asked = client.exchange_code(code)?.set_pkce_verifier(verifier);
    Ok((asked.request(&|request: HttpRequest| world.http(request))?, nonce))
}

/// Tells the matrix what was done and proved; matrix.rs knows the words.
fn did(flows: &[&str]) {
    for flow in flows {
        println!("did: {flow}");
    }
}

struct World {
    issuer: String,
    agent: Agent,
}

impl World {
    fn new() -> Outcome<Self> {
        let authority = Certificate::from_pem(&std::fs::read(var("SSL_CERT_FILE")?)?)?;
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority])).build();
        let config = Agent::config_builder().tls_config(tls).max_redirects(0).http_status_as_error(false);
        Ok(Self { issuer: var("ISSUER")?, agent: config.build().new_agent() })
    }

    fn http(&self, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?))
    }
}

/// A browser without script: one cookie, redirects, forms.
struct Browser<'w> {
    world: &'w World,
    cookie: String,
}

impl<'w> Browser<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, cookie: String::new() }
    }

    /// Goes where it is sent and fills forms in, until it leads to the application: there.
    fn walk(&mut self, mut url: Url) -> Outcome<Url> {
        let mut form = None::<String>;
        for _ in 0..12 {
            if !url.as_str().starts_with(&self.world.issuer) {
                return Ok(url);
            }
            let request = Request::builder().uri(url.as_str()).header("cookie", &self.cookie);
            let request = match form.take() {
                None => request.body(Vec::new())?,
                Some(form) => request
                    .method("POST")
                    .header("origin", &self.world.issuer)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.into_bytes())?,
            };
            let answer = self.world.http(request)?;
            if let Some(line) = answer.headers().get("set-cookie") {
                self.cookie = line.to_str()?.split(';').next().unwrap_or_default().to_owned();
            }
            if answer.status() == 303 {
                url = url.join(answer.headers().get("location").ok_or("nowhere to go")?.to_str()?)?;
                continue;
            }
            let page = String::from_utf8(answer.into_body())?;
            let between = |begin: &str| Some(page.split_once(begin)?.1.split_once('"')?.0.to_owned());
            let action = between("<form method=\"post\" action=\"").ok_or_else(|| page.clone())?;
            let waiting = between("name=\"request\" value=\"").ok_or_else(|| page.clone())?;
            let mut fields = Url::parse("http://form")?;
            fields.query_pairs_mut().append_pair("request", &waiting).append_pair("decision", "allow");
            if action == "/login" {
                let (email, password) = (var("EMAIL")?, var("PASSWORD")?);
                fields.query_pairs_mut().append_pair("identifier", &email).append_pair("password", &password);
            }
            form = fields.query().map(str::to_owned);
            url = url.join(&action)?;
        }
        Err("it goes round in circles".into())
    }
}
