//! The scopes that mean something here (OpenID Connect Core §5.4, §11). All others are the applications' own.

/// An ID token, and `sub` from userinfo.
pub const OPENID: &str = "openid";
/// Name, picture and the like.
pub const PROFILE: &str = "profile";
/// The e-mail address.
pub const EMAIL: &str = "email";
/// The postal address.
pub const ADDRESS: &str = "address";
/// The telephone number.
pub const PHONE: &str = "phone";
/// Tokens that outlive the session.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Those that discovery names.
pub const KNOWN: [&str; 6] = [OPENID, PROFILE, EMAIL, ADDRESS, PHONE, OFFLINE_ACCESS];

/// Whether `scope`, with a space between its parts, has this one.
#[must_use]
pub fn has(scope: &str, part: &str) -> bool {
    scope.split(' ').any(|known| known == part)
}

/// The parts, each once: however often something is said, a token repeats nothing.
#[must_use]
pub fn each_once(scope: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in scope.split(' ').filter(|part| !part.is_empty()) {
        if !kept.contains(&part) {
            kept.push(part);
        }
    }
    kept.join(" ")
}

/// Whether each part of `asked` is in `granted`.
#[must_use]
pub fn is_within(asked: &str, granted: &str) -> bool {
    asked.split(' ').filter(|part| !part.is_empty()).all(|part| has(granted, part))
}
