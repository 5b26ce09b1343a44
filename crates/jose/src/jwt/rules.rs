//! What a kind of token must be, as data.

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
    /// Claims that must be there.
    pub required: &'static [&'static str],
    /// Who must have issued the token.
    pub issuer: Expect<'a>,
    /// Whom the token must be meant for.
    pub audience: Expect<'a>,
    /// Whether a token without `exp` is refused.
    pub exp_required: bool,
    /// How far clocks may disagree, in seconds.
    pub leeway_seconds: u32,
    /// The greatest age by `iat`, in seconds; makes `iat` required, and refuses one in the future.
    pub max_age_seconds: Option<u32>,
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

impl Rules<'static> {
    /// Access tokens (RFC 9068 §2.2, §4). The caller must add issuer and audience.
    pub const ACCESS_TOKEN: Rules<'static> = Rules {
        // RFC 9068 §2.1, §4; RFC 8725 §3.11: an ID token or any other kind is not accepted in its place.
        typ: &["at+jwt"],
        // RFC 9068 §2.2.
        required: &["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
        issuer: Expect::Undecided,
        audience: Expect::Undecided,
        exp_required: true,
        leeway_seconds: 0,
        max_age_seconds: None,
    };

    /// Any JWT: `exp` and `nbf` are honoured where they stand, nothing is required. For tools, not for decisions.
    pub const ANY: Rules<'static> = Rules {
        typ: &[],
        required: &[],
        issuer: Expect::Anything,
        audience: Expect::Anything,
        exp_required: false,
        leeway_seconds: 0,
        max_age_seconds: None,
    };
}

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
}
