//! TLS between nodes and their engine.

use super::{BOUND, listed, node_with, once, wait_listed};
use crate::places::tree;
use crate::world::{Authority, Engine, EngineTls, Finished, Sharer, run};

#[test]
fn nodes_speak_tls_with_an_engine_that_an_authority_vouches_for_and_with_no_other() {
    let test = "nodes_speak_tls_with_an_engine_that_an_authority_vouches_for_and_with_no_other";
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let files = EngineTls { ca: ours.file("ca.pem"), identity: ours.sign("127.0.0.1", |_| {}) };
    let Some(engine) = Engine::secure(test, 1, &files) else { return };
    let [certificate, key] = ours.sign("node", |_| {});
    // A user of nothing but our keys and channels.
    let user = "ACL SETUSER p2pci on >secret ~pci:* &pci:* +@all";
    assert!(engine.ask(0, user).starts_with("+OK"));
    let url = engine.tls_url("p2pci:secret@");
    let (ca, wrong) = (ours.file("ca.pem"), theirs.file("ca.pem"));
    let whole = ["--store", &url, "--store-ca", &ca, "--store-cert", &certificate, "--store-key", &key];
    let (one, other) = (node_with(&whole), node_with(&whole));
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &one.address());
    wait_listed(&other, BOUND, &once(&["live/a"]));

    let check = |flags: &[&str]| run([&["server", "--check"], flags].concat());
    let fails = |ended: &Finished, code: i32, words: &[&str]| {
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        words.iter().for_each(|word| assert!(ended.stderr.contains(word), "{word:?}: {}", ended.stderr));
    };
    // An engine of one has no replica, and this is all that is wrong with it.
    fails(&check(&whole), 1, &["no replica"]);
    let untrusted = check(&["--store", &url, "--store-ca", &wrong]);
    fails(&untrusted, 1, &["not to be trusted", "UnknownIssuer", "--store-ca"]);
    fails(&check(&["--store", &url, "--store-ca", &ca]), 1, &["wants a certificate of ours", "--store-cert"]);
    fails(&check(&["--store", &url]), 2, &["--store-ca FILE"]);
    fails(&check(&["--store", &engine.url(), "--store-ca", &ca]), 2, &["rediss+cluster://"]);
    let plain = engine.url().replace("redis+", "valkeys+");
    // It answers a handshake with an error, or waits for more, as the random bytes have it.
    fails(&check(&["--store", &plain, "--store-ca", &ca]), 1, &["TLS", "on this port"]);
    fails(&check(&["--store", &url, "--store-ca", &key]), 2, &[&key, "no certificate"]);
    assert_eq!(listed(&other), once(&["live/a"]));
}
