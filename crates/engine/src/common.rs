//! Texts and lists that many grants have in common: scopes, browsers, roles.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// Such a text or list. A copy takes no memory.
///
/// Copies of a counted one are counted, and where all threads copy the same one, each waits for the others' counts. What a store
/// keeps for good it can keep without counting.
pub enum Common<T: ?Sized + 'static> {
    /// Never goes.
    Kept(&'static T),
    /// Goes with its last copy.
    Counted(Arc<T>),
}

impl<T: ?Sized> Clone for Common<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Kept(kept) => Self::Kept(kept),
            Self::Counted(counted) => Self::Counted(Arc::clone(counted)),
        }
    }
}

impl<T: ?Sized> Deref for Common<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Kept(kept) => kept,
            Self::Counted(counted) => counted,
        }
    }
}

impl<T: ?Sized + PartialEq> PartialEq for Common<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for Common<T> {}

impl<T: ?Sized + Ord> PartialOrd for Common<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized + Ord> Ord for Common<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash> Hash for Common<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized, A: Into<Arc<T>>> From<A> for Common<T> {
    fn from(all: A) -> Self {
        Self::Counted(all.into())
    }
}

impl FromIterator<String> for Common<[String]> {
    fn from_iter<I: IntoIterator<Item = String>>(all: I) -> Self {
        Self::Counted(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Common;

    /// However it is kept: a grant that was just loaded is compared with one that was just written.
    #[test]
    fn two_of_the_same_text_are_the_same() {
        let kept = Common::Kept("openid");
        let counted = Common::<str>::from("openid".to_owned());
        assert_eq!(kept, counted);
        assert_eq!(kept.cmp(&counted), std::cmp::Ordering::Equal);
        assert_eq!((format!("{kept:?}"), kept.to_string()), (format!("{counted:?}"), counted.to_string()));
        assert_ne!(kept, Common::from("email"));
        assert_eq!(HashSet::from([kept.clone(), counted.clone(), kept, counted]).len(), 1);
    }
}
