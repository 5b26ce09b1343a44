//! What a kind of token must be, as data. Each kind refuses every other (RFC 8725 §3.12); a test has the matrix.

/// The rules for one kind of token. Start from a constant and fill in what is expected:
///
/// ```
/// use regrant_jose::jwt::Rules;
/// let rules = Rules::ACCESS_TOKEN.issuer("https://id.example").audience("https://api.example");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The accepted `typ` values, without `application/`; an empty list accepts any token, with or without `typ`.
    pub typ: &'static [&'static str],
    /// Whether a token without `typ` passes, too.
    pub typ_optional: bool,
    /// Claims that must be there.
    pub required: &'static [&'static str],
    /// Claims of which at least one must be there; an empty list asks for none.
    pub one_of: &'static [&'static str],
    /// Claims that must not be there, because they make it a token of another kind.
    pub forbidden: &'static [&'static str],
    /// Who must have issued the token.
    pub issuer: Expect<'a>,
    /// Whom the token must be meant for.
    pub audience: Expect<'a>,
    /// Whether it may be meant for nobody else.
    pub sole_audience: bool,
    /// Whether `azp` must name the audience, if it is there, and be there if the audience is not the only one.
    pub authorized_party: bool,
    /// How `sub` and `iss` stand to each other.
    pub subject: Subject,
    /// What `events` must hold.
    pub events: Events,
    /// Whether a token without `exp` is refused.
    pub exp_required: bool,
    /// How far clocks may disagree, in seconds.
    pub leeway_seconds: u32,
    /// The greatest age by `iat`, in seconds; makes `iat` required, and refuses one in the future.
    pub max_age_seconds: Option<u32>,
    /// How far ahead `exp` may lie at most, in seconds.
    pub max_ahead_seconds: Option<u32>,
}

/// What a text claim is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect<'a> {
    /// Not decided: [`super::check`] refuses every token until the caller decides.
    Undecided,
    /// Not compared.
    Anything,
    /// Exactly this, code point by code point.
    Exactly(&'a str),
}

/// How `sub` and `iss` stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Not compared.
    Anyone,
    /// They are the same: who issued the token speaks of itself.
    IsIssuer,
    /// They differ.
    IsNotIssuer,
}

/// What `events` must hold (RFC 8417 §2.2): an object whose members are objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Not looked at.
    Anything,
    /// At least one event.
    Some,
    /// This event, alone or among others.
    Holds(&'static str),
}

