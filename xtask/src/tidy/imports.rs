//! Who may import whom. The walls between the crates keep decisions free of IO, and keep the index and the peer meeting only
//! on the wire; the picture in the documentation cannot rot while this compares it with cargo's.

use crate::repository::{Dependency, Metadata, Package};

/// Each package of the workspace with those of ours that it may depend on, tests included.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("p2pci", &["web", "index", "peer", "net", "proto"]),
    ("web", &["index", "peer", "net", "proto"]),
    ("index", &["net", "proto"]),
    ("peer", &["net", "proto"]),
    ("net", &["proto"]),
    ("proto", &[]),
    ("sim", &["proto", "index", "peer", "net"]),
    ("xtask", &[]),
];

/// The package whose tests may use all of ours: they start the whole system.
const TESTS_USE_ALL: &str = "p2pci";

/// The package that decides without IO, and the crates that cannot do any.
const WITHOUT_IO: &str = "proto";
const NO_IO_CRATES: &[&str] = &[
    "httpdate",
    "memchr",
    "thiserror",
    "blake3",
    "httparse",
    "ring",
    "serde",
    "serde_json",
    "compact_str",
    "roaring",
    "subtle",
    "hashbrown",
    "foldhash",
    "unicode-normalization",
    "percent-encoding",
];

/// The dependencies that break a wall.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    metadata.packages.iter().flat_map(|package| broken_walls(package, &ours)).collect()
}

fn broken_walls(package: &Package, ours: &[&str]) -> Vec<String> {
    let name = package.name.as_str();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(listed, _)| *listed == name) else {
        return vec![format!("{name}: a new room: say in MAY_IMPORT whom it may import")];
    };
    let forbidden = |dependency: &&Dependency| {
        let may =
            allowed.contains(&dependency.name.as_str()) || (name == TESTS_USE_ALL && is_dev(dependency));
        ours.contains(&dependency.name.as_str()) && !may
    };
    let imports = package.dependencies.iter().filter(forbidden);
    let mut findings: Vec<_> = imports.map(|other| format!("{name} may not import {}", other.name)).collect();
    if name == WITHOUT_IO {
        let all = package.dependencies.iter().filter(|dependency| !is_dev(dependency));
        let unknown = all.filter(|dependency| !NO_IO_CRATES.contains(&dependency.name.as_str()));
        findings.extend(unknown.map(|other| {
            format!(
                "{name} depends on {}, which is not among the crates known to do no IO (NO_IO_CRATES)",
                other.name
            )
        }));
    }
    findings
}

fn is_dev(dependency: &Dependency) -> bool {
    dependency.kind.as_deref() == Some("dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(packages: &str) -> Vec<String> {
        let text = format!("{{\"packages\":[{packages}],\"target_directory\":\"/t\"}}");
        check(&serde_json::from_str(&text).unwrap())
    }

    fn package(name: &str, dependency: &str, kind: &str) -> String {
        format!("{{\"name\":\"{name}\",\"dependencies\":[{{\"name\":\"{dependency}\",\"kind\":{kind}}}]}}")
    }

    #[test]
    fn index_and_peer_never_meet_but_on_the_wire() {
        let peer = package("peer", "proto", "null");
        let found = workspace(&format!("{},{peer}", package("index", "peer", "null")));
        assert_eq!(found, ["index may not import peer"]);
        let found = workspace(&format!("{},{peer}", package("index", "peer", "\"dev\"")));
        assert_eq!(found, ["index may not import peer"]);
        assert!(workspace(&format!("{},{peer}", package("index", "net", "null"))).is_empty());
    }

    #[test]
    fn the_tests_of_the_binary_may_use_all() {
        let sim = package("sim", "proto", "null");
        assert!(workspace(&format!("{},{sim}", package("p2pci", "sim", "\"dev\""))).is_empty());
        let found = workspace(&format!("{},{sim}", package("p2pci", "sim", "null")));
        assert_eq!(found, ["p2pci may not import sim"]);
    }

    #[test]
    fn proto_does_no_io_and_a_new_room_must_be_listed() {
        assert_eq!(workspace(&package("proto", "tokio", "null")).len(), 1);
        assert_eq!(workspace(&package("proto", "tokio", "\"build\"")).len(), 1);
        assert!(workspace(&package("proto", "proptest", "\"dev\"")).is_empty());
        assert!(workspace(&package("proto", "memchr", "null")).is_empty());
        assert!(workspace(&package("attic", "memchr", "null"))[0].starts_with("attic: a new room"));
    }
}
