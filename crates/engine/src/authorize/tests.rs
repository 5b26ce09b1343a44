//! Who is sent where, and what is to be done next.

use super::{Refused as R, *};
use crate::{
    client::{ApplicationType, ClientType, Draft, ManagedBy, Requirement, prepare},
    id::ClientId,
};

const NOW: Time = Time::from_millis(1_700_000_000_000);
const CALLBACK: &str = "https://app.example/cb";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const USER: UserId = UserId::from_bytes([1; 16]);
const SESSION: SessionId = SessionId::from_bytes([2; 16]);

fn client(change: impl FnOnce(&mut Draft)) -> Arc<Client> {
    let mut draft = Draft {
        redirect_uris: vec![CALLBACK.to_owned()],
        scopes: ["openid", "email", "offline_access", "a:b"].map(str::to_owned).to_vec(),
        ..Draft::new("web", ClientType::Confidential)
    };
    change(&mut draft);
    Arc::new(prepare(draft, ManagedBy::Operator, NOW).unwrap())
}

fn request() -> Request<'static> {
    Request {
        response_type: Some("code"),
        redirect_uri: Some(CALLBACK),
        scope: Some("openid email"),
        state: Some("s"),
        code_challenge: Some(CHALLENGE),
        code_challenge_method: Some("S256"),
        ..Request::default()
    }
}

fn checked(client: &Arc<Client>, request: &Request<'_>) -> Result<Authorization, Refused> {
    let to = destination(Some(Arc::clone(client)), request).unwrap();
    check(to, request, &Settings::new("https://id.example"), &Registry::default())
}

#[test]
fn nobody_is_sent_anywhere_by_a_wrong_client_or_address() {
    assert_eq!(destination(None, &request()), Err(Nowhere::Client));
    let service = Arc::new(prepare(Draft::new("job", ClientType::Service), ManagedBy::Operator, NOW).unwrap());
    assert_eq!(destination(Some(service), &request()), Err(Nowhere::Grant));
    for uri in
        [None, Some(""), Some("https://app.example/"), Some("https://app.example/cb?x"), Some("https://APP.example/cb")]
    {
        let request = Request { redirect_uri: uri, ..request() };
        assert_eq!(destination(Some(client(|_| {})), &request), Err(Nowhere::RedirectUri), "{uri:?}");
    }
    let native = client(|draft| {
        draft.application_type = Some(ApplicationType::Native);
        draft.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
    });
    let asked =
        Request { redirect_uri: Some("http://127.0.0.1:4711/cb"), response_mode: Some("form_post"), ..request() };
    let to = destination(Some(native), &asked).unwrap();
    assert_eq!((to.redirect_uri.as_str(), to.mode), ("http://127.0.0.1:4711/cb", ResponseMode::FormPost));
}

#[test]
fn each_part_of_a_request_is_checked() {
    let web = client(|_| {});
    let wrong: Vec<(Request<'_>, R)> = vec![
        (Request { response_type: None, ..request() }, R::InvalidRequest("response_type is missing")),
        (Request { response_type: Some("token"), ..request() }, R::UnsupportedResponseType),
        (Request { response_type: Some("code token"), ..request() }, R::UnsupportedResponseType),
        (
            Request { response_mode: Some("fragment"), ..request() },
            R::InvalidRequest("response_mode must be query or form_post"),
        ),
        (
            Request { code_challenge_method: Some("plain"), ..request() },
            R::InvalidRequest("code_challenge_method must be S256"),
        ),
        (Request { code_challenge_method: None, ..request() }, R::InvalidRequest("code_challenge_method must be S256")),
        (
            Request { code_challenge: Some("abc"), ..request() },
            R::InvalidRequest("code_challenge must be the base64url of a SHA-256"),
        ),
        (Request { scope: Some("phone"), ..request() }, R::InvalidScope),
        (Request { resources: &["api"], ..request() }, R::InvalidTarget),
        (Request { resources: &["https://api.example/#x"], ..request() }, R::InvalidTarget),
        (Request { prompt: Some("none consent"), ..request() }, R::InvalidRequest("prompt=none stands alone")),
        (Request { max_age: Some("-1"), ..request() }, R::InvalidRequest("max_age must be a number of seconds")),
        (Request { request: true, ..request() }, R::RequestNotSupported),
        (Request { request_uri: true, ..request() }, R::RequestUriNotSupported),
        (Request { registration: true, ..request() }, R::RegistrationNotSupported),
    ];
    for (request, error) in wrong {
        assert_eq!(checked(&web, &request).map(|_| ()), Err(error), "{request:?}");
    }
    let without = Request { code_challenge: None, code_challenge_method: None, ..request() };
    assert!(matches!(checked(&web, &without), Err(R::InvalidRequest(_))));
    let lax = client(|draft| draft.pkce = Some(Requirement::Optional));
    assert_eq!(checked(&lax, &without).unwrap().challenge, None);
    assert_eq!(checked(&lax, &request()).unwrap().challenge.as_deref(), Some(CHALLENGE));
}

