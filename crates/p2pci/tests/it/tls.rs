//! TLS on the ports of everything else: who is believed, who is refused and told why, and which files are at fault.

mod halves;
mod uploads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proto::value::digest::Digest;
use rcgen::CertificateParams;
use serde_json::Value;
use tempfile::TempDir;

use crate::places::{empty_folder, folder, put};
use crate::world::{
    Authority, Finished, Index, PATIENCE, Process, Raw, Sharer, http_get, p2pci, run, run_command, run_in,
    spec,
};

/// An index with a key of its own, and where that is kept.
struct Secure {
    index: Index,
    keys: TempDir,
    fingerprint: String,
}

impl Secure {
    fn with(flags: &[&str]) -> Self {
        Self::keeping(empty_folder(), flags)
    }

    fn keeping(keys: TempDir, flags: &[&str]) -> Self {
        let folder = keys.path().to_str().unwrap().to_owned();
        let index = Index::with(&[&["--tls-dir", &folder], flags].concat());
        let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
        let fingerprint = listening["fingerprint"].as_str().expect("a fingerprint").to_owned();
        Self { index, keys, fingerprint }
    }

    /// What to type after `--server`.
    fn address(&self) -> String {
        format!("tls://{}#{}", self.index.address(), self.fingerprint)
    }

    fn certificate(&self) -> PathBuf {
        self.keys.path().join("index/certificate.pem")
    }
}

fn tls_flags(keys: &Path) -> [&str; 2] {
    ["--tls-dir", keys.to_str().unwrap()]
}

fn list(server: &str, more: &[&str]) -> Finished {
    run([&["list", "--server", server], more].concat())
}

