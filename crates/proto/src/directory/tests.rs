//! The directory held to a naive model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Add { session: u64, number: u32, title: u8 },
    Remove { session: u64, number: u32 },
    Leave { session: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add =
        (1..9u64, 1..12u32, 0..3u8).prop_map(|(session, number, title)| Step::Add { session, number, title });
    let leave = (1..9u64).prop_map(|session| Step::Leave { session });
    let remove = (1..9u64, 1..12u32).prop_map(|(session, number)| Step::Remove { session, number });
    proptest::collection::vec(prop_oneof![5 => add, 2 => remove, 1 => leave], 0..200)
}

fn rfc(number: u32) -> RfcNumber {
    RfcNumber::new(number).unwrap()
}

fn key(number: u32) -> Key {
    Key::Rfc(rfc(number))
}

/// Everything in a directory, read page by page.
fn pages(directory: &Directory<u64>, size: usize) -> Vec<(u32, u64, String)> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page: Vec<_> = directory.records(cursor.as_ref()).take(size).collect();
        let next = page.last().map(Record::cursor);
        all.extend(page.iter().map(|Record { key, session, said, peer }| {
            assert_eq!(***peer, session.0);
            let (KeyRef::Rfc(number), SaidRef::Title(title)) = (key, said) else { panic!("{key:?}") };
            (number.get(), session.0, title.as_str().to_owned())
        }));
        drop(page);
        match next {
            None => return all,
            next => cursor = next,
        }
    }
}

proptest! {
    #[test]
    fn the_directory_equals_a_naive_model(steps in steps(), size in 1usize..5) {
        let mut directory = Directory::default();
        let mut model: BTreeMap<(u32, u64), String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add { session, number, title } => {
                    let title = format!("title {title}");
                    let replaced = directory.add_title(SessionId(session), rfc(number), &title, &Arc::new(session));
                    prop_assert_eq!(replaced.is_some(), model.insert((number, session), title).is_some());
                }
                Step::Remove { session, number } => {
                    let removed = directory.remove(SessionId(session), &key(number));
                    prop_assert_eq!(removed.is_some(), model.remove(&(number, session)).is_some());
                }
                Step::Leave { session } => {
                    let before = model.len();
                    model.retain(|(_, owner), _| *owner != session);
                    prop_assert_eq!(directory.remove_session(SessionId(session)), before - model.len());
                }
            }
            let listed = pages(&directory, size);
            let expected: Vec<_> = model.iter().map(|((number, session), title)| (*number, *session, title.clone())).collect();
            prop_assert_eq!(listed, expected);
            prop_assert_eq!(directory.len(), model.len());
            for number in 1..12 {
                let holders: Vec<u64> = directory.holders(&key(number)).map(|record| record.session.0).collect();
                let expected: Vec<u64> = model.keys().filter(|(held, _)| *held == number).map(|(_, session)| *session).collect();
                prop_assert_eq!(holders, expected);
            }
            let owners: BTreeSet<u64> = model.keys().map(|(_, session)| *session).collect();
            prop_assert_eq!(directory.numbers_of.sessions(), owners.len(), "a session without records is forgotten");
                prop_assert!(directory.peers.len() <= model.len() && directory.numbers.titles() <= model.len());
        }
    }
}

#[test]
fn keys_that_come_and_go_do_not_pile_up() {
    let mut directory = Directory::default();
    let session = SessionId(1);
    directory.add_title(session, rfc(1), "stays", &Arc::new(1));
    for at in 0..1000 {
        let number = if at % 2 == 0 { 2 } else { at + 2 };
        directory.add_title(session, rfc(number), "comes", &Arc::new(1));
        assert!(directory.remove(session, &key(number)).is_some());
    }
    assert!(directory.numbers_of.keys(session).len() <= 3);
    let name = |at: usize| format!("a/{at}");
    for at in 0..1000 {
        let named = Arc::new(File { name: name(at).into(), ..File::clone(&file(0, 1)) });
        assert!(directory.add_file(session, &Key::Name(name(at).into()), &named, &Arc::new(1)).is_none());
    }
    for at in 1..1000 {
        assert!(directory.remove(session, &Key::Name(name(at).into())).is_some());
    }
    assert!(directory.files.rows_of(session) <= 3);
    assert_eq!(directory.remove_session(session), 2);
    assert!(directory.is_empty() && directory.numbers_of.sessions() == 0);
}

