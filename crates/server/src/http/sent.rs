//! How often a header came. Where a request has two of a kind that may come once, nobody knows which of them others on the way have
//! looked at (RFC 9110 §5.3).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What came under one name.
pub(super) enum Sent<'h> {
    Nothing,
    Once(&'h HeaderValue),
    Several,
}

impl<'h> Sent<'h> {
    pub(super) fn of(headers: &'h HeaderMap, name: &HeaderName) -> Self {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => Self::Nothing,
            (Some(only), None) => Self::Once(only),
            (Some(_), Some(_)) => Self::Several,
        }
    }

    /// The only one.
    pub(super) fn once(self) -> Option<&'h HeaderValue> {
        if let Self::Once(only) = self { Some(only) } else { None }
    }
}
