//! A server with a user and a few applications.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    browser::{Browser, form, parameter},
    support::{Answer, Call, Client, FIREFOX, Home, Server},
};

/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const CALLBACK: &str = "https://shop.example/cb?a=1";

pub(crate) struct World {
    pub(crate) server: Server,
    /// The secret of `shop`, the confidential application, and of `job`, the service.
    pub(crate) secret: String,
    pub(crate) job: String,
}

/// An application that asks for tokens.
#[derive(Clone)]
pub(crate) struct App {
    client: Client,
    id: &'static str,
    secret: Option<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Home)) -> Self {
        let mut home = Home::new();
        change(&mut home);
        home.add_user(
            crate::support::EMAIL,
            &["--claim", "name=Ada Lovelace", "--claim", "address={\"country\":\"GB\"}", "--claim", "phone_number=+44"],
        );
        let add = |more: &[&str]| home.regrant(&[&["--json", "client", "add"], more].concat()).ok().json();
        let secret_of = |added: Value| added["client_secret"].as_str().map(str::to_owned).unwrap_or_default();
        let secret = secret_of(add(&[
            "--id",
            "shop",
            "--type",
            "confidential",
            "--name",
            "The Shop",
            "--redirect-uri",
            CALLBACK,
            "--redirect-uri",
            "https://shop.example/other",
            "--scope",
            "openid profile email address phone offline_access",
            "--post-logout-redirect-uri",
            "https://shop.example/bye",
            "--policy-uri",
            "https://shop.example/privacy",
        ]));
        add(&[
            "--id",
            "own",
            "--type",
            "public",
            "--first-party",
            "--redirect-uri",
            "https://own.example/cb",
            "--scope",
            "openid profile email regrant:admin",
        ]);
        add(&[
            "--id",
            "tool",
            "--type",
            "public",
            "--kind",
            "native",
            "--first-party",
            "--redirect-uri",
            "http://127.0.0.1/cb",
        ]);
        let job = secret_of(add(&["--id", "job", "--type", "service", "--scope", "stock:read stock:write"]));
        Self { server: home.serve(), secret, job }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.server.client_from([127, 3, 0, 1], FIREFOX), &self.server.issuer)
    }

    pub(crate) fn shop(&self) -> App {
        App { client: self.server.client_from([127, 4, 0, 1], "shop/1"), id: "shop", secret: Some(self.secret.clone()) }
    }

    pub(crate) fn job(&self) -> App {
        App { client: self.server.client_from([127, 4, 0, 2], "job/1"), id: "job", secret: Some(self.job.clone()) }
    }

    /// A public application, in the browser or beside it.
    pub(crate) fn public(&self, id: &'static str) -> App {
        App { client: self.server.client_from([127, 3, 0, 1], FIREFOX), id, secret: None }
    }

    /// The address of an authorization request; fields of the same name replace.
    pub(crate) fn request(&self, id: &str, more: &[(&str, &str)]) -> String {
        let callback = match id {
            "shop" => CALLBACK,
            "own" => "https://own.example/cb",
            _ => "http://127.0.0.1:49152/cb",
        };
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", callback),
            ("scope", "openid profile email"),
            ("state", "st&te"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in more {
            fields.retain(|(known, _)| known != name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        format!("/oauth2/authorize?{}", form(&fields))
    }

    /// A code for an application, by whatever a person has to do for it.
    #[track_caller]
    pub(crate) fn code(&self, browser: &mut Browser, id: &str, more: &[(&str, &str)]) -> String {
        let landed = browser.walk(&self.request(id, more));
        parameter(&landed, "code").unwrap_or_else(|| panic!("no code in {landed}"))
    }

    /// Tokens of `shop` for a new sign-in.
    #[track_caller]
    pub(crate) fn shop_tokens(&self, browser: &mut Browser, more: &[(&str, &str)]) -> Value {
        let code = self.code(browser, "shop", more);
        self.shop().redeem(&code).expect(200).json()
    }

    /// The claims of a signed token, which must be good.
    #[track_caller]
    pub(crate) fn verified(&self, token: &str, audience: &str) -> Value {
        let jwks = format!("{}/.well-known/jwks.json", self.server.issuer);
        let arguments = ["--json", "jwt", "verify", "--jwks", &jwks, "--aud", audience, "--iss", &self.server.issuer];
        self.server.regrant_reading(&arguments, token).ok().json()
    }

    #[track_caller]
    pub(crate) fn header(&self, token: &str) -> Value {
        self.server.regrant_reading(&["--json", "jwt", "inspect"], token).ok().json()["header"].clone()
    }
}

impl App {
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.call(path, fields).send()
    }

    pub(crate) fn call(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        let call = self.client.post(path);
        let (call, body) = match &self.secret {
            Some(secret) => {
                let basic = STANDARD.encode(format!("{}:{secret}", self.id));
                (call.header("Authorization", &format!("Basic {basic}")), form(fields))
            }
            None => (call, form(&[&[("client_id", self.id)], fields].concat())),
        };
        call.body("application/x-www-form-urlencoded", body)
    }

    pub(crate) fn redeem(&self, code: &str) -> Answer {
        let callback = match self.id {
            "shop" => CALLBACK,
            "own" => "https://own.example/cb",
            _ => "http://127.0.0.1:49152/cb",
        };
        self.redeem_with(code, &[("redirect_uri", callback), ("code_verifier", VERIFIER)])
    }

    pub(crate) fn redeem_with(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        self.post("/oauth2/token", &[&[("grant_type", "authorization_code"), ("code", code)], more].concat())
    }

    pub(crate) fn refresh(&self, token: &str) -> Answer {
        self.post("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    pub(crate) fn userinfo(&self, token: &str) -> Answer {
        self.client.get("/oauth2/userinfo").bearer(token).send()
    }

    pub(crate) fn introspect(&self, token: &str) -> Value {
        self.post("/oauth2/introspect", &[("token", token)]).expect(200).json()
    }
}

/// An error of an OAuth endpoint.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, error: &str) {
    let told = answer.json();
    assert_eq!((answer.status, told["error"].as_str()), (status, Some(error)), "{told}");
    assert!(told["error_description"].as_str().is_some_and(|text| text.ends_with('.')), "{told}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
