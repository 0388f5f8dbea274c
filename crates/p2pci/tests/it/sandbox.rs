//! What an index cannot do, however it is made to try.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use landlock::{AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::Signal;

use crate::places::empty_folder;
use crate::world::{Index, skip};

/// Whether this system has Landlock: a thread that ends at once gives up what it does not need.
fn is_there() -> bool {
    let tried = std::thread::spawn(|| {
        let ruleset = Ruleset::default().handle_access(AccessFs::Execute)?.create()?;
        ruleset.restrict_self().map(|restricted| restricted.ruleset)
    });
    let status: Result<RulesetStatus, landlock::RulesetError> = tried.join().unwrap();
    status.is_ok_and(|status| status != RulesetStatus::NotEnforced)
}

/// An index whose list of addresses became a link to a file elsewhere, and was asked to read it again. Whatever the list says is told
/// as trouble: its first line is not one of a list.
fn trouble_with_a_link_that_leads_out(flags: &[&str]) -> String {
    let (given, other) = (empty_folder(), empty_folder());
    let list = given.path().join("addresses");
    fs::write(&list, "allow 127.0.0.0/8\n").unwrap();
    fs::write(other.path().join("canary"), "a secret\n").unwrap();
    let mut index = Index::with(&[&["--address-list", list.to_str().unwrap()], flags].concat());
    replace(&list, &other.path().join("canary"));
    index.process().signal(Signal::HUP);
    let trouble = index.wait_event("the trouble with the list", |event| event["type"] == "trouble");
    trouble["message"].as_str().unwrap().to_owned()
}

fn replace(list: &Path, target: &Path) {
    let link = list.with_extension("new");
    symlink(target, &link).unwrap();
    fs::rename(link, list).unwrap();
}

#[test]
fn an_index_opens_no_file_but_those_that_it_was_given() {
    if !is_there() {
        skip("an_index_opens_no_file_but_those_that_it_was_given", "no Landlock in this system");
        return;
    }
    let within = trouble_with_a_link_that_leads_out(&[]);
    assert!(within.contains("Permission denied"), "{within}");
    let without = trouble_with_a_link_that_leads_out(&["--no-sandbox"]);
    assert!(without.contains("not with 'a'"), "{without}");
}

#[test]
fn a_crash_leaves_no_image_of_the_memory() {
    let mut index = Index::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", index.process().id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
