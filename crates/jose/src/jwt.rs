//! Claims (RFC 7519): rules as data, one set per kind of token, checked at the caller's time.

mod check;
mod claims;
mod numeric_date;
mod rules;

pub use check::check;
pub use claims::Claims;
pub use numeric_date::NumericDate;
pub use rules::{Expect, Rules};

#[cfg(test)]
mod tests;