#[track_caller]
fn fails(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is missing in: {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

fn curl(args: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error"]).args(args);
    run_command(command)
}

#[test]
fn one_port_speaks_tls_and_plain_text_in_every_tongue() {
    let secure = Secure::with(&["--tls"]);
    let files = folder(&[(7, "of a peer in TLS")]);
    let keys = empty_folder();
    let flags = [&["--tls=only"], &tls_flags(keys.path())[..]].concat();
    let sharer = Sharer::with(files.path(), &secure.address(), &flags);

    // What it shares is known to everybody, and is had in TLS only.
    let found = run(["lookup", "7", "--json", "--server", &secure.index.address()]);
    let source = found.objects()[0]["sources"][0].clone();
    let fingerprint = source["tls"].as_str().expect("a fingerprint").to_owned();
    let mut old = secure.index.raw();
    old.exchange(spec::lookup(7), spec::ok(&[&format!("RFC 7 RFC 7 127.0.0.1 {}", sharer.port())]));
    assert_eq!(http_get(sharer.port(), "/rfc/7").status, 400);
    assert_eq!(sharer.raw().ask("GET RFC 7 P2P-CI/1.0\r\nHost: x\r\nOS: y\r\n\r\n"), spec::BAD_REQUEST);
    let here = empty_folder();
    for command in [&["list"][..], &["search", "rfc7"], &["lookup", "7"], &["get", "7", "--no-upload"]] {
        let done = run_in(here.path(), [command, &["--server", &secure.address()]].concat());
        assert_eq!(done.code, Some(0), "{command:?}: {}", done.stderr);
    }
    assert_eq!(fs::read_to_string(here.path().join("rfc7.txt")).unwrap(), "of a peer in TLS");
    let mut watching = Process::start(p2pci(["watch", "--server", &secure.address()]));
    watching.wait_in_lines("the watch to begin", |lines| lines.first().cloned());

    // Programs that know only HTTPS: by the authority, and by the key, which is the fingerprint in another writing.
    let certificate = secure.certificate();
    let here = format!("https://localhost:{}/healthz", secure.index.port());
    let believed = curl(&["--cacert", certificate.to_str().unwrap(), &here]);
    assert_eq!((believed.code, believed.text().trim()), (Some(0), "ok"), "{}", believed.stderr);
    let pinned = |hex: &str| format!("sha256//{}", Digest::parse(hex.as_bytes()).unwrap().base64());
    let by_key = curl(&["--insecure", "--pinnedpubkey", &pinned(&secure.fingerprint), &here]);
    assert_eq!(by_key.code, Some(0), "{}", by_key.stderr);
    assert_ne!(curl(&["--insecure", "--pinnedpubkey", &pinned(&fingerprint), &here]).code, Some(0));
    let redirected = curl(&["--insecure", "--location", &here.replace("healthz", "rfc/7")]);
    assert_eq!(redirected.text(), "of a peer in TLS", "{}", redirected.stderr);
}

#[test]
fn a_peer_that_is_named_by_hand_is_believed_by_its_key_alone() {
    let secure = Secure::with(&["--tls"]);
    let (files, keys) = (folder(&[(7, "of a peer in TLS")]), empty_folder());
    let flags = [&["--tls=only", "--upload-listen", "127.0.0.1"], &tls_flags(keys.path())[..]].concat();
    let sharer = Sharer::with(files.path(), &secure.address(), &flags);
    let fingerprint = sharer.sharing()["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let from = |key: &str| {
        let (here, from) = (empty_folder(), format!("tls://{}#{key}", sharer.address()));
        let done = run_in(here.path(), ["get", "7", "--no-upload", "--from", &from]);
        (done, fs::read_to_string(here.path().join("rfc7.txt")).ok())
    };
    let (done, text) = from(&fingerprint);
    assert_eq!((done.code, text.as_deref()), (Some(0), Some("of a peer in TLS")), "{}", done.stderr);
    let (done, text) = from(&"0a".repeat(32));
    fails(&done, 1, &[]);
    assert_eq!(text, None);
    let unnamed = run(["get", "7", "--from", &format!("tls://{}", sharer.address())]);
    fails(&unnamed, 2, &["no authority vouches for a peer", "#FINGERPRINT"]);
    fails(&run(["get", "7", "--from", &sharer.address(), "--no-upload"]), 1, &[]);
}

#[test]
fn a_key_that_was_made_stays_and_its_certificate_may_go() {
    use std::os::unix::fs::PermissionsExt;
    let Secure { mut index, keys, fingerprint } = Secure::with(&["--tls"]);
    assert_eq!(index.stop(PATIENCE), Some(0));
    let key = keys.path().join("index/key.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(keys.path().join("index/certificate.pem")).unwrap();
    let again = Secure::keeping(keys, &["--tls=also"]);
    assert_eq!(again.fingerprint, fingerprint);
    assert_eq!(list(&again.address(), &[]).code, Some(3), "it is empty");
}

#[test]
fn plain_text_where_only_tls_is_spoken_is_refused_in_its_own_tongue() {
    let secure = Secure::with(&["--tls", "only"]);
    let plain = secure.index.address();
    fails(&list(&plain, &[]), 1, &["400", "only TLS is spoken", "--server tls://HOST#FINGERPRINT"]);
    secure.index.raw().exchange(spec::add(1, "A", "julian", 5000), spec::BAD_REQUEST);
    let refused = http_get(secure.index.port(), "/healthz");
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8_lossy(&refused.body).contains("only TLS is spoken"));
    secure.index.wait_event("the refusal in the log", |event| {
        event["why"].as_str().is_some_and(|why| why.contains("plain text, and only TLS"))
    });
    let files = folder(&[(1, "x")]);
    let mut sharer = Process::start(p2pci(["share", files.path().to_str().unwrap(), "--server", &plain]));
    crate::world::wait_for(PATIENCE, "the sharer to say why it is not registered", || {
        sharer.stderr().contains("only TLS is spoken").then_some(())
    });
    sharer.kill();
    assert_eq!(list(&secure.address(), &[]).code, Some(3), "the index is as empty as it was");
}

#[test]
fn tls_to_whoever_speaks_none_says_so() {
    let index = Index::start();
    let server = format!("tls://{}#{}", index.address(), "0a".repeat(32));
    fails(&list(&server, &[]), 4, &["does not speak TLS on this port", "--tls"]);
    let there = Sharer::start(folder(&[(1, "x")]).path(), &index.address());
    let server = format!("tls://{}#{}", there.address(), "0a".repeat(32));
    fails(&list(&server, &[]), 4, &["does not speak TLS on this port"]);
}

/// An index with a certificate of an authority, and its address without a fingerprint.
fn certified([certificate, key]: &[String; 2], more: &[&str]) -> (Index, String) {
    let index = Index::with(&[&["--tls-cert", certificate, "--tls-key", key], more].concat());
    let address = format!("tls://localhost:{}", index.port());
    (index, address)
}

fn expire(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
}

#[test]
fn whoever_is_not_who_was_meant_is_refused_with_the_reason() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (_good, address) = certified(&ours.sign("localhost", |_| {}), &[]);
    assert_eq!(list(&address, &["--tls-ca", &ours.file("ca.pem")]).code, Some(3));
    fails(
        &list(&address, &["--tls-ca", &theirs.file("ca.pem")]),
        4,
        &["not to be trusted", "no authority that we were told to believe"],
    );
    let wrong = format!("{address}#{}", "0a".repeat(32));
    fails(&list(&wrong, &[]), 4, &["its key has the fingerprint", "0a0a"]);
    fails(&list(&address, &[]), 2, &["#FINGERPRINT", "--tls-ca FILE"]);
    for (files, word) in [
        (ours.sign("localhost", expire), "its time is over"),
        (ours.sign("elsewhere", |_| {}), "not valid for name"),
    ] {
        let (_index, address) = certified(&files, &[]);
        fails(&list(&address, &["--tls-ca", &ours.file("ca.pem")]), 4, &["not to be trusted", word]);
    }
}

#[test]
fn where_clients_need_a_certificate_a_stranger_hears_that() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (index, address) =
        certified(&ours.sign("localhost", |_| {}), &["--tls-client-ca", &ours.file("ca.pem")]);
    let ca = ours.file("ca.pem");
    let [certificate, key] = &ours.sign("member", |_| {});
    let member = list(&address, &["--tls-ca", &ca, "--tls-cert", certificate, "--tls-key", key]);
    assert_eq!(member.code, Some(3), "{}", member.stderr);
    fails(&list(&address, &["--tls-ca", &ca]), 1, &["certificate of ours", "--tls-cert"]);
    let [certificate, key] = &theirs.sign("member", |_| {});
    let foreign = list(&address, &["--tls-ca", &ca, "--tls-cert", certificate, "--tls-key", key]);
    fails(&foreign, 1, &["certificate of ours"]);
    index.wait_event("the stranger in the log", |event| {
        event["type"] == "not_served" && event["reason"].to_string().contains("certificate")
    });
}