#[test]
fn a_file_is_found_by_each_of_its_keys() {
    let hash = Some(Digest([7; 32]));
    let rfc = Some((RfcNumber::MIN, "t".into()));
    let file = File {
        name: "a/b".into(),
        size: 1,
        modified: 0,
        hash,
        rfc,
        copied: false,
        partial: false,
        sha256: None,
    };
    let keys: Vec<Key> = Said::keys(&file).collect();
    let leaf = Key::Leaf { leaf: "b".into(), name: "a/b".into() };
    assert_eq!(keys, [Key::Name("a/b".into()), leaf, key(1), Key::Hash(Digest([7; 32]))]);
    let bare = File { name: "b".into(), hash: None, rfc: None, ..file };
    assert_eq!(Said::keys(&bare).collect::<Vec<_>>(), [Key::Name("b".into())]);
}

#[test]
fn who_looks_for_a_last_part_finds_every_file_that_ends_so_or_the_one_of_that_name() {
    let name = Arc::from("a/b");
    let own = KeyRef::Leaf { leaf: "b", name: &name };
    for (leaf, name, finds) in [("b", "", true), ("b", "a/b", true), ("b", "x/b", false), ("c", "", false)] {
        let key = Key::Leaf { leaf: leaf.into(), name: name.into() };
        assert_eq!(own.is_found_by(&key), finds, "{key:?}");
    }
    let one = KeyRef::Rfc(RfcNumber::MIN);
    assert!(one.is_found_by(&key(1)) && !one.is_found_by(&key(2)));
}

#[test]
fn who_adds_a_file_is_shown_what_stands_there_and_may_think_better_of_it() {
    let (session, first, second) = (SessionId(1), file(0, 1), file(0, 2));
    let key = Key::Name("a".into());
    let mut directory: Directory<u64> = Directory::default();
    let mut add = |file: &Arc<File>, shown: Option<&Arc<File>>, may: Result<(), ()>| {
        directory.add_file_if(session, &key, file, &Arc::new(1), |there| {
            assert_eq!(there.map(|(file, peer)| (file, **peer)), shown.map(|file| (file, 1)));
            may
        })
    };
    assert_eq!(add(&first, None, Err(())), Err(()));
    assert_eq!(add(&first, None, Ok(())), Ok(None));
    assert_eq!(add(&second, Some(&first), Err(())), Err(()));
    assert_eq!(add(&second, Some(&first), Ok(())), Ok(Some(Was::File)));
    assert_eq!(add(&first, Some(&second), Err(())), Err(()));
    assert_eq!(directory.remove_session(session), 1);
}

#[test]
fn equal_titles_and_peers_are_kept_once() {
    let (mut directory, peer) = (Directory::default(), Arc::new(7));
    for number in 1..=3 {
        for session in 1..4 {
            directory.add_title(SessionId(session), rfc(number), "same", &peer);
        }
    }
    assert_eq!(
        (directory.numbers.titles(), directory.peers.len()),
        (3, 3),
        "a title a number, a peer a session"
    );
    for session in 1..4 {
        assert_eq!(directory.remove_session(SessionId(session)), 3);
    }
    assert_eq!((directory.numbers.titles(), directory.peers.len()), (0, 0));
    assert_eq!(Arc::strong_count(&peer), 1);
}

/// A file that shares its last part, its number and its content with others.
fn file(name: u8, hash: u8) -> Arc<File> {
    let name = ["a", "x/a", "y/a", "b"][usize::from(name)];
    let rfc = Some((rfc(u32::from(hash) + 1), "t".into()));
    let hash = Some(Digest([hash; 32]));
    Arc::new(File {
        name: name.into(),
        size: 1,
        modified: 0,
        hash,
        rfc,
        copied: false,
        partial: false,
        sha256: None,
    })
}

#[derive(Debug, Clone)]
enum FileStep {
    Add { session: u64, name: u8, hash: u8 },
    AddTitle { session: u64, number: u32 },
    Remove { session: u64, name: u8, hash: u8 },
    Leave { session: u64 },
}

