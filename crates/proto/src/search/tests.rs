//! The index of texts against a naive model: a text is found if and only if each typed word is, begins or is meant by one of its
//! words. And the order of what is found.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn number(number: u32) -> TextKey {
    TextKey::Number(RfcNumber::new(number).unwrap())
}

fn name(text: &str) -> TextKey {
    TextKey::Name(text.into())
}

fn set(index: &mut Index, key: &TextKey, texts: &[&str]) {
    index.set(key, &Text { texts, sizes: None, is_complete: true });
}

fn found(index: &Index, typed: &str) -> Vec<TextKey> {
    let found = index.find(&Query::parse(typed).unwrap(), 100);
    assert!(!found.is_incomplete);
    found.hits.into_iter().map(|hit| hit.key).collect()
}

/// What the rules say, in the plainest way: every way to make at most so many typing errors is tried.
fn means(typed: &[char], word: &[char], errors: usize) -> bool {
    match (typed, word) {
        ([], []) => true,
        ([a, typed @ ..], [b, word @ ..]) if a == b => means(typed, word, errors),
        _ if errors == 0 => false,
        _ => {
            let less = errors - 1;
            let swapped = matches!((typed, word), ([a, b, ..], [c, d, ..]) if a == d && b == c)
                && means(&typed[2..], &word[2..], less);
            let left_out = !word.is_empty() && means(typed, &word[1..], less);
            let too_much = !typed.is_empty() && means(&typed[1..], word, less);
            let changed = !typed.is_empty() && !word.is_empty() && means(&typed[1..], &word[1..], less);
            swapped || left_out || too_much || changed
        }
    }
}

fn is_found(typed: &str, text: &str) -> bool {
    typed.split(' ').all(|typed| {
        let letters: Vec<char> = typed.chars().collect();
        let errors = match letters.len() {
            _ if typed.contains('7') => 0,
            0..4 => 0,
            4..8 => 1,
            _ => 2,
        };
        text.split(' ').any(|word| {
            let errors = if word.contains('7') { 0 } else { errors };
            let word: Vec<char> = word.chars().collect();
            word.starts_with(&letters) || means(&letters, &word, errors)
        })
    })
}

/// Few letters, so that words are near each other.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![9 => "[abn]{1,10}", 1 => "[ab7]{1,5}"]
}

#[derive(Debug, Clone)]
enum Step {
    Set(u32, String),
    Remove(u32),
    Renew,
    Find(String),
}

fn step() -> impl Strategy<Value = Step> {
    let text = |most: usize| prop::collection::vec(word(), 1..most).prop_map(|words| words.join(" "));
    prop_oneof![
        4 => (1..30_u32, text(5)).prop_map(|(key, text)| Step::Set(key, text)),
        2 => (1..30_u32).prop_map(Step::Remove),
        1 => Just(Step::Renew),
        4 => text(4).prop_map(Step::Find),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_found_is_what_the_model_finds(steps in prop::collection::vec(step(), 1..80)) {
        let mut index = Index::default();
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Set(key, text) => {
                    set(&mut index, &number(key), &[&text]);
                    model.insert(key, text);
                }
                Step::Remove(key) => {
                    index.remove(&number(key));
                    model.remove(&key);
                }
                Step::Renew => index = index.renewed(),
                Step::Find(typed) => {
                    let mut found = found(&index, &typed);
                    found.sort_unstable();
                    let expected: Vec<TextKey> =
                        model.iter().filter(|(_, text)| is_found(&typed, text)).map(|(key, _)| number(*key)).collect();
                    prop_assert_eq!(&found, &expected, "{}", typed);
                    let query = Query::parse(&typed).unwrap();
                    for text in model.values() {
                        prop_assert_eq!(query.matches([text.as_str()]), is_found(&typed, text), "{} {}", typed, text);
                    }
                }
            }
            prop_assert_eq!(index.len(), model.len());
        }
    }
}

