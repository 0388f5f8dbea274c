//! Who may do what: tokens with their rights, guesses, and lists of addresses. Each test's name begins with the threat that it is about.

mod guesses;
mod private;
mod table;
mod tickets;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::places::{empty_folder, folder, tree};
use crate::world::{
    Finished, HttpAnswer, Index, Namespace, PATIENCE, Process, Raw, Sharer, http, p2pci, p2pci_behind, run,
    run_command, run_in, spec, wait_for,
};

/// A token file of a test.
struct Tokens {
    folder: TempDir,
}

impl Tokens {
    fn new() -> Self {
        Self { folder: empty_folder() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn command(&self, args: &[&str]) -> Finished {
        let file = self.file();
        run([&["token"], args, &["--tokens", file.to_str().unwrap()]].concat())
    }

    /// A new token with these rights.
    fn new_token(&self, can: &str, more: &[&str]) -> String {
        let made = self.command(&[&["new", "--can", can], more].concat());
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.text().trim().to_owned()
    }

    fn index(&self, flags: &[&str]) -> Index {
        let file = self.file();
        Index::with(&[&["--tokens", file.to_str().unwrap()], flags].concat())
    }

    /// What a token is called.
    fn id_of(&self, can: &str) -> String {
        let listed = self.command(&["list"]).text();
        let line = listed.lines().find(|line| line.split_whitespace().nth(1) == Some(can));
        line.expect("a token with these rights").split_whitespace().next().unwrap().to_owned()
    }
}

fn with_token(token: &str, mut command: Command) -> Command {
    command.env("P2PCI_TOKEN", token);
    command
}

fn ask(token: Option<&str>, args: &[&str], server: &str) -> Finished {
    let command = p2pci([args, &["--server", server]].concat());
    run_command(match token {
        Some(token) => with_token(token, command),
        None => command,
    })
}

#[track_caller]
fn fails(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is missing in: {}", finished.stderr);
    }
}

fn ping(token: &str) -> String {
    format!("PING ALL P2P-CI/1.1\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn http_with(port: u16, path: &str, authorization: &str) -> HttpAnswer {
    let header =
        if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    http(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"))
}

#[test]
fn i21_holders_of_tokens_a_stranger_and_a_program_of_1_0_are_told_apart_in_tls_and_plain_text() {
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let publisher = tokens.new_token("add", &["--prefix", "team/"]);
    let reader = tokens.new_token("list,get", &[]);
    let index = tokens.index(&["--tls", "--tls-dir", keys.path().to_str().unwrap()]);
    let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
    let secure = format!("tls://{}#{}", index.address(), listening["fingerprint"].as_str().unwrap());
    let (_outer, files) = tree("team", &[("a.txt", "of the team")]);
    let sharer = with_token(&publisher, p2pci(Sharer::args(&files, &secure, &[])));
    let sharer = Sharer::from_command(sharer);
    assert_eq!(sharer.registered()["files"], 1, "{}", sharer.registered());

    let here = empty_folder();
    for server in [&secure, &index.address()] {
        assert_eq!(ask(Some(&reader), &["list"], server).text(), "team/a.txt  11 B\n");
        let mut get =
            with_token(&reader, p2pci(["get", "a.txt", "--no-upload", "--force", "--server", server]));
        get.current_dir(here.path());
        assert_eq!(run_command(get).code, Some(0));
        fails(&ask(Some(&publisher), &["list"], server), &["403", "lacks the right 'list'", "it has: add"]);
        fails(&ask(Some(&publisher), &["lookup", "a.txt"], server), &["403", "lacks the right 'get'"]);
        fails(&ask(None, &["list"], server), &["401", "takes a token", "'list'", "P2PCI_TOKEN"]);
        let unknown = format!("p2pci_{}", "0a".repeat(32));
        fails(&ask(Some(&unknown), &["list"], server), &["refuses us", "not known here"]);
    }
    let mut old = index.raw();
    for request in [spec::LIST.to_owned(), spec::lookup(1), spec::add(1, "A", "julian", 5000)] {
        old.exchange(request, spec::BAD_REQUEST);
    }
    let refused = index.wait_event("the refusal in the log", |event| event["type"] == "refused");
    assert!(refused["reason"].to_string().contains("takes a token"), "{refused}");

    // A publisher without the right, and one below another prefix, hear what is wrong and go on.
    let why_not = |token: &str, files: &Path, word: &str| {
        let mut sharer = Process::start(with_token(token, p2pci(Sharer::args(files, &secure, &[]))));
        wait_for(PATIENCE, word, || sharer.stderr().contains(word).then_some(()));
        sharer.kill();
    };
    why_not(&reader, &files, "lacks the right 'add'");
    why_not(&publisher, folder(&[(1, "x")]).path(), "only names that begin with 'team/'");
}

#[test]
fn what_anybody_may_do_needs_no_token_in_any_version() {
    let tokens = Tokens::new();
    let publisher = tokens.new_token("add", &[]);
    let index = tokens.index(&["--anyone-can", "list,get"]);
    let files = folder(&[(7, "open to all")]);
    let _sharer = Sharer::from_command(with_token(
        &publisher,
        p2pci(Sharer::args(files.path(), &index.address(), &[])),
    ));
    let mut old = index.raw();
    assert!(old.ask(spec::lookup(7)).starts_with("P2P-CI/1.0 200 OK"));
    old.exchange(spec::add(1, "A", "julian", 5000), spec::BAD_REQUEST);
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "7", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(http_with(index.port(), "/api/v1/files", "").status, 200);
}

#[test]
fn i21_a_token_that_is_revoked_or_over_is_none_within_a_second_or_two() {
    let tokens = Tokens::new();
    let (token, admin) = (tokens.new_token("list", &[]), tokens.new_token("admin", &[]));
    let mode = fs::metadata(tokens.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let kept = fs::read_to_string(tokens.file()).unwrap();
    assert!(!kept.contains(&token["p2pci_".len()..]) && !kept.contains(&admin["p2pci_".len()..]));
    let index = tokens.index(&[]);
    let list = "LIST ALL P2P-CI/1.1\r\n\r\n";
    let mut lasting = index.raw();
    assert!(lasting.ask(ping(&token) + list).matches("P2P-CI/1.1 200 OK").count() == 2);
    let id = tokens.id_of("list");
    assert_eq!(tokens.command(&["revoke", &id]).code, Some(0));
    wait_for(PATIENCE, "the revoked token to be none", || lasting.ask(list).contains("401").then_some(()));
    assert_eq!(ask(Some(&admin), &["list"], &index.address()).code, Some(3), "the others go on");
    assert_eq!(tokens.command(&["revoke", &id]).code, Some(3), "there is none of that name any more");

    let short = tokens.new_token("list", &["--expires", "1s"]);
    wait_for(PATIENCE, "its time to be over", || {
        index.raw().ask(ping(&short)).contains("the time of this token is over").then_some(())
    });
    // A file that is damaged changes nothing, and is told.
    fs::write(tokens.file(), "damaged").unwrap();
    index.wait_event("the damage in the log", |event| event["message"].to_string().contains("line 1"));
    assert!(index.raw().ask(ping(&admin)).contains("200 OK"));
}

#[test]
fn i21_records_and_watches_go_with_the_token_that_they_were_made_with() {
    let tokens = Tokens::new();
    let (publisher, brief) =
        (tokens.new_token("add", &[]), tokens.new_token("list,add", &["--expires", "3s"]));
    let (reader, admin) = (tokens.new_token("list", &[]), tokens.new_token("admin", &[]));
    let index = tokens.index(&[]);
    let (_outer, files) = tree("shared", &[("long.txt", "long")]);
    let (_other, passing) = tree("shared", &[("short.txt", "short")]);
    let share = |token: &str, folder: &Path| {
        let sharer =
            Sharer::from_command(with_token(token, p2pci(Sharer::args(folder, &index.address(), &[]))));
        assert_eq!(sharer.registered()["files"], 1, "{}", sharer.registered());
        sharer
    };
    let (_stays, _goes) = (share(&publisher, &files), share(&brief, &passing));
    let listed = || ask(Some(&admin), &["list"], &index.address()).text();
    let mut watching = index.raw();
    watching.send(ping(&reader) + "WATCH ALL P2P-CI/1.1\r\n\r\n");
    let mut viewing = index.raw();
    let events = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n";
    viewing.send(format!("{events}Authorization: Bearer {reader}\r\n\r\n"));
    wait_for(PATIENCE, "the records to go when the time is over", || {
        let text = listed();
        (text.contains("long.txt") && !text.contains("short.txt")).then_some(())
    });

    // Its records go, though its holder says nothing.
    assert_eq!(tokens.command(&["revoke", &tokens.id_of("add")]).code, Some(0));
    wait_for(PATIENCE, "the records to go", || (!listed().contains("long.txt")).then_some(()));
    index.wait_event("the reason in the log", |event| event["why"].to_string().contains("revoked"));
    // Nobody waits for changes by a token that is none.
    assert_eq!(tokens.command(&["revoke", &tokens.id_of("list")]).code, Some(0));
    let told = String::from_utf8(watching.read_to_end()).unwrap();
    assert!(String::from_utf8_lossy(&viewing.read_to_end()).contains("text/event-stream"));
    assert!(told.contains("401 Unauthorized") && told.contains("revoked"), "{told}");
}

#[test]
fn i21_of_ten_thousand_guesses_twenty_are_looked_at_and_nobody_else_is_kept_out() {
    let tokens = Tokens::new();
    let token = tokens.new_token("list", &[]);
    let index = tokens.index(&["--quiet"]);
    let began = std::time::Instant::now();
    let mut guesser = index.raw_from(Ipv4Addr::new(127, 0, 0, 9));
    let (mut looked_at, mut put_off) = (0, 0);
    for batch in 0..100 {
        let guesses: String =
            (0..100).map(|at| ping(&format!("p2pci_{:064x}", batch * 100 + at + 1))).collect();
        guesser.send(guesses);
        let mut answers = String::new();
        while answers.matches("P2P-CI/1.1 4").count() < 100 || !answers.ends_with("\"}\n") {
            let segment = guesser.segment_within(PATIENCE).expect("an answer in time");
            assert!(!segment.is_empty(), "cut off");
            answers += std::str::from_utf8(&segment).unwrap();
        }
        looked_at += answers.matches(" 401 ").count();
        put_off += answers.matches(" 429 ").count();
    }
    let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap() + 1;
    assert!((1..=20 * minutes).contains(&looked_at), "{looked_at} in {minutes} min");
    assert_eq!(looked_at + put_off, 10_000);
    assert!(guesser.ask(ping(&token)).contains("429"), "not even the right one");
    assert!(index.raw().ask(ping(&token)).contains("200 OK"), "from elsewhere it is one");
}

#[test]
fn w7_http_takes_a_token_as_bearer_and_as_password_and_shows_it_nowhere() {
    let tokens = Tokens::new();
    let (lister, getter) = (tokens.new_token("list", &[]), tokens.new_token("get", &[]));
    let index = tokens.index(&[]);
    let refused = http_with(index.port(), "/api/v1/files", "");
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("Bearer realm") && refused.head.contains("Basic realm"),
        "{}",
        refused.head
    );
    let bearer = |token: &str| format!("Bearer {token}");
    for path in ["/", "/api/v1/files", "/api/v1/peers", "/metrics"] {
        assert_eq!(http_with(index.port(), path, &bearer(&lister)).status, 200, "{path}");
        assert_eq!(http_with(index.port(), path, &bearer(&getter)).status, 403, "{path}");
    }
    assert_eq!(http_with(index.port(), "/file/x", &bearer(&getter)).status, 404);
    assert_eq!(http_with(index.port(), "/file/x", &bearer(&lister)).status, 403);
    assert_eq!(http_with(index.port(), "/healthz", "").status, 200);
    let mut curl = Command::new("curl");
    let url = format!("http://localhost:{}/metrics", index.port());
    curl.args(["--silent", "--user", &format!("any:{lister}"), &url]);
    let metrics = run_command(curl).text();
    assert!(metrics.contains("p2pci_records"), "{metrics}");
    index.raw().ask(ping(&lister));
    let shown =
        index.wait_event("the ping in the log", |event| event["request"].to_string().contains("PING"));
    assert!(shown.to_string().contains("Bearer …"), "{shown}");
    let recent = http_with(index.port(), "/api/v1/status", &bearer(&lister));
    for token in [&lister, &getter] {
        let digits = &token["p2pci_".len()..];
        let log = index.events().iter().map(ToString::to_string).collect::<String>();
        assert!(!log.contains(digits) && !metrics.contains(digits));
        assert!(!String::from_utf8_lossy(&recent.body).contains(digits));
    }
}

#[test]
fn i21_no_token_travels_in_plain_text_off_this_machine() {
    let test = "i21_no_token_travels_in_plain_text_off_this_machine";
    let Some(namespace) = Namespace::with(test, &["10.0.0.1/24"]) else { return };
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let token = tokens.new_token("list", &[]);
    let (file, keys) = (tokens.file(), keys.path().to_str().unwrap().to_owned());
    let flags = ["--tokens", file.to_str().unwrap(), "--tls", "--tls-dir", &keys];
    let index = Index::from_command(p2pci_behind(&namespace.before(), Index::args("10.0.0.1:0", &flags)));
    let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
    let plain = format!("10.0.0.1:{}", index.port());
    let secure = format!("tls://{plain}#{}", listening["fingerprint"].as_str().unwrap());
    let list = |server: &str| {
        run_command(with_token(&token, p2pci_behind(&namespace.before(), ["list", "--server", server])))
    };
    let refused = list(&plain);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("not sent in plain text") && refused.stderr.contains("tls://"),
        "{}",
        refused.stderr
    );
    assert!(index.events_of("request").is_empty(), "nothing was asked");
    assert_eq!(list(&secure).code, Some(3));
    // A program that sends it all the same is refused by the index, which says what to do.
    let address = SocketAddr::from(([10, 0, 0, 1], index.port()));
    let told = namespace.enter(|| Raw::connect_from(address.ip(), address).ask(ping(&token)));
    assert!(
        told.contains("403") && told.contains("not taken in plain text") && told.contains("revoked"),
        "{told}"
    );
}

#[test]
fn a_token_that_cannot_be_one_ends_the_command_with_exit_code_2() {
    let tokens = Tokens::new();
    for args in
        [&["new", "--can", "rule"][..], &["new", "--can", "none"], &["new", "--group", "a,b"], &["list"]]
    {
        let bad = tokens.command(args);
        assert_eq!(bad.code, Some(2), "{args:?}: {}", bad.stderr);
    }
    let junk = run_command(with_token("secret", p2pci(["list", "--server", "127.0.0.1:1"])));
    assert_eq!(junk.code, Some(2));
    assert!(junk.stderr.contains("P2PCI_TOKEN") && !junk.stderr.contains("secret"), "{}", junk.stderr);
    let missing = run(["list", "--server", "127.0.0.1:1", "--token-file", "/nowhere/token"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("/nowhere/token"), "{}", missing.stderr);
    let server = run(["server", "--listen", "127.0.0.1:0", "--tokens", "/nowhere/tokens"]);
    assert!(server.code == Some(2) && server.stderr.contains("/nowhere/tokens"), "{}", server.stderr);
}

#[test]
fn lists_of_addresses_decide_at_the_door_and_are_read_again() {
    let folder = empty_folder();
    let list = folder.path().join("list");
    fs::write(&list, "deny 127.0.0.9 # somebody\n").unwrap();
    let mut index = Index::with(&["--deny-from", "127.0.0.8/32", "--address-list", list.to_str().unwrap()]);
    let port = index.port();
    let is_served = |last| {
        let source = IpAddr::from([127, 0, 0, last]);
        let mut raw = Raw::connect_from(source, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        // Who is refused may have been closed already.
        let _ = raw.socket().write_all(spec::LIST.as_bytes());
        raw.segment_within(PATIENCE).is_some_and(|answer| answer == spec::NOT_FOUND.as_bytes())
    };
    assert!(!is_served(8) && !is_served(9) && is_served(7));
    let refused = index.wait_event("the refusal in the log", |event| event["type"] == "not_served");
    assert!(refused["reason"].to_string().contains("--deny-from"), "{refused}");
    let mut standing = index.raw_from(Ipv4Addr::new(127, 0, 0, 7));
    standing.exchange(spec::LIST, spec::NOT_FOUND);
    fs::write(&list, "allow 127.0.0.6\nallow 127.0.0.8\n").unwrap();
    index.process().signal(Signal::HUP);
    wait_for(PATIENCE, "the new list to count", || (!is_served(7)).then_some(()));
    assert!(is_served(6) && !is_served(8) && !is_served(9), "a denied one is denied, whatever else");
    standing.exchange(spec::LIST, spec::NOT_FOUND);
    fs::write(&list, "permit 127.0.0.1\n").unwrap();
    index.wait_event("the mistake in the log", |event| event["message"].to_string().contains("line 1"));
    assert!(is_served(6), "what was there before goes on");
    let bad = run(["server", "--listen", "127.0.0.1:0", "--address-list", list.to_str().unwrap()]);
    assert!(bad.code == Some(2) && bad.stderr.contains("line 1"), "{}", bad.stderr);
}

/// Threats I13 and I14: a peer's records are its connection's, and name where that comes from.
#[test]
fn i13_i14_nobody_registers_evicts_or_replaces_what_another_peer_has() {
    let index = Index::start();
    let owner = Ipv4Addr::new(127, 0, 0, 7);
    let mut mine = index.raw_from(owner);
    mine.exchange(spec::add(1, "Mine", "127.0.0.7", 5001), spec::ok(&["RFC 1 Mine 127.0.0.7 5001"]));
    let file = "{\"name\":\"x\",\"size\":1,\"modified\":1}\n";
    let add = |name: &str| {
        format!(
            "ADD FILES P2P-CI/1.1\r\nHost: 127.0.0.7\r\nPort: 5001\r\nContent-Length: {}\r\n\r\n{}",
            file.len() + name.len() - 1,
            file.replace("\"x\"", &format!("\"{name}\""))
        )
    };
    assert!(mine.ask(add("mine")).contains("\"taken\":1"));
    let seen = |asker: &mut Raw, request: &str| asker.ask(request);
    let before = seen(&mut index.raw(), &spec::lookup(1));
    // The same host, port and number from elsewhere: a record beside the first, and it goes with its own connection.
    let mut attacker = index.raw_from(Ipv4Addr::new(127, 0, 0, 66));
    attacker.ask(spec::add(1, "Theirs", "127.0.0.7", 5001));
    attacker.ask(add("mine"));
    let removed = "{\"name\":\"mine\"}\n";
    let remove = format!("REMOVE FILES P2P-CI/1.1\r\nContent-Length: {}\r\n\r\n{removed}", removed.len());
    attacker.ask(remove.clone());
    let again = attacker.ask(remove);
    assert!(again.contains("has not added it"), "{again}");
    drop(attacker);
    wait_for(PATIENCE, "the attacker's records to go", || {
        (seen(&mut index.raw(), &spec::lookup(1)) == before).then_some(())
    });
    let listed = index.raw().ask("LOOKUP FILE mine P2P-CI/1.1\r\n\r\n");
    assert!(listed.contains("\"host\":\"127.0.0.7\",\"port\":5001"), "{listed}");
}

#[test]
fn i13_who_claims_a_third_partys_address_is_shown_under_its_own() {
    let test = "i13_who_claims_a_third_partys_address_is_shown_under_its_own";
    let Some(namespace) = Namespace::with(test, &["10.0.0.1/24", "10.0.0.66/24", "10.0.0.99/24"]) else {
        return;
    };
    let index = Index::from_command(p2pci_behind(&namespace.before(), Index::args("10.0.0.1:0", &[])));
    let address = SocketAddr::from(([10, 0, 0, 1], index.port()));
    let victim = namespace.enter(|| TcpListener::bind("10.0.0.99:0").unwrap());
    let port = victim.local_addr().unwrap().port();
    namespace.enter(|| {
        let mut attacker = Raw::connect_from([10, 0, 0, 66].into(), address);
        attacker.ask(spec::add(1, "T", "10.0.0.99", port));
        let seen = Raw::connect_from([10, 0, 0, 1].into(), address).ask(spec::lookup(1));
        assert!(seen.contains(&format!("RFC 1 T 10.0.0.66 {port}")), "{seen}");
    });
    victim.set_nonblocking(true).unwrap();
    assert!(victim.accept().is_err(), "nobody knocks at the third party's door");
}
