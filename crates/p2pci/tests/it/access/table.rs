//! Who may see and get what, in one table: a program of 1.0, a stranger, holders of tokens and somebody with a ticket that a member gave
//! away, in TLS and in plain text.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{Tokens, ask, with_token};
use crate::places::{empty_folder, hash_of, tree};
use crate::world::{Index, PATIENCE, Raw, Sharer, p2pci, run_command, spec, wait_for};

/// A row: who, and of the file for all and of the team's file whether it is seen at the index and had from its peer.
const TABLE: [(&str, [bool; 4]); 6] = [
    //                  seen for all, had for all, seen of the team, had of the team
    ("a program of 1.0", [true, true, false, false]),
    ("a stranger", [true, true, false, false]),
    ("a reader", [true, true, false, false]),
    ("of another group", [true, true, false, false]),
    ("a member", [true, true, true, true]),
    ("a ticket's holder", [true, true, false, true]),
];

const OPEN: &str = "for all";
const SECRET: &str = "of the team";

/// An answer of an upload port to curl.
fn had(secure: bool, port: u16, path: &str, ticket: Option<&str>) -> bool {
    let mut curl = Command::new("curl");
    let scheme = if secure { "https" } else { "http" };
    curl.args(["--silent", "--insecure", &format!("{scheme}://127.0.0.1:{port}{path}")]);
    if let Some(ticket) = ticket {
        curl.args(["--header", &format!("Authorization: Ticket {ticket}")]);
    }
    let text = run_command(curl).text();
    assert!(text == OPEN || text == SECRET || !text.contains(SECRET), "{text}");
    text == OPEN || text == SECRET
}

/// An index with tokens and two peers, one of whose files is the team's.
struct World {
    index: Index,
    /// The index in TLS.
    secure: String,
    for_all: Sharer,
    of_team: Sharer,
    /// That of a member.
    ticket: String,
    /// Tokens: of a member, of somebody without a group, and of somebody of another group.
    member: String,
    reader: String,
    other: String,
    _folders: [TempDir; 3],
}

impl World {
    fn new() -> Self {
        let (tokens, key_folder) = (Tokens::new(), empty_folder());
        let keys = key_folder.path().to_str().unwrap();
        let publisher = tokens.new_token("add", &[]);
        let member = tokens.new_token("list,get", &["--group", "team"]);
        let reader = tokens.new_token("list,get", &[]);
        let other = tokens.new_token("list,get", &["--group", "ops"]);
        let index = tokens.index(&["--tls", "--tls-dir", keys, "--anyone-can", "list,get"]);
        let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
        let secure = format!("tls://{}#{}", index.address(), listening["fingerprint"].as_str().unwrap());
        let share = |name: &str, file: &str, text: &str, more: &[&str]| {
            let (outer, root) = tree(name, &[(file, text)]);
            let flags = [&["--tls", "--tls-dir", keys], more].concat();
            let command = p2pci(Sharer::args(&root, &secure, &flags));
            (outer, Sharer::from_command(with_token(&publisher, command)))
        };
        let (open, for_all) = share("open", "rfc1.txt", OPEN, &[]);
        let (team, of_team) = share("team", "rfc2.txt", SECRET, &["--private", "team"]);
        let ticket = wait_for(PATIENCE, "the team's file to be hashed", || {
            let found = ask(Some(&member), &["lookup", "team/rfc2.txt", "--json"], &secure).objects();
            let found = found.first().filter(|found| found["hash"].is_string())?;
            found["sources"][0]["ticket"].as_str().map(str::to_owned)
        });
        let folders = [open, team, key_folder];
        Self { index, secure, for_all, of_team, ticket, member, reader, other, _folders: folders }
    }

    fn seen(&self, token: Option<&str>, name: &str, server: &str) -> bool {
        ask(token, &["lookup", name], server).code == Some(0)
    }

    /// Whether `get` gets it.
    fn got(&self, token: Option<&str>, name: &str, text: &str, server: &str) -> bool {
        let here = empty_folder();
        let mut get = p2pci(["get", name, "--no-upload", "--server", server]);
        get.current_dir(here.path());
        let code = run_command(match token {
            Some(token) => with_token(token, get),
            None => get,
        })
        .code;
        let file = fs::read_to_string(here.path().join(name.rsplit('/').next().unwrap()));
        assert_eq!(code == Some(0), file.as_deref().ok() == Some(text), "{name}: {code:?}");
        code == Some(0)
    }

    /// Whether the team's file is had by hand.
    fn had_by_hand(&self, in_tls: bool, ticket: Option<&str>) -> bool {
        had(in_tls, self.of_team.port(), &format!("/hash/{}", hash_of(SECRET)), ticket)
    }

    fn of_1_0(&self) -> [bool; 4] {
        let ask = |mut raw: Raw, request: String| raw.ask(request).starts_with("P2P-CI/1.0 200 OK");
        [
            ask(self.index.raw(), spec::lookup(1)),
            ask(self.for_all.raw(), spec::get(1)),
            ask(self.index.raw(), spec::lookup(2)),
            ask(self.of_team.raw(), spec::get(2)),
        ]
    }

    fn of_a_tickets_holder(&self, server: &str) -> [bool; 4] {
        let in_tls = server == self.secure;
        [
            self.seen(None, "open/rfc1.txt", server),
            had(in_tls, self.for_all.port(), "/rfc/1", None),
            self.seen(None, "team/rfc2.txt", server),
            self.had_by_hand(in_tls, Some(&self.ticket)),
        ]
    }

    fn of_a_tokens_holder(&self, token: Option<&str>, server: &str) -> [bool; 4] {
        // With no ticket nobody gets it by hand, a member neither.
        assert!(!self.had_by_hand(server == self.secure, None));
        [
            self.seen(token, "open/rfc1.txt", server),
            self.got(token, "open/rfc1.txt", OPEN, server),
            self.seen(token, "team/rfc2.txt", server),
            self.got(token, "team/rfc2.txt", SECRET, server),
        ]
    }
}

#[test]
fn who_sees_and_gets_what_is_told_apart_in_tls_and_in_plain_text() {
    let world = World::new();
    for (who, expected) in TABLE {
        for server in [&world.secure, &world.index.address()] {
            let is = match who {
                // It speaks plain text only, wherever it is sent.
                "a program of 1.0" => world.of_1_0(),
                "a ticket's holder" => world.of_a_tickets_holder(server),
                "a stranger" => world.of_a_tokens_holder(None, server),
                "a reader" => world.of_a_tokens_holder(Some(&world.reader), server),
                "of another group" => world.of_a_tokens_holder(Some(&world.other), server),
                "a member" => world.of_a_tokens_holder(Some(&world.member), server),
                who => panic!("{who}"),
            };
            assert_eq!(is, expected, "{who}, {server}");
        }
    }
    // A ticket opens its content as often as it is shown, for as long as it is good, and nothing else of that peer.
    for path in ["/rfc/2", "/file/team/rfc2.txt", "/"] {
        assert!(!had(true, world.of_team.port(), path, Some(&world.ticket)), "{path}");
    }
    assert!(world.had_by_hand(true, Some(&world.ticket)));
}
