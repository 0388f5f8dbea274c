//! Nodes of one cluster on a real engine: six processes of redis-server, or three where none of them is killed.

mod clocks;
mod contract;
mod faults;
mod kills;
mod secure;
mod shared;
mod strange;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Engine, Index, http_get, run, wait_for};

/// Bound of waits: far above the targets, which are asserted where they are measured.
const BOUND: Duration = Duration::from_secs(60);

/// A node on this engine that knows what the others have.
fn node(engine: &Engine) -> Index {
    node_with(&["--store", &engine.url()])
}

fn node_with(flags: &[&str]) -> Index {
    let index = Index::with(flags);
    wait_ready(&index);
    index
}

fn wait_ready(index: &Index) {
    wait_for(BOUND, "a node to be ready", || (http_get(index.port(), "/readyz").status == 200).then_some(()));
}

/// Every file and how many sources it has, as this node lists it.
fn listed(index: &Index) -> BTreeMap<String, usize> {
    let list = run(["list", "--json", "--server", &index.address()]);
    let name = |file: &Value| match (file["name"].as_str(), file["number"].as_u64()) {
        (Some(name), _) => name.to_owned(),
        (None, number) => format!("rfc{}", number.unwrap_or_default()),
    };
    let mut all = BTreeMap::new();
    for file in list.objects().iter().filter(|object| object["type"] == "file") {
        *all.entry(name(file)).or_default() += file["sources"].as_array().map_or(0, Vec::len);
    }
    all
}

/// Waits until a node lists exactly this.
fn wait_listed(index: &Index, bound: Duration, expected: &BTreeMap<String, usize>) {
    let mut last = BTreeMap::new();
    let began = Instant::now();
    while began.elapsed() < bound {
        last = listed(index);
        if last == *expected {
            return;
        }
    }
    panic!("after {bound:?} it lists {last:?} and not {expected:?}");
}

fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}
