//! The directory held to a naive model, by whatever steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Directory, Key, KeyRef, Record, Said, SaidRef, SessionId};
use crate::fuzz::Steps;
use crate::value::digest::Digest;
use crate::value::number::RfcNumber;
use crate::wire::v11::body::File;

/// Records by number and files by each of their keys, in the order in which they are listed.
type Model = BTreeMap<(Key, SessionId), String>;

/// After any steps a list has exactly what a naive model has, in its order, page by page; and nothing stays of a session that left.
pub(crate) fn directory(data: &[u8], _: Instant) {
    let (mut steps, mut directory, mut model) = (Steps(data), Directory::default(), Model::new());
    while !steps.is_over() {
        step(&mut steps, &mut directory, &mut model);
    }
    let expected: Vec<_> =
        model.iter().map(|((key, session), said)| (key.clone(), *session, said.clone())).collect();
    assert_eq!(listed(&directory), expected, "a list differs");
    for session in (0..8).map(SessionId) {
        let had = model.keys().filter(|(_, owner)| *owner == session).count();
        assert_eq!(directory.remove_session(session), had, "a session leaves with another number of records");
    }
    assert!(directory.is_empty() && listed(&directory).is_empty(), "something stays");
}

fn step(steps: &mut Steps<'_>, directory: &mut Directory<u64>, model: &mut Model) {
    let session = SessionId(u64::from(steps.byte() % 8));
    let peer = Arc::new(session.0);
    let what = steps.byte();
    let Some(number) = RfcNumber::new(u32::from(steps.byte() % 16).saturating_add(1)) else { return };
    match what % 8 {
        0..3 => {
            let title = format!("t{}", steps.byte() % 4);
            let replaced = directory.add_title(session, number, &title, &peer);
            let before = model.insert((Key::Rfc(number), session), title);
            assert_eq!(replaced.is_some(), before.is_some());
        }
        3..6 => {
            let file = Arc::new(file(steps, number));
            for key in Said::keys(&file) {
                let replaced = directory.add_file(session, &key, &file, &peer);
                let before = model.insert((key, session), file.name.to_string());
                assert_eq!(replaced.is_some(), before.is_some());
            }
        }
        6 => {
            let removed = directory.remove(session, &Key::Rfc(number));
            assert_eq!(removed.is_some(), model.remove(&(Key::Rfc(number), session)).is_some());
        }
        _ => {
            let before = model.len();
            model.retain(|(_, owner), _| *owner != session);
            assert_eq!(directory.remove_session(session), before.saturating_sub(model.len()));
        }
    }
}

fn file(steps: &mut Steps<'_>, number: RfcNumber) -> File {
    let (folder, leaf, said) = (steps.byte() % 3, steps.byte() % 4, steps.byte());
    File {
        name: format!("f{folder}/l{leaf}").into(),
        size: u64::from(said),
        modified: i64::from(said),
        hash: (said & 1 == 1).then_some(Digest([said % 4; 32])),
        rfc: (said & 2 == 2).then(|| (number, "t".into())),
        copied: said & 4 == 4,
        partial: said & 8 == 8,
        sha256: None,
    }
}

/// Everything, in pages of three.
fn listed(directory: &Directory<u64>) -> Vec<(Key, SessionId, String)> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page: Vec<Record<'_, u64>> = directory.records(cursor.as_ref()).take(3).collect();
        let next = page.last().map(Record::cursor);
        all.extend(page.iter().map(|record| {
            assert_eq!(**record.peer, record.session.0, "another's peer");
            let said = match record.said {
                SaidRef::Title(title) => title.as_str().to_owned(),
                SaidRef::File(file) => file.name.to_string(),
            };
            let key: KeyRef<'_> = record.key;
            (key.to_key(), record.session, said)
        }));
        drop(page);
        match next {
            None => return all,
            next => cursor = next,
        }
    }
}
