//! Our client against foreign programs: indexes and peers of every dialect, each doing what was measured.

use std::collections::BTreeMap;
use std::fs;

use crate::foreign::index::{self, Entry, ForeignIndex};
use crate::foreign::uploader::{self, ForeignUploader};
use crate::foreign::{Crlf, Dialect};
use crate::places::{empty_folder, folder, names_in, rfc};
use crate::world::{Client, PATIENCE, Sharer, run, run_in};

/// A text that is hard on a reader: it begins with empty lines, has both line ends, and is not UTF-8.
fn hard_text() -> Vec<u8> {
    let mut text = b"\n\r\n\nDate: no header, text\r\n\r\n".to_vec();
    for line in 0..400_u32 {
        text.extend_from_slice(format!("line {line} \u{e9}").as_bytes());
        text.extend_from_slice(if line % 2 == 0 { b"\r\n" } else { b"\xff\n" });
    }
    text
}

/// What our programs do with a foreign index that knows a foreign peer.
struct Meeting {
    index: ForeignIndex,
    uploader: ForeignUploader,
    text: Vec<u8>,
}

impl Meeting {
    fn new(index: impl Into<index::Manner>, uploader: impl Into<uploader::Manner>) -> Self {
        let text = hard_text();
        let uploader = ForeignUploader::start(uploader, BTreeMap::from([(7, text.clone())]));
        let known = Entry::new(7, "A Foreign Text", "127.0.0.1", uploader.port());
        Self { index: ForeignIndex::start(index, vec![known]), uploader, text }
    }

    /// ADD by `share`; then LOOKUP, LIST and GET by the commands for scripts.
    fn commands(&self) {
        let dir = folder(&[(1, rfc(1, "Host Software")), (2, rfc(2, "Host Software"))]);
        let server = self.index.address();
        let sharer = Sharer::start(dir.path(), &server);
        assert_eq!(sharer.registered()["files"], 2, "{}", sharer.registered());
        assert_eq!(sharer.registered()["refused"], 0);
        let port = sharer.port();
        let added: Vec<_> = self.index.entries().into_iter().skip(1).collect();
        for (number, entry) in (1..=2).zip(&added) {
            let expected = Entry::new(number, "Host Software", "127.0.0.1", port);
            assert_eq!(Entry { connection: 0, ..entry.clone() }, expected);
        }
        assert_eq!(added.len(), 2, "{added:?}");
        // Each command finds out anew what the index speaks, which takes its time with some; together they take as long as one.
        std::thread::scope(|scope| {
            scope.spawn(|| self.queries(port));
            scope.spawn(|| self.fetches(7, &self.text));
            scope.spawn(|| self.fetches(1, rfc(1, "Host Software").as_bytes()));
        });
    }

    /// LOOKUP and LIST; `port` is that of the sharer.
    fn queries(&self, port: u16) {
        let server = self.index.address();
        let ask = |args: &[&str]| run([args, &["--server", &server]].concat());
        let [lookup, list, nothing] = std::thread::scope(|scope| {
            let ask = &ask;
            let asking = [&["lookup", "7"][..], &["list"], &["lookup", "99"]];
            let asking = asking.map(|args| scope.spawn(move || ask(args)));
            asking.map(|asked| asked.join().unwrap())
        });
        let foreign = format!("RFC 7 A Foreign Text 127.0.0.1 {}\n", self.uploader.port());
        let ours = |number: u32| format!("RFC {number} Host Software 127.0.0.1 {port}\n");
        let found = format!("RFC 7  A Foreign Text  no hash (P2P-CI/1.0)\n    {}\n", self.uploader.address());
        assert_eq!((lookup.code, lookup.text()), (Some(0), found), "{}", lookup.stderr);
        let listed = [foreign, ours(1), ours(2)].concat();
        assert_eq!((list.code, list.text()), (Some(0), listed), "{}", list.stderr);
        assert_eq!((nothing.code, nothing.text()), (Some(3), String::new()), "{}", nothing.stderr);
    }

    /// GET of a text.
    fn fetches(&self, number: u32, expected: &[u8]) {
        let here = empty_folder();
        let got = run_in(here.path(), ["get", &number.to_string(), "--server", &self.index.address()]);
        assert_eq!(got.code, Some(0), "RFC {number}: {}", got.stderr);
        let name = format!("rfc{number}.txt");
        assert!(fs::read(here.path().join(&name)).unwrap() == expected, "{name} is not the same");
        assert_eq!(names_in(here.path()), [name]);
    }

    /// The five choices of the menu.
    fn menu(&self) {
        let dir = folder(&[(1, rfc(1, "Host Software"))]);
        let mut client = Client::with(dir.path(), &self.index.address(), &["--no-announce"]);
        let request = "Enter your request: ";
        client.answer(request, "1");
        client.answer("Enter the RFC number: ", "1");
        client.answer("Enter the RFC title: ", "My Title");
        client.answer(request, "2");
        assert_eq!(self.index.entries().last().unwrap().title, "My Title");
        client.answer("Enter the RFC number: ", "1");
        client.answer("Enter the RFC title(optional): ", "");
        let looked_up = client.answer(request, "3");
        assert!(looked_up.contains("RFC 1 My Title 127.0.0.1 "), "{looked_up:?}");
        let listed = client.answer(request, "4");
        assert!(listed.contains("RFC 7 A Foreign Text 127.0.0.1 "), "{listed:?}");
        assert!(listed.contains("RFC 1 My Title 127.0.0.1 "), "{listed:?}");
        client.answer("Enter the RFC number: ", "7");
        client.answer("Choose one peer to download: ", "1");
        let downloaded = client.answer(request, "5");
        assert_eq!(client.ends(PATIENCE).0, Some(0));
        assert!(fs::read(dir.path().join("rfc7.txt")).unwrap() == self.text, "{downloaded}");
        let adds = self.index.requests().iter().filter(|request| request.starts_with("ADD RFC 7 ")).count();
        assert_eq!(adds, 1, "what was downloaded is added");
    }

