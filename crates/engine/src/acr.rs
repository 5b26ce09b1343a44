//! The authentication context class (OpenID Connect Core §2, `acr`): how sure we are who somebody is.
//!
//! `acr_values` of a request is a wish (§3.1.2.1: a voluntary claim): who cannot meet it is told so by the `acr` that they get.

/// One factor: something known.
const ONE_FACTOR: &str = "1";

/// All that there are, the strongest last.
pub const VALUES: [&str; 1] = [ONE_FACTOR];

/// What a proof by these methods (RFC 8176) amounts to. There is one factor as yet, so there is one answer; nothing is said of
/// methods that are not known.
#[must_use]
pub fn of(amr: &[String]) -> Option<&'static str> {
    amr.iter().any(|method| method == "pwd").then_some(ONE_FACTOR)
}

#[cfg(test)]
mod tests {
    use super::{VALUES, of};

    #[test]
    fn a_password_is_one_factor_and_nothing_is_none() {
        let amr = |methods: &[&str]| methods.iter().map(|method| (*method).to_owned()).collect::<Vec<_>>();
        for (methods, acr) in [(&["pwd"][..], Some("1")), (&["pwd", "x"], Some("1")), (&["x"], None), (&[], None)] {
            assert_eq!(of(&amr(methods)), acr, "{methods:?}");
            assert!(acr.is_none_or(|acr| VALUES.contains(&acr)));
        }
    }
}
