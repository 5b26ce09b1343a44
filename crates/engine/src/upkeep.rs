//! What the configuration looks after, kept in step with it at each start: the same rule for clients and resources.
//!
//! A store asks for the [`steps`] inside its transaction, and takes all of them or, where it is refused, none.

use crate::{
    client::{Client, ManagedBy},
    resource::Resource,
};

/// Something that an operator or the configuration looks after.
pub trait Kept {
    /// Its id: unlike every other one's of its kind.
    fn name(&self) -> &str;
    /// Who looks after it.
    fn managed_by(&self) -> ManagedBy;
    /// Whether it is as `wanted` says already.
    fn is_as(&self, wanted: &Self) -> bool;
}

impl Kept for Client {
    fn name(&self) -> &str {
        &self.id.0
    }

    fn managed_by(&self) -> ManagedBy {
        self.managed_by
    }

    fn is_as(&self, wanted: &Self) -> bool {
        let hashes = |client: &Self| client.secrets.iter().map(|secret| secret.hash).collect::<Vec<_>>();
        self.metadata == wanted.metadata && hashes(self) == hashes(wanted)
    }
}

impl Kept for Resource {
    fn name(&self) -> &str {
        &self.id
    }

    fn managed_by(&self) -> ManagedBy {
        self.managed_by
    }

    fn is_as(&self, wanted: &Self) -> bool {
        self.metadata == wanted.metadata
    }
}

/// One of the [`steps`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a, T> {
    /// The configuration says it no more.
    Remove(&'a T),
    /// It is new.
    Add(&'a T),
    /// It is another one than before.
    Change {
        /// As it is.
        known: &'a T,
        /// As it is to be.
        wanted: &'a T,
    },
}

/// What is to be done so that those of the configuration are just these: first what goes, then the others as they are wanted.
///
/// # Errors
/// One that is wanted and that an operator added: what one hand looks after, the other does not touch.
pub fn steps<'a, T: Kept>(known: &'a [T], wanted: &'a [T]) -> Result<Vec<Step<'a, T>>, &'a T> {
    let is_wanted = |known: &T| wanted.iter().any(|wanted| wanted.name() == known.name());
    if let Some(taken) = known.iter().find(|known| known.managed_by() == ManagedBy::Operator && is_wanted(known)) {
        return Err(taken);
    }
    let configured = known.iter().filter(|known| known.managed_by() == ManagedBy::Configuration);
    let gone = configured.filter(|known| !is_wanted(known)).map(Step::Remove);
    let others = wanted.iter().filter_map(|wanted| match known.iter().find(|known| known.name() == wanted.name()) {
        None => Some(Step::Add(wanted)),
        Some(known) if known.is_as(wanted) => None,
        Some(known) => Some(Step::Change { known, wanted }),
    });
    Ok(gone.chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Thing(&'static str, ManagedBy, u8);

    impl Kept for Thing {
        fn name(&self) -> &str {
            self.0
        }

        fn managed_by(&self) -> ManagedBy {
            self.1
        }

        fn is_as(&self, wanted: &Self) -> bool {
            self.2 == wanted.2
        }
    }

    const fn of_file(name: &'static str, what: u8) -> Thing {
        Thing(name, ManagedBy::Configuration, what)
    }

    const fn by_hand(name: &'static str) -> Thing {
        Thing(name, ManagedBy::Operator, 0)
    }

    #[test]
    fn those_of_the_configuration_become_just_these() {
        let known = [of_file("a", 0), of_file("b", 0), of_file("c", 0), by_hand("d")];
        let wanted = [of_file("e", 0), of_file("c", 1), of_file("b", 0)];
        let [gone, _, changed, _] = &known;
        let [new, other, _] = &wanted;
        let expected = vec![Step::Remove(gone), Step::Add(new), Step::Change { known: changed, wanted: other }];
        assert_eq!(steps(&known, &wanted), Ok(expected));
        assert_eq!(steps(&known, &known[..3]), Ok(vec![]));
        assert_eq!(steps(&known[3..], &[]), Ok(vec![]), "what an operator added stays");
    }

    #[test]
    fn what_an_operator_added_is_not_touched() {
        let known = [of_file("a", 0), by_hand("b")];
        assert_eq!(steps(&known, &[of_file("c", 0), of_file("b", 0)]), Err(&known[1]));
    }
}