#[test]
fn the_nearest_come_first() {
    let mut index = Index::default();
    let texts = [
        (1, "a guide to linus"),
        (2, "a guide to linuxes"),
        (3, "a guide to linux"),
        (4, "linux a guide"),
        (5, "linux a guide with more words"),
        (6, "windows"),
    ];
    for (key, text) in texts {
        set(&mut index, &number(key), &[text]);
    }
    assert_eq!(
        found(&index, "Linux"),
        [4, 5, 3, 2, 1].map(number),
        "start, fewer words, whole, beginning, meant"
    );
    assert_eq!(found(&index, "linux giude"), [4, 5, 3, 2, 1].map(number));
    assert_eq!(found(&index, "nothing"), []);
}

#[test]
fn a_rare_word_weighs_more() {
    let mut index = Index::default();
    for key in 1..=200 {
        set(&mut index, &number(key), &["common filler"]);
    }
    set(&mut index, &number(500), &["other commons unusual"]);
    set(&mut index, &number(501), &["other common unusually"]);
    assert_eq!(found(&index, "common unusual"), [500, 501].map(number));
}

#[test]
fn filters_by_what_is_known_of_the_files() {
    let mut index = Index::default();
    for (file, sizes, is_complete) in [
        ("a.pdf", Some((5, 5)), true),
        ("a.txt", Some((1, 5000)), false),
        ("pdf.a", Some((4000, 4000)), true),
    ] {
        index.set(&name(file), &Text { texts: &[file], sizes, is_complete });
    }
    set(&mut index, &number(1), &["a pdf"]);
    assert_eq!(found(&index, "a").len(), 4);
    assert_eq!(found(&index, "a kind:txt"), [name("a.txt")]);
    assert_eq!(found(&index, "a size:>1000"), [name("a.txt"), name("pdf.a")]);
    assert_eq!(found(&index, "a size:>1000 is:complete"), [name("pdf.a")]);
    assert_eq!(found(&index, "kind:txt"), [name("a.txt")]);
    index.set(&name("a.txt"), &Text { texts: &["a.txt"], sizes: Some((1, 1)), is_complete: true });
    assert_eq!(
        found(&index, "a size:>1000"),
        [name("pdf.a")],
        "what is known may change under the same words"
    );
    assert_eq!(index.docs.len(), 4, "and costs nothing");
}

#[test]
fn what_was_renewed_has_no_trace_of_what_is_gone() {
    let mut index = Index::default();
    for key in 1..=10_000 {
        set(&mut index, &number(key), &[&format!("word{key} both")]);
    }
    set(&mut index, &name("x/kept"), &["kept", "x"]);
    (1..9000).for_each(|key| index.remove(&number(key)));
    assert!(index.is_worn());
    let renewed = index.renewed();
    assert!(!renewed.is_worn());
    assert_eq!((renewed.len(), renewed.docs.len(), renewed.words()), (1002, 1002, 1004));
    assert_eq!(found(&renewed, "kept x"), [name("x/kept")]);
    assert_eq!(found(&renewed, "word9500"), [number(9500)]);
    assert_eq!(found(&renewed, "word8999"), []);
}

#[test]
fn a_search_for_common_words_ends_and_says_so() {
    let mut index = Index::default();
    for key in 1..=STEPS / find::SCORING - STEPS / 1000 {
        set(&mut index, &number(key), &["common words"]);
    }
    let query = Query::parse("words common").unwrap();
    assert!(!index.find(&query, 10).is_incomplete);
    for key in 1..=STEPS / 500 {
        set(&mut index, &number(1_000_000 + key), &["common words"]);
    }
    let found = index.find(&query, 10);
    assert!(found.is_incomplete);
    assert_eq!(found.hits.len(), 10);
    set(&mut index, &name("rare"), &["common rare"]);
    let found = index.find(&Query::parse("common rare").unwrap(), 10);
    assert_eq!((found.hits.len(), found.is_incomplete), (1, false), "the rarest word leads");
}

const STEPS: u32 = crate::limits::SEARCH_STEPS_MAX;