impl Rules<'static> {
    /// Any JWT: `exp` and `nbf` are honoured where they stand, nothing is required. For tools, not for decisions.
    pub const ANY: Rules<'static> = Rules {
        typ: &[],
        typ_optional: true,
        required: &[],
        one_of: &[],
        forbidden: &[],
        issuer: Expect::Anything,
        audience: Expect::Anything,
        sole_audience: false,
        authorized_party: false,
        subject: Subject::Anyone,
        events: Events::Anything,
        exp_required: false,
        leeway_seconds: 0,
        max_age_seconds: None,
        max_ahead_seconds: None,
    };

    /// Access tokens (RFC 9068 §2.2, §4). The caller must add issuer and audience.
    pub const ACCESS_TOKEN: Rules<'static> = Rules {
        // RFC 9068 §2.1, §4; RFC 8725 §3.11: an ID token or any other kind is not accepted in its place.
        typ: &["at+jwt"],
        // RFC 9068 §2.2.
        required: &["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
        ..DECIDED_BY_CALLER
    };

    /// ID tokens (OpenID Connect Core 1.0 §2, §3.1.3.7). The caller must add the issuer, and its own `client_id` as audience;
    /// `nonce`, `acr`, `auth_time` and `at_hash` are compared with what the caller asked for, by the caller.
    pub const ID_TOKEN: Rules<'static> = Rules {
        // The specification is older than explicit types.
        typ: &["JWT"],
        typ_optional: true,
        required: &["iss", "sub", "aud", "exp", "iat"],
        // OpenID Connect Back-Channel Logout 1.0 §2.4: `events` makes it a logout token. RFC 9449 §4.2: these, a DPoP proof.
        forbidden: &["events", "htm", "htu"],
        // RFC 7523 §3: who speaks of itself asserts that it is a client.
        subject: Subject::IsNotIssuer,
        authorized_party: true,
        ..DECIDED_BY_CALLER
    };

    /// Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6). The caller must add the issuer, and its own
    /// `client_id` as audience.
    pub const LOGOUT_TOKEN: Rules<'static> = Rules {
        typ: &["logout+jwt"],
        required: &["iss", "aud", "iat", "exp", "jti", "events"],
        one_of: &["sub", "sid"],
        // §2.4: so that it never passes for an ID token.
        forbidden: &["nonce"],
        events: Events::Holds("http://schemas.openid.net/event/backchannel-logout"),
        ..DECIDED_BY_CALLER
    };

    /// Proofs of possession (RFC 9449 §4.2, §4.3), which [`crate::jws::verify_embedded`] verifies; not older than five minutes.
    /// `htm`, `htu`, `ath` and `nonce` are compared by the caller, who also sees to it that a `jti` is used once.
    pub const DPOP_PROOF: Rules<'static> = Rules {
        typ: &["dpop+jwt"],
        required: &["jti", "htm", "htu", "iat"],
        // The key speaks for itself, to the resource that `htu` names.
        issuer: Expect::Anything,
        audience: Expect::Anything,
        exp_required: false,
        max_age_seconds: Some(300),
        ..DECIDED_BY_CALLER
    };

    /// Security events (RFC 8417 §2.2). The caller must add issuer and audience.
    pub const SECURITY_EVENT: Rules<'static> = Rules {
        // RFC 8417 §2.3.
        typ: &["secevent+jwt"],
        required: &["iss", "iat", "jti", "events"],
        events: Events::Some,
        // RFC 8417 §2.2: what has happened does not expire.
        exp_required: false,
        ..DECIDED_BY_CALLER
    };

    /// Assertions by which a client authenticates itself (RFC 7523 §3; OpenID Connect Core 1.0 §9), good for an hour at most.
    /// The caller must add its own identifier as audience and the client's as issuer, and sees to it that a `jti` is used once.
    pub const CLIENT_ASSERTION: Rules<'static> = Rules {
        // The update of RFC 7523 gives the first name; the others are what its clients have sent until now.
        typ: &["client-authentication+jwt", "JWT"],
        typ_optional: true,
        required: &["iss", "sub", "aud", "exp", "jti"],
        forbidden: &["events", "nonce", "htm", "htu"],
        subject: Subject::IsIssuer,
        // The same update: meant for this server and nobody else, or another server can use it here.
        sole_audience: true,
        max_ahead_seconds: Some(3600),
        ..DECIDED_BY_CALLER
    };
}

/// What the kinds have in common: the caller decides on issuer and audience, and tokens end.
const DECIDED_BY_CALLER: Rules<'static> = Rules {
    typ_optional: false,
    issuer: Expect::Undecided,
    audience: Expect::Undecided,
    exp_required: true,
    ..Rules::ANY
};

impl<'a> Rules<'a> {
    /// These rules, for tokens of this issuer only.
    #[must_use]
    pub const fn issuer(self, issuer: &'a str) -> Rules<'a> {
        Rules { issuer: Expect::Exactly(issuer), ..self }
    }

    /// These rules, for tokens meant for this audience only (alone or among others).
    #[must_use]
    pub const fn audience(self, audience: &'a str) -> Rules<'a> {
        Rules { audience: Expect::Exactly(audience), ..self }
    }

    /// These rules, whoever the audience is. For an issuer that reads its own tokens.
    #[must_use]
    pub const fn any_audience(self) -> Rules<'a> {
        Rules { audience: Expect::Anything, ..self }
    }

    /// These rules, with clocks allowed to disagree by so many seconds.
    #[must_use]
    pub const fn leeway(self, seconds: u32) -> Rules<'a> {
        Rules { leeway_seconds: seconds, ..self }
    }

    /// These rules, for tokens issued at most so many seconds ago.
    #[must_use]
    pub const fn max_age(self, seconds: u32) -> Rules<'a> {
        Rules { max_age_seconds: Some(seconds), ..self }
    }
}
