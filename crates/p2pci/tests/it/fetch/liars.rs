//! Sources of 1.1 that lie, cut, drip or say nothing: beside a good one the file comes whole, alone nothing comes.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::foreign::Scripted;
use crate::foreign::index_v11::{self, variant};
use crate::foreign::source::{Nature, source, source_telling};
use crate::places::{empty_folder, names_in};
use crate::world::{BLOCK, Finished, noise, run_in};

/// Bytes of the last block of [`content`].
const LAST_BLOCK: u64 = 100;

fn content() -> Vec<u8> {
    noise(7, (5 * BLOCK + LAST_BLOCK) as usize)
}

/// Fetches from these sources, into a folder that is looked at afterwards.
fn fetch(content: &[u8], sources: &[&Scripted]) -> (Finished, tempfile::TempDir) {
    let known: Vec<Value> = sources.iter().map(|source| index_v11::source(source.port())).collect();
    let index = index_v11::telling(&[variant("some/file", content, &known)], &[]);
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "some/file", "--json", "--server", &index.address()]);
    (got, here)
}

const LIARS: [(Nature, &str); 6] = [
    (Nature::FlipsEach(17), "wrong bytes"),
    (Nature::FlipsEach(99), "wrong bytes"),
    (Nature::Claims(5 * BLOCK + 101), ""),
    (Nature::Claims(u64::MAX), "which is not so"),
    (Nature::Cuts(1000), "closed the connection"),
    (Nature::Nothing, "does not have the file"),
];

#[test]
fn beside_a_good_source_the_file_comes_whole_and_the_liar_is_named() {
    let content = content();
    for (nature, fault) in LIARS {
        let liar = source(&content, nature);
        // Slow enough that the other one is asked for some of it.
        let good = source(&content, Nature::Slow(Duration::from_millis(20)));
        let (got, here) = fetch(&content, &[&liar, &good]);
        assert_eq!(got.code, Some(0), "{nature:?}: {}{}", got.text(), got.stderr);
        assert!(fs::read(here.path().join("file")).unwrap() == content, "{nature:?}: the file differs");
        assert_eq!(names_in(here.path()), ["file"], "{nature:?}");
        let objects = got.objects();
        let failed = objects.iter().find(|object| object["type"] == "source_failed");
        let failed = failed.unwrap_or_else(|| panic!("{nature:?} is not told: {}", got.text()));
        assert_eq!(failed["from"], liar.address(), "{nature:?}");
        assert!(failed["reason"].as_str().unwrap().contains(fault), "{nature:?}: {failed}");
        let sources = objects.last().unwrap()["sources"].as_array().unwrap().clone();
        let of = |scripted: &Scripted| {
            sources.iter().find(|source| source["from"] == scripted.address().as_str()).cloned()
        };
        assert!(of(&liar).unwrap()["fault"].is_string(), "{nature:?}: {sources:?}");
        assert_eq!(of(&good).unwrap()["fault"], Value::Null, "{nature:?}: {sources:?}");
    }
}

#[test]
fn a_source_that_drips_or_says_nothing_holds_nobody_up() {
    let content = content();
    for nature in [Nature::Drips, Nature::Silent] {
        let slow = source(&content, nature);
        let good = source(&content, Nature::Good);
        let began = Instant::now();
        let (got, here) = fetch(&content, &[&slow, &good]);
        assert_eq!(got.code, Some(0), "{nature:?}: {}{}", got.text(), got.stderr);
        assert!(fs::read(here.path().join("file")).unwrap() == content, "{nature:?}: the file differs");
        assert!(began.elapsed() < Duration::from_secs(30), "{nature:?} held it up for {:?}", began.elapsed());
    }
}

