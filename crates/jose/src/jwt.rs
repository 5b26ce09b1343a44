//! Claims (RFC 7519): rules as data, one set per kind of token, checked at the caller's time.

mod check;
mod claims;
mod numeric_date;
mod rules;
mod template;

pub use check::{check, check_decrypted};
pub use claims::Claims;
pub use numeric_date::NumericDate;
pub use rules::{Events, Expect, Rules, Subject};
pub use template::Template;

#[cfg(test)]
mod tests;