#[test]
fn a_client_gets_of_the_scope_what_it_may_have() {
    let web = client(|_| {});
    let scope = |asked| checked(&web, &Request { scope: asked, ..request() }).unwrap().scope;
    assert_eq!(scope(Some("email openid")), "openid email");
    assert_eq!(scope(Some("openid phone a:b  a:b")), "openid a:b");
    assert_eq!(scope(Some("openid offline_access")), "openid offline_access");
    assert_eq!(scope(None), "openid email a:b", "what outlives the session is asked for by name");
    let brief = client(|draft| draft.grants = vec![GrantType::AuthorizationCode]);
    let asked = checked(&brief, &Request { scope: Some("openid offline_access"), ..request() }).unwrap();
    assert_eq!(asked.scope, "openid", "nothing outlives the session without refresh tokens");
}

struct Case {
    asked: Authorization,
    present: Option<Present>,
    consent: Option<Consent>,
    done: Done,
}

impl Case {
    /// Signed in, consented, and nothing special asked for.
    fn usual() -> Self {
        let consent =
            Consent { user: USER, client: ClientId::from("web"), scope: "openid email a:b".to_owned(), given_at: NOW };
        Self {
            asked: checked(&client(|_| {}), &request()).unwrap(),
            present: Some(Present { user: USER, session: SESSION, auth_time: NOW.minus(Seconds::HOUR) }),
            consent: Some(consent),
            done: Done::default(),
        }
    }

    fn step(&self) -> Step {
        step(&self.asked, self.present.as_ref(), self.consent.as_ref(), self.done, NOW)
    }

    fn but(change: impl FnOnce(&mut Self)) -> Step {
        let mut case = Self::usual();
        change(&mut case);
        case.step()
    }
}

#[test]
fn the_next_step_is_the_first_that_is_missing() {
    let (login, consent, none) = (Step::Login, Step::Consent, Prompt { none: true, ..Prompt::default() });
    let other = SessionId::from_bytes([9; 16]);
    assert_eq!(Case::usual().step(), Step::Issue);
    // Nobody is signed in.
    assert_eq!(Case::but(|case| case.present = None), login);
    assert_eq!(Case::but(|case| (case.present, case.asked.prompt) = (None, none)), Step::Refuse(R::LoginRequired));
    // prompt=login, and max_age.
    let again = Prompt { login: true, ..Prompt::default() };
    assert_eq!(Case::but(|case| case.asked.prompt = again), login);
    assert_eq!(Case::but(|case| (case.asked.prompt, case.done.login) = (again, Some(SESSION))), Step::Issue);
    assert_eq!(Case::but(|case| (case.asked.prompt, case.done.login) = (again, Some(other))), login);
    assert_eq!(Case::but(|case| case.asked.max_age = Some(Seconds::HOUR)), Step::Issue);
    assert_eq!(Case::but(|case| case.asked.max_age = Some(Seconds(3599))), login);
    assert_eq!(
        Case::but(|case| (case.asked.max_age, case.asked.prompt) = (Some(Seconds(0)), none)),
        Step::Refuse(R::LoginRequired)
    );
    assert_eq!(
        Case::but(|case| (case.asked.max_age, case.done.login) = (Some(Seconds(0)), Some(SESSION))),
        Step::Issue
    );
    // Somebody else was meant.
    let hinted = Some(UserId::from_bytes([8; 16]));
    assert_eq!(Case::but(|case| case.asked.hinted_user = Some(USER)), Step::Issue);
    assert_eq!(Case::but(|case| case.asked.hinted_user = hinted), login);
    assert_eq!(
        Case::but(|case| (case.asked.hinted_user, case.asked.prompt) = (hinted, none)),
        Step::Refuse(R::LoginRequired)
    );
    assert_eq!(
        Case::but(|case| (case.asked.hinted_user, case.done.login) = (hinted, Some(SESSION))),
        Step::Refuse(R::LoginRequired)
    );
    // Consent.
    assert_eq!(Case::but(|case| case.consent = None), consent);
    assert_eq!(Case::but(|case| case.asked.to_allow = "openid phone".to_owned()), consent);
    assert_eq!(Case::but(|case| (case.consent, case.asked.prompt) = (None, none)), Step::Refuse(R::ConsentRequired));
    let asked = Prompt { consent: true, ..Prompt::default() };
    assert_eq!(Case::but(|case| case.asked.prompt = asked), consent);
    assert_eq!(Case::but(|case| (case.asked.prompt, case.done.consent) = (asked, Some(SESSION))), Step::Issue);
    assert_eq!(Case::but(|case| (case.asked.prompt, case.done.consent) = (asked, Some(other))), consent);
    // "Consented" for this request and yet no consent: it was taken back.
    assert_eq!(Case::but(|case| (case.consent, case.done.consent) = (None, Some(SESSION))), consent);
    // The operator's own application.
    let own = client(|draft| draft.first_party = true);
    assert_eq!(Case::but(|case| (case.consent, case.asked.to.client) = (None, own)), Step::Issue);
}