/// Between the last byte of the file and the end of the command. A source that says nothing more is waited for for 30 s, and one that drips is taken
/// for too slow after a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn the_end_waits_for_none_of_seven_that_are_silent_stop_or_drip() {
    let content = content();
    let natures = [
        Nature::Silent,
        Nature::Silent,
        Nature::Stops(0),
        Nature::Stops(1000),
        Nature::Stops(BLOCK as usize - 1),
        Nature::Drips,
        Nature::Drips,
    ];
    let bad = natures.map(|nature| source(&content, nature));
    let last = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&last);
    let slow = Nature::Slow(Duration::from_millis(20));
    let good = source_telling(&content, slow, move || *heard.lock().unwrap() = Some(Instant::now()));
    let (got, here) = fetch(&content, &bad.iter().chain([&good]).collect::<Vec<_>>());
    let ended = Instant::now();
    assert_eq!(got.code, Some(0), "{}{}", got.text(), got.stderr);
    assert!(fs::read(here.path().join("file")).unwrap() == content, "the file differs");
    let waited = ended - last.lock().unwrap().expect("the good one sent something");
    assert!(waited < ENDS_WITHIN, "it ended {waited:?} after the last byte had been sent: {}", got.text());
    let fetched = got.objects().into_iter().find(|object| object["type"] == "fetched").unwrap();
    let sources = fetched["sources"].as_array().unwrap();
    for source in sources {
        let is_good = source["from"] == good.address().as_str();
        // The others come to an end of nothing but the last block, which is short.
        let bytes = source["bytes"].as_u64().unwrap();
        assert!(if is_good { bytes >= 5 * BLOCK } else { bytes <= LAST_BLOCK }, "{sources:?}");
        assert!(!is_good || source["fault"].is_null(), "the good one is not blamed: {sources:?}");
    }
}

#[test]
fn from_liars_alone_nothing_comes() {
    let content = content();
    for (nature, _) in LIARS {
        let liars = [source(&content, nature), source(&content, nature)];
        let (got, here) = fetch(&content, &liars.each_ref());
        let expected: &[i32] = match nature {
            Nature::Flips(_) | Nature::FlipsEach(_) => &[6],
            Nature::Claims(_) => &[1, 6],
            Nature::Nothing => &[3],
            _ => &[1],
        };
        assert!(
            got.code.is_some_and(|code| expected.contains(&code)),
            "{nature:?}: {:?} {}",
            got.code,
            got.text()
        );
        assert!(!names_in(here.path()).contains(&"file".to_owned()), "{nature:?}");
        let objects = got.objects();
        let failed = objects.iter().filter(|object| object["type"] == "source_failed").count();
        assert_eq!(failed, 2, "{nature:?}: each is named: {}", got.text());
        assert_eq!(objects.last().unwrap()["type"], "error");
    }
}

#[test]
fn what_a_liar_gave_rightly_is_kept_for_the_next_time() {
    let content = content();
    let cut = source(&content, Nature::Flips(4 * BLOCK as usize));
    let known = [index_v11::source(cut.port())];
    let index = index_v11::telling(&[variant("some/file", &content, &known)], &[]);
    let here = empty_folder();
    let failed = run_in(here.path(), ["get", "some/file", "--server", &index.address()]);
    assert_eq!(failed.code, Some(6), "{}", failed.stderr);
    let good = source(&content, Nature::Good);
    let hash = crate::places::hash_of(&content);
    let got = run_in(here.path(), ["get", &hash, "--from", &good.address(), "-o", "file", "--json"]);
    assert_eq!(got.code, Some(0), "{}", got.text());
    let fetched = got.objects().last().unwrap().clone();
    let bytes = |field: &str| fetched[field].as_u64().unwrap();
    // The first block that is asked for is chosen by chance and may be the wrong one; the last one came before it, as the proof
    // of the size, and was right.
    assert!(bytes("resumed") >= LAST_BLOCK, "{fetched}");
    assert_eq!(bytes("resumed") + bytes("fetched"), content.len() as u64, "{fetched}");
    assert!(fs::read(here.path().join("file")).unwrap() == content);
    assert_eq!(names_in(here.path()), ["file"]);
}
