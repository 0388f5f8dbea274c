//! Whole systems keep their promises, and a world can be had again from its seed.

use std::process::{Command, Output};

/// Here as many as take a moment without optimisation; `cargo xtask test` runs a thousand.
const WORLDS: &str = "24";

fn sim(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(words).output().expect("it starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn random_systems_keep_every_promise() {
    let played = sim(&["--worlds", WORLDS]);
    assert!(played.status.success(), "{}", said(&played));
    assert!(said(&played).contains(" 0 worlds with faults"), "{}", said(&played));
}

#[test]
fn the_same_seed_is_the_same_world_to_the_last_event() {
    let played = sim(&["--worlds", "6", "--seed", "100", "--twice"]);
    assert!(played.status.success(), "{}", said(&played));
    let log = |seed| said(&sim(&["--seed", seed]));
    assert_eq!(log("7"), log("7"));
    assert_ne!(log("7"), log("8"));
    assert!(log("7").lines().count() > 10, "it says what happened: {}", log("7"));
}