    /// Each request came alone, whole and in one piece that one read of 1024 bytes takes; no ADD had an empty title.
    fn requests_are_readable(&self) {
        let requests = [self.index.requests_in_v10(), self.uploader.requests()].concat();
        assert!(!requests.is_empty());
        for request in requests {
            assert!(request.len() <= 1024, "{request:?}");
            assert!(request.ends_with("\r\n\r\n") || request.ends_with("\n\n"), "not whole: {request:?}");
            assert_eq!(request.matches(" P2P-CI/1.0").count(), 1, "not alone: {request:?}");
            assert!(!request.starts_with("ADD") || !request.contains("Title: \r"), "{request:?}");
            assert!(!request.starts_with("ADD") || request.contains("\nPort: "), "{request:?}");
        }
    }
}

fn whole_round(dialect: Dialect) {
    let meeting = Meeting::new(dialect, dialect);
    meeting.commands();
    meeting.menu();
    meeting.requests_are_readable();
}

#[test]
fn our_client_works_with_programs_of_the_specification() {
    whole_round(Dialect::Spec);
}

#[test]
fn our_client_works_with_the_original() {
    whole_round(Dialect::Original);
}

#[test]
fn our_client_works_with_lf_blank() {
    whole_round(Dialect::LfBlank);
}

#[test]
fn our_client_works_with_crlf_plain() {
    whole_round(Dialect::CrlfPlain);
}

#[test]
fn our_client_works_with_unterminated() {
    whole_round(Dialect::Unterminated);
}

#[test]
fn our_client_works_with_padded() {
    whole_round(Dialect::Padded);
}

#[test]
fn our_client_works_with_tight() {
    whole_round(Dialect::Tight);
}

fn after_crlf_failed(crlf: Crlf) {
    let dialect = Dialect::LfBlank;
    let index = index::Manner { crlf, ..dialect.into() };
    let meeting = Meeting::new(index, uploader::Manner { crlf, ..dialect.into() });
    meeting.commands();
    meeting.requests_are_readable();
    let understood = |request: &String| request.starts_with("ADD") && !request.contains('\r');
    assert_eq!(meeting.index.requests_in_v10().iter().filter(|request| understood(request)).count(), 2);
}

#[test]
fn after_a_505_to_crlf_our_client_speaks_lf() {
    after_crlf_failed(Crlf::Refused);
}

#[test]
fn after_silence_to_crlf_our_client_speaks_lf() {
    after_crlf_failed(Crlf::Ignored);
}

#[test]
fn an_add_answer_without_a_record_is_a_success() {
    for dialect in [Dialect::Original, Dialect::Spec] {
        let index = index::Manner { echoes_add: false, ..dialect.into() };
        let meeting = Meeting::new(index, dialect);
        meeting.commands();
        meeting.requests_are_readable();
    }
}

#[test]
fn a_200_without_a_record_means_not_found() {
    for dialect in [Dialect::Spec, Dialect::LfBlank, Dialect::Original] {
        let manner = index::Manner { says_200_to_nothing: true, ..dialect.into() };
        let index = ForeignIndex::start(manner, Vec::new());
        let server = index.address();
        let finds_nothing = |args: &[&str]| {
            let nothing = run([args, &["--server", &server]].concat());
            assert_eq!((nothing.code, nothing.text()), (Some(3), String::new()), "{dialect:?} {args:?}");
        };
        std::thread::scope(|scope| {
            let finds_nothing = &finds_nothing;
            for args in [&["lookup", "1"][..], &["get", "1"], &["list"]] {
                scope.spawn(move || finds_nothing(args));
            }
        });
    }
}

#[test]
fn a_peer_that_never_closes_does_not_hold_a_download() {
    for dialect in [Dialect::Spec, Dialect::Original, Dialect::LfBlank, Dialect::CrlfPlain] {
        let text = hard_text();
        // A text that begins with an empty line after a head without a separator is told apart only by the connection's end.
        let text = if dialect == Dialect::Spec { text } else { text[4..].to_vec() };
        let manner = uploader::Manner { never_closes: true, ..dialect.into() };
        let uploader = ForeignUploader::start(manner, BTreeMap::from([(7, text.clone())]));
        let here = empty_folder();
        let got = run_in(here.path(), ["get", "7", "--from", &uploader.address()]);
        assert_eq!(got.code, Some(0), "{dialect:?}: {}", got.stderr);
        assert!(fs::read(here.path().join("rfc7.txt")).unwrap() == text, "{dialect:?}");
    }
}

#[test]
fn a_foreign_peer_without_the_file_is_not_found() {
    for dialect in [Dialect::Spec, Dialect::Original, Dialect::Unterminated] {
        let uploader = ForeignUploader::start(dialect, BTreeMap::new());
        let here = empty_folder();
        let got = run_in(here.path(), ["get", "7", "--from", &uploader.address()]);
        assert_eq!(got.code, Some(3), "{dialect:?}: {}", got.stderr);
        assert_eq!(names_in(here.path()), [""; 0]);
    }
}