fn file_steps() -> impl Strategy<Value = Vec<FileStep>> {
    let (session, name, hash) = (1..5u64, 0..4u8, 0..3u8);
    let add = (session.clone(), name.clone(), hash.clone()).prop_map(|(session, name, hash)| FileStep::Add {
        session,
        name,
        hash,
    });
    let title =
        (session.clone(), 1..4u32).prop_map(|(session, number)| FileStep::AddTitle { session, number });
    let remove = (session.clone(), name, hash).prop_map(|(session, name, hash)| FileStep::Remove {
        session,
        name,
        hash,
    });
    let leave = session.prop_map(|session| FileStep::Leave { session });
    proptest::collection::vec(prop_oneof![5 => add, 2 => title, 2 => remove, 1 => leave], 0..100)
}

type FileModel = BTreeMap<Cursor, Said>;

fn apply(step: &FileStep, directory: &mut Directory<u64>, model: &mut FileModel) {
    match *step {
        FileStep::Add { session, name, hash } => {
            let file = file(name, hash);
            for key in Said::keys(&file) {
                let replaced = directory.add_file(SessionId(session), &key, &file, &Arc::new(session));
                let old = model.insert((key, SessionId(session)), Said::File(Arc::clone(&file)));
                assert_eq!(replaced, old.as_ref().map(was));
            }
        }
        FileStep::AddTitle { session, number } => {
            let replaced = directory.add_title(SessionId(session), rfc(number), "t", &Arc::new(session));
            let old = model.insert((key(number), SessionId(session)), Said::Title("t".into()));
            assert_eq!(replaced, old.as_ref().map(was));
        }
        FileStep::Remove { session, name, hash } => {
            for key in Said::keys(&file(name, hash)) {
                let old = model.remove(&(key.clone(), SessionId(session)));
                assert_eq!(directory.remove(SessionId(session), &key), old.as_ref().map(was));
            }
        }
        FileStep::Leave { session } => {
            let before = model.len();
            model.retain(|(_, owner), _| *owner != SessionId(session));
            assert_eq!(directory.remove_session(SessionId(session)), before - model.len());
        }
    }
}

fn was(said: &Said) -> Was {
    match said {
        Said::Title(_) => Was::Title,
        Said::File(_) => Was::File,
    }
}

fn owned(record: &Record<'_, u64>) -> (Cursor, Said) {
    assert_eq!(**record.peer, record.session.0);
    (record.cursor(), record.said.to_said())
}

