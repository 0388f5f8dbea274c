//! Where a downloader may connect: not wherever an index says.

use crate::places::{empty_folder, names_in, tree};
use crate::world::{Finished, Index, Namespace, Sharer, p2pci, p2pci_behind, run_command};

/// An index in a local network, and peers that claim to be elsewhere.
struct Lan {
    namespace: Namespace,
    server: String,
    _index: Index,
}

impl Lan {
    fn new(test: &str) -> Option<Self> {
        let namespace = Namespace::with(test, &["10.9.0.1/32", "192.168.9.1/32"])?;
        let args = Index::args("10.9.0.1:0", &["--record-host", "claimed"]);
        let index = Index::from_command(p2pci_behind(&namespace.before(), args));
        let server = format!("10.9.0.1:{}", index.port());
        Some(Self { namespace, server, _index: index })
    }

    fn share(&self, root: &std::path::Path, host: &str) -> Sharer {
        let args = Sharer::args(root, &self.server, &["--host", host]);
        Sharer::from_command(p2pci_behind(&self.namespace.before(), args))
    }

    /// Waits until the file is hashed, and fetches it.
    fn get(&self, target: &str, flags: &[&str]) -> (Finished, Vec<String>) {
        let here = empty_folder();
        let args = [&["get", target, "--server", &self.server], flags].concat();
        let mut command = p2pci_behind(&self.namespace.before(), args);
        command.current_dir(here.path());
        (run_command(command), names_in(here.path()))
    }
}

/// `fault_c15` and `fault_d7`: nothing is sent to this machine or to another network because an index in the LAN says so.
#[test]
fn fault_c15_an_index_names_only_sources_where_it_is_itself() {
    let Some(lan) = Lan::new("fault_c15_an_index_names_only_sources_where_it_is_itself") else { return };
    let elsewhere = ["127.0.0.1", "192.168.9.1", "localhost", "::ffff:127.0.0.1"];
    let mut kept = Vec::new();
    for (number, host) in elsewhere.iter().enumerate() {
        let name = format!("away{number}");
        let (outer, root) = tree(&name, &[("file", host.as_bytes())]);
        let mut sharer = lan.share(&root, host);
        let (got, there) = lan.get(&format!("{name}/file"), &[]);
        assert_eq!(got.code, Some(1), "{host}: {}", got.stderr);
        assert!(got.stderr.contains("--allow-net"), "{host}: {}", got.stderr);
        assert_eq!(there, [""; 0], "{host}");
        let lines = sharer.process().lines();
        assert!(!lines.iter().any(|line| line.contains("\"uploaded\"")), "{host}: {lines:?}");
        kept.push((outer, sharer));
    }
    let (got, there) = lan.get("away0/file", &["--allow-net", "127.0.0.0/8"]);
    assert_eq!((got.code, there), (Some(0), vec!["file".to_owned()]), "{}", got.stderr);
    let (_outer, root) = tree("here", &[("file", "in the same network")]);
    let _sharer = lan.share(&root, "10.9.0.1");
    let (got, there) = lan.get("here/file", &[]);
    assert_eq!((got.code, there), (Some(0), vec!["file".to_owned()]), "{}", got.stderr);
}

#[test]
fn a_network_that_is_none_is_wrong_usage() {
    let got = run_command(p2pci(["get", "x", "--allow-net", "10.0.0.0/33"]));
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    assert!(got.stderr.contains("ADDRESS/BITS"), "{}", got.stderr);
}
