//! The corpus and seeded mutations of it, in the ordinary tests: few enough to be quick, and the same ones every time.

use std::path::{Path, PathBuf};

use super::*;

/// Mutated inputs of each body. The step `fuzz` of `cargo xtask test` runs millions.
const RUNS: u64 = 1500;
/// Bytes of the longest of them.
const LONGEST: usize = 2048;

fn folder(body: &Body) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(body.name)
}

fn corpus(body: &Body) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder(body)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn each_body_holds_for_its_corpus_and_for_mutations_of_it() {
    let now = Instant::now();
    for body in BODIES {
        let corpus = corpus(body);
        assert!(!corpus.is_empty(), "{} has no corpus", body.name);
        for input in &corpus {
            (body.run)(input, now);
        }
        for seed in 0..RUNS {
            let mut choices = mutate::Choices::new(seed);
            let mut input = corpus[choices.below(corpus.len())].clone();
            mutate::mutate(&mut input, &corpus, LONGEST, &mut choices);
            (body.run)(&input, now);
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_body_and_every_body_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for entry in std::fs::read_dir(root.join("corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(body(&name).is_some(), "{name}");
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for body in BODIES {
        assert!(manifest.contains(&format!("name = \"{}\"", body.name)), "{}", body.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_input_and_another_one_another() {
    let corpus = vec![b"ADD RFC 1 P2P-CI/1.0\r\n".to_vec()];
    let made = |seed| {
        let mut input = corpus[0].clone();
        mutate::mutate(&mut input, &corpus, LONGEST, &mut mutate::Choices::new(seed));
        input
    };
    assert!((0..100).all(|seed| made(seed) == made(seed)));
    let distinct: std::collections::BTreeSet<_> = (0..100).map(made).collect();
    assert!(distinct.len() > 90, "{}", distinct.len());
}