/// What is asked for in other ways than by key and page equals the model too.
fn found_in_other_ways(directory: &Directory<u64>, model: &FileModel) -> Result<(), TestCaseError> {
    let named = |key: &Key| matches!(key, Key::Name(_));
    prop_assert_eq!(directory.has_names(), model.keys().any(|(key, _)| named(key)));
    for cursor @ (key, session) in model.keys() {
        let record = directory.record(*session, key).map(|record| record.cursor());
        prop_assert_eq!(record.as_ref(), Some(cursor));
        prop_assert!(directory.record(SessionId(77), key).is_none());
        let holders: Vec<_> = directory.holders(key).map(|record| record.session).collect();
        let of_key = model.keys().filter(|(other, _)| other == key);
        // A last part is found whichever name it ends.
        let expected: Vec<_> = of_key.map(|(_, session)| *session).collect();
        prop_assert!(expected.iter().all(|session| holders.contains(session)), "{:?} {:?}", key, holders);
    }
    for session in (0..6).map(SessionId) {
        let own = model.keys().filter(|(_, owner)| *owner == session);
        prop_assert_eq!(directory.peer_of(session).map(|peer| **peer), own.clone().next().map(|_| session.0));
        let names: BTreeSet<Key> = directory.named(session).collect();
        let expected = own.map(|(key, _)| key.clone()).filter(|key| named(key) || matches!(key, Key::Rfc(_)));
        prop_assert!(expected.into_iter().all(|key| names.contains(&key)), "{:?}", names);
    }
    let numbered: Vec<Cursor> = model.keys().filter(|(key, _)| matches!(key, Key::Rfc(_))).cloned().collect();
    let mut run = directory.number_run((None, SessionId(0)));
    prop_assert_eq!(run.number().map(Key::Rfc), numbered.first().map(|(key, _)| key.clone()));
    let mut shown = Vec::new();
    let ended = run.show(2, &mut |record| {
        shown.push(record.cursor());
        ControlFlow::Continue(())
    });
    prop_assert_eq!(ended, ControlFlow::Continue(()));
    let is_low = |(key, _): &&Cursor| *key <= self::key(2);
    prop_assert_eq!(&shown, &numbered.iter().filter(is_low).cloned().collect::<Vec<_>>());
    if let Some((Key::Rfc(number), session)) = numbered.first() {
        let mut all = directory.run_from(*number, SessionId(0));
        let place = all.look();
        let title = model.get(&numbered[0]).and_then(|said| match said {
            Said::Title(title) => Some(title.len()),
            Said::File(_) => None,
        });
        prop_assert!(title.is_none_or(|length| all.look_at_title(place) == length));
        prop_assert_eq!(all.look_at_title(None), 0);
        let stopped = all.show(u32::MAX, &mut |_| ControlFlow::Break(()));
        prop_assert_eq!(stopped, ControlFlow::Break((Key::Rfc(*number), *session)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn files_under_all_their_keys_equal_a_naive_model(steps in file_steps()) {
        let (mut directory, mut model) = (Directory::default(), FileModel::new());
        for step in &steps {
            apply(step, &mut directory, &mut model);
        }
        let expected: Vec<(Cursor, Said)> = model.clone().into_iter().collect();
        let all: Vec<_> = directory.records(None).map(|record| owned(&record)).collect();
        prop_assert_eq!(&all, &expected);
        for (at, (cursor, said)) in expected.iter().enumerate() {
            let rest: Vec<_> = directory.records(Some(cursor)).map(|record| owned(&record)).collect();
            prop_assert_eq!(&rest, &expected[at + 1..]);
            prop_assert_eq!(directory.get(cursor.1, &cursor.0).map(SaidRef::to_said), Some(said.clone()));
            let holders: Vec<_> =
                directory.holders_after(&cursor.0, Some(cursor)).map(|record| owned(&record)).collect();
            let later = expected[at + 1..].iter().filter(|(other, _)| other.0 == cursor.0).cloned();
            prop_assert_eq!(holders, later.collect::<Vec<_>>());
        }
        found_in_other_ways(&directory, &model)?;
        for session in 1..5 {
            directory.remove_session(SessionId(session));
        }
        let lists = directory.numbers_of.sessions() + directory.files.sessions();
        prop_assert!(directory.is_empty() && lists == 0 && directory.peers.len() == 0);
    }
}

#[test]
fn only_a_directory_that_is_watched_notes_what_texts_change() {
    let peer = Arc::new(7);
    let number = RfcNumber::MIN;
    let mut silent = Directory::default();
    silent.add_title(SessionId(1), number, "a", &peer);
    assert_eq!(silent.news(), 0);
    let mut watched = Directory::watched();
    let mut news = |change: &mut dyn FnMut(&mut Directory<u64>)| {
        change(&mut watched);
        let count = watched.news();
        let News { numbers, names } = watched.take_news();
        assert_eq!((count, watched.news()), (numbers.len() + names.len(), 0));
        (numbers.len(), names.len())
    };
    assert_eq!(
        news(&mut |all| {
            all.add_title(SessionId(1), number, "a", &peer);
        }),
        (1, 0)
    );
    assert_eq!(
        news(&mut |all| {
            all.add_title(SessionId(2), number, "a", &peer);
        }),
        (0, 0),
        "known already"
    );
    assert_eq!(
        news(&mut |all| {
            all.add_title(SessionId(2), number, "b", &peer);
        }),
        (1, 0)
    );
    assert_eq!(
        news(&mut |all| {
            all.remove_session(SessionId(2));
        }),
        (1, 0),
        "the last with this title"
    );
    let said = file(1, 0);
    let key = Key::Name(Arc::clone(&said.name));
    assert_eq!(
        news(&mut |all| {
            all.add_file(SessionId(3), &key, &said, &peer);
        }),
        (0, 1)
    );
    assert_eq!(
        news(&mut |all| {
            all.add_file(SessionId(4), &key, &said, &peer);
        }),
        (0, 1)
    );
    assert_eq!(
        news(&mut |all| {
            all.remove(SessionId(3), &key);
        }),
        (0, 1)
    );
    assert_eq!(
        news(&mut |all| {
            all.remove_session(SessionId(4));
        }),
        (0, 1)
    );
}
