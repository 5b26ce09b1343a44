//! Which key file belongs to a store.

use super::*;

const AT: Time = Time::from_millis(1_700_000_000_000);

fn known(id: u8, why: Option<WhyRetired>) -> RefreshKeyRecord {
    RefreshKeyRecord { id: KeyId(id), check_value: [id; 16], mark: why.map(|why| KeyMark { at: AT, why }) }
}

fn file(ids: &[u8]) -> BTreeMap<KeyId, [u8; 16]> {
    ids.iter().map(|id| (KeyId(*id), [*id; 16])).collect()
}

fn ids(ids: &[u8]) -> Vec<KeyId> {
    ids.iter().copied().map(KeyId).collect()
}

#[test]
fn a_file_must_have_every_key_that_is_not_over_and_no_other_one_under_its_name() {
    use WhyRetired::{Compromised, Retired};
    let usable =
        |keys: &[u8], over: &[u8], newest| Ok(Usable { keys: ids(keys), over: ids(over), newest: KeyId(newest) });
    for (present, active, records, expected) in [
        (file(&[1]), 1, vec![], usable(&[1], &[], 1)),
        (file(&[1]), 1, vec![known(1, None)], usable(&[1], &[], 1)),
        // Distributed before it is activated.
        (file(&[1, 2]), 1, vec![known(1, None)], usable(&[1, 2], &[], 2)),
        (file(&[1]), 1, vec![known(1, None), known(2, None)], Err(WrongFile::Missing(KeyId(2)))),
        (file(&[2]), 2, vec![known(1, None), known(2, None)], Err(WrongFile::Missing(KeyId(1)))),
        (file(&[2]), 2, vec![known(1, Some(Retired)), known(2, None)], usable(&[2], &[], 2)),
        (file(&[1, 2]), 2, vec![known(1, Some(Compromised)), known(2, None)], usable(&[2], &[1], 2)),
        (file(&[1, 2]), 1, vec![known(1, Some(Retired)), known(2, None)], Err(WrongFile::ActiveIsOver(KeyId(1)))),
        // A retired one may be the newest: its tokens are ours, and no other node's.
        (file(&[1]), 1, vec![known(1, None), known(2, Some(Compromised))], usable(&[1], &[], 2)),
        // Another key under a retired one's number is over like the first.
        (
            BTreeMap::from([(KeyId(1), [9; 16]), (KeyId(2), [2; 16])]),
            2,
            vec![known(1, Some(Retired)), known(2, None)],
            usable(&[2], &[1], 2),
        ),
        (BTreeMap::from([(KeyId(1), [9; 16])]), 1, vec![known(1, None)], Err(WrongFile::Different(KeyId(1)))),
    ] {
        assert_eq!(compare(&present, KeyId(active), &records), expected, "{present:?} against {records:?}");
    }
}

#[test]
fn an_id_is_never_used_again() {
    let present = || [KeyId(1), KeyId(2)].into_iter();
    assert_eq!(next_id(present(), &[]), Some(KeyId(3)));
    assert_eq!(next_id(present(), &[known(7, Some(WhyRetired::Retired))]), Some(KeyId(8)));
    assert_eq!(next_id([].into_iter(), &[]), Some(KeyId(1)));
    assert_eq!(next_id(present(), &[known(254, Some(WhyRetired::Compromised))]), Some(KeyId(255)));
    assert_eq!(next_id(present(), &[known(255, None)]), None, "one byte is full");
}

#[test]
fn every_refusal_says_how_to_mend_it() {
    for wrong in [WrongFile::Missing(KeyId(3)), WrongFile::Different(KeyId(3)), WrongFile::ActiveIsOver(KeyId(3))] {
        let said = wrong.to_string();
        assert!(said.contains("refresh key 3") && said.contains("Put back"), "{said}");
    }
}