#[test]
fn a_file_that_is_of_no_use_ends_the_command_with_its_name_and_the_reason() {
    let ours = Authority::new("ours");
    let [certificate, key] = &ours.sign("localhost", |_| {});
    let [_, other_key] = &ours.sign("another", |_| {});
    let (missing, junk) = (ours.file("missing.pem"), ours.file("junk.pem"));
    fs::write(&junk, "no PEM").unwrap();
    let fingerprint = format!("tls://localhost#{}", "0a".repeat(32));
    for (args, words) in [
        (
            &["server", "--listen", "127.0.0.1:0", "--tls-cert", &missing, "--tls-key", key][..],
            [&*missing, "No such file"],
        ),
        (
            &["server", "--listen", "127.0.0.1:0", "--tls-cert", &junk, "--tls-key", key],
            [&junk, "no certificate"],
        ),
        (
            &["server", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", &junk],
            [&junk, "PEM"],
        ),
        (
            &["server", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", other_key],
            [other_key, "cannot be used"],
        ),
        (&["server", "--listen", "127.0.0.1:0", "--tls-cert", certificate], ["--tls-key", "required"]),
        (&["server", "--listen", "127.0.0.1:0", "--tls", "sometimes"], ["sometimes", "--tls"]),
        (&["list", "--server", "tls://localhost", "--tls-ca", &missing], [&missing, "No such file"]),
        (
            &["list", "--server", &fingerprint, "--tls-cert", &junk, "--tls-key", key],
            [&junk, "no certificate"],
        ),
        (&["list", "--server", "tls://localhost#12"], ["#", "64 hexadecimal digits"]),
    ] {
        fails(&run(args), 2, &words);
    }
    let keys = empty_folder();
    put(&keys.path().join("index/key.pem"), "no PEM");
    let damaged =
        run(["server", "--listen", "127.0.0.1:0", "--tls", "--tls-dir", keys.path().to_str().unwrap()]);
    fails(&damaged, 2, &["index/key.pem"]);
}

#[test]
fn a_source_with_another_key_than_its_record_says_gets_nothing_asked() {
    let index = Index::start();
    let files = folder(&[(7, "of a peer in TLS")]);
    let keys = empty_folder();
    let elsewhere = Index::start();
    let flags = [&["--tls=only"], &tls_flags(keys.path())[..]].concat();
    let sharer = Sharer::with(files.path(), &elsewhere.address(), &flags);
    let hash = blake3::hash(b"of a peer in TLS").to_hex();
    let line = format!("{{\"name\":\"x\",\"size\":16,\"modified\":1,\"hash\":\"{hash}\"}}\n");
    let mut liar: Raw = index.raw();
    let (port, wrong) = (sharer.port(), "0a".repeat(32));
    let told = liar.ask(format!(
        "ADD FILES P2P-CI/1.1\r\nHost: 127.0.0.1\r\nPort: {port}\r\nTLS: {wrong}\r\nContent-Length: {}\r\n\r\n{line}",
        line.len()
    ));
    assert!(told.contains("\"taken\":1"), "{told}");
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "x", "--no-upload", "--server", &index.address()]);
    fails(&got, 1, &["its key has the fingerprint", &wrong]);
    assert!(crate::places::names_in(here.path()).is_empty());
    let bad =
        index.raw().ask("ADD FILES P2P-CI/1.1\r\nHost: h\r\nPort: 1\r\nTLS: 12\r\nContent-Length: 0\r\n\r\n");
    assert!(bad.starts_with("P2P-CI/1.1 400"), "{bad}");
    let _: Value = serde_json::from_str(bad.lines().last().unwrap()).unwrap();
}
