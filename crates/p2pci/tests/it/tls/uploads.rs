//! Upload ports that let in only those with a certificate, and who is told what there.

use std::fs;
use std::path::Path;

use super::{expire, fails, list, tls_flags};
use crate::places::{empty_folder, folder, tree};
use crate::world::{
    Authority, BLOCK, Index, PATIENCE, Process, Raw, Sharer, http_get, noise, p2pci, run, run_command,
    run_in, spec, wait_for,
};

#[test]
fn a_peer_that_wants_certificates_gives_its_files_to_those_who_have_one_and_to_nobody_else() {
    let (ours, theirs, index) = (Authority::new("ours"), Authority::new("theirs"), Index::start());
    let (files, keys) = (folder(&[(7, "for members")]), empty_folder());
    let ca = ours.file("ca.pem");
    let flags = [&["--tls-client-ca", &ca], &tls_flags(keys.path())[..]].concat();
    let sharer = Sharer::with(files.path(), &index.address(), &flags);
    index.wait_hashed(1);
    let get = |more: &[&str]| {
        let here = empty_folder();
        let got =
            run_in(here.path(), [&["get", "7", "--no-upload", "--server", &index.address()], more].concat());
        let text = fs::read_to_string(here.path().join("rfc7.txt")).ok();
        (got, text)
    };
    let [certificate, key] = &ours.sign("member", |_| {});
    let (member, text) = get(&["--tls-cert", certificate, "--tls-key", key]);
    assert_eq!((member.code, text.as_deref()), (Some(0), Some("for members")), "{}", member.stderr);
    let [foreign, foreign_key] = &theirs.sign("member", |_| {});
    let [old, old_key] = &ours.sign("late", expire);
    for more in [
        &[][..],
        &["--tls-cert", foreign, "--tls-key", foreign_key],
        &["--tls-cert", old, "--tls-key", old_key],
    ] {
        let (refused, text) = get(more);
        fails(&refused, 1, &["it wants a certificate of ours from an authority that it knows (--tls-cert"]);
        assert_eq!(text, None, "{more:?}");
    }
    // In plain text nobody can show a certificate, so nobody is served.
    assert_eq!(http_get(sharer.port(), "/rfc/7").status, 400);
    assert_eq!(sharer.raw().ask(spec::get(7)), spec::BAD_REQUEST);
    // Who is named by hand is asked in the same way.
    let from = format!("tls://{}#{}", sharer.address(), sharer.sharing()["fingerprint"].as_str().unwrap());
    let (by_hand, _) = get(&["--from", &from, "--tls-cert", certificate, "--tls-key", key]);
    assert_eq!(by_hand.code, Some(0), "{}", by_hand.stderr);
    let bad = run(["share", files.path().to_str().unwrap(), "--tls-client-ca", "/nowhere/ca.pem"]);
    fails(&bad, 2, &["/nowhere/ca.pem: No such file"]);
}

/// Found by the test above: an index that wanted certificates served whoever came in plain text.
#[test]
fn an_index_that_wants_certificates_serves_nobody_in_plain_text() {
    let ours = Authority::new("ours");
    let [certificate, key] = &ours.sign("localhost", |_| {});
    for tls in [&[][..], &["--tls"]] {
        let flags = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", &ours.file("ca.pem")];
        let index = Index::with(&[&flags[..], tls].concat());
        let mut old: Raw = index.raw();
        old.exchange(spec::add(1, "A", "julian", 5000), spec::BAD_REQUEST);
        assert_eq!(http_get(index.port(), "/api/v1/files").status, 400);
        fails(&list(&index.address(), &[]), 1, &["only TLS is spoken"]);
    }
}

/// An index, a peer and a downloader who becomes one, each of whom wants certificates of all others.
#[test]
fn where_everybody_wants_certificates_files_spread_among_those_who_have_one() {
    let ours = Authority::new("ours");
    let ca = ours.file("ca.pem");
    let ([server_certificate, server_key], [certificate, key]) =
        (&ours.sign("localhost", |_| {}), &ours.sign("member", |_| {}));
    let clients = ["--tls-client-ca", &ca];
    let own = ["--tls-cert", server_certificate, "--tls-key", server_key];
    let index = Index::with(&[&own[..], &clients].concat());
    let address = format!("tls://localhost:{}", index.port());
    let member = ["--tls-ca", &ca, "--tls-cert", certificate, "--tls-key", key];
    let bytes = noise(9, 3 * BLOCK as usize);
    let (_outer, root) = tree("some", &[("large", &bytes)]);
    let mut sharer = Sharer::with(&root, &address, &[&member[..], &clients].concat());
    let get = |folder: &Path, more: &[&str]| {
        let args = [&["get", "some/large", "--json", "--server", &address], &member[..], more].concat();
        let mut command = p2pci(args);
        command.current_dir(folder);
        command
    };
    let lookup = || {
        let args = ["lookup", "some/large", "--json", "--server", &address];
        run([&args[..], &member].concat()).objects().first().cloned()
    };
    wait_for(PATIENCE, "the file to be hashed", || lookup()?["hash"].as_str().map(drop));
    let (first, second, third) = (empty_folder(), empty_folder(), empty_folder());
    let mut seeder = Process::start(get(first.path(), &[&clients[..], &["--seed-time", "forever"]].concat()));
    wait_for(PATIENCE, "the first copy", || first.path().join("large").exists().then_some(()));
    sharer.process().kill();
    let copy = wait_for(PATIENCE, "the copy to be the only source", || {
        let found = lookup()?;
        let sources = found["sources"].as_array()?;
        (sources.len() == 1 && sources[0]["published"] == false).then(|| sources[0].clone())
    });
    let again = run_command(get(second.path(), &["--no-upload"]));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(fs::read(second.path().join("large")).unwrap() == bytes);
    // Who knows everything but has no certificate.
    let from = format!("tls://127.0.0.1:{}#{}", copy["port"], copy["tls"].as_str().unwrap());
    let hash = blake3::hash(&bytes).to_hex();
    let stranger = run_in(third.path(), ["get", &hash, "--from", &from]);
    fails(&stranger, 1, &["it wants a certificate of ours"]);
    seeder.kill();
}
