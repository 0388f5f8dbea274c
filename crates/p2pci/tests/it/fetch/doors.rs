//! Threat D7 on the real program: an index in public names sources that are at home. In its namespace every address there is leads to
//! one listener, so whatever is called at is heard.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::places::{empty_folder, hash_of, names_in};
use crate::world::v11::{add_files, file, with};
use crate::world::{Index, Namespace, PATIENCE, Raw, ip, p2pci_behind, run_command, wait_for};

/// The same spellings that the crate for sockets is tested with.
const SPELLINGS: &str = include_str!("../../../../net/src/connect/spellings.txt");
/// The index's address, and another one in public.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 10);

/// Listens on one port of every address, and remembers which ones were called at.
struct Sink {
    port: u16,
    called: Arc<Mutex<BTreeSet<IpAddr>>>,
    over: Arc<AtomicBool>,
}

impl Sink {
    fn new(namespace: &Namespace) -> Self {
        let (called, over) = (Arc::<Mutex<BTreeSet<IpAddr>>>::default(), Arc::<AtomicBool>::default());
        // One for both families, so that IPv4 comes as a mapped address.
        let listener = namespace.enter(|| TcpListener::bind("[::]:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let (heard, end) = (Arc::clone(&called), Arc::clone(&over));
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                heard.lock().unwrap().insert(socket.local_addr().unwrap().ip().to_canonical());
            }
        });
        Self { port, called, over }
    }

    fn called(&self) -> BTreeSet<IpAddr> {
        self.called.lock().unwrap().clone()
    }

    /// Ends the thread: one last call, which is not heard.
    fn end(&self, namespace: &Namespace) {
        self.over.store(true, Ordering::Relaxed);
        namespace.enter(|| drop(std::net::TcpStream::connect(("127.0.0.1", self.port))));
    }
}

/// A place where every address is this machine's own.
fn everywhere(test: &str) -> Option<Namespace> {
    let namespace = Namespace::with(test, &["9.9.9.9/32"])?;
    for family in ["-4", "-6"] {
        let all = if family == "-4" { "0.0.0.0/0" } else { "::/0" };
        ip(&["-n", namespace.name(), family, "route", "add", "local", all, "dev", "lo"]).unwrap();
    }
    Some(namespace)
}

/// An index in public that shows hosts as they are claimed, and what was added to it from there.
struct Malicious<'a> {
    namespace: &'a Namespace,
    index: Index,
    sessions: Vec<Raw>,
}

impl<'a> Malicious<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let args = Index::args("9.9.9.9:0", &["--record-host", "claimed", "--public", "--quiet"]);
        let index = Index::from_command(p2pci_behind(&namespace.before(), args));
        Self { namespace, index, sessions: Vec::new() }
    }

    fn server(&self) -> String {
        format!("{PUBLIC}:{}", self.index.port())
    }

    /// Whether the index takes this as the host of a file's source.
    fn names(&mut self, name: &str, host: &str, port: u16) -> bool {
        let address = SocketAddr::from((PUBLIC, self.index.port()));
        // A content of its own, or one file's sources would be another's.
        let request = add_files(host, port, &[with(file(name, 16), json!({"hash": hash_of(name)}))]);
        let (raw, told) = self.namespace.enter(|| {
            let mut raw = Raw::connect_from(PUBLIC.into(), address);
            let told = raw.ask(request);
            (raw, told)
        });
        self.sessions.push(raw);
        told.contains("\"taken\":1")
    }

    /// What `get` says, and that it leaves nothing behind.
    fn get(&self, files: &[String], flags: &[&str]) -> String {
        let here = empty_folder();
        let server = self.server();
        let files = files.iter().map(String::as_str);
        let args: Vec<&str> = ["get", "--no-upload", "--server", &server]
            .into_iter()
            .chain(files)
            .chain(flags.to_vec())
            .collect();
        let mut command = p2pci_behind(&self.namespace.before(), args);
        command.current_dir(here.path());
        let got = run_command(command);
        assert_eq!(got.code, Some(1), "{}", got.stderr);
        assert_eq!(names_in(here.path()), [""; 0]);
        got.stderr
    }
}

#[test]
fn d7_no_spelling_of_an_address_has_get_call_at_home_because_an_index_in_public_says_so() {
    let test = "d7_no_spelling_of_an_address_has_get_call_at_home_because_an_index_in_public_says_so";
    let Some(namespace) = everywhere(test) else { return };
    let sink = Sink::new(&namespace);
    let mut index = Malicious::new(&namespace);
    let hosts = SPELLINGS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut files = Vec::new();
    for (at, host) in hosts.enumerate() {
        let name = format!("f{at}");
        if index.names(&name, host, sink.port) {
            files.push(name);
        }
    }
    assert!(files.len() >= 60, "{} were taken", files.len());
    let said = index.get(&files, &[]);
    assert_eq!(sink.called(), BTreeSet::new(), "{said}");
    assert!(said.contains("--allow-net"), "{said}");
    // The sink does hear, also beneath the listener for all: of a source in public, and of one that the user allows.
    assert!(index.names("public", &ELSEWHERE.to_string(), sink.port));
    assert!(index.names("allowed", "10.1.2.3", sink.port));
    index.get(&["public".to_owned()], &[]);
    index.get(&["allowed".to_owned()], &["--allow-net", "10.0.0.0/8"]);
    assert_eq!(sink.called(), BTreeSet::from([ELSEWHERE.into(), Ipv4Addr::new(10, 1, 2, 3).into()]));
    sink.end(&namespace);
}

/// A name server that says something else each time: an address in public, then the machine itself twice, and so on.
struct Flipping {
    /// Look-ups of the name's IPv4 address.
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Flipping {
    fn new(namespace: &Namespace) -> Self {
        // `ip netns exec` puts this over the system's own.
        let folder = PathBuf::from("/etc/netns").join(namespace.name());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
            .unwrap();
        let socket = namespace.enter(|| UdpSocket::bind("127.0.0.53:53").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (asked, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&asked), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
                let _ = socket.send_to(&answer(&query[..length], &count), from);
            }
        });
        Self { asked, over, folder }
    }
}

impl Drop for Flipping {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // What is left there harms nobody: no other namespace is called so.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The answer to a query of one question: an A record each time another, of any other type none.
fn answer(query: &[u8], count: &AtomicUsize) -> Vec<u8> {
    let name = query[12..].iter().position(|byte| *byte == 0).expect("a name's end");
    let question = &query[12..12 + name + 5];
    let is_a = question[name + 1..name + 3] == [0, 1];
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], question].concat();
    if is_a {
        // Of three, so that whoever asks twice in a row hears both, whichever comes first.
        let is_public = count.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        let address = if is_public { ELSEWHERE } else { Ipv4Addr::LOCALHOST };
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

#[test]
fn d7_a_name_that_means_something_else_the_second_time_leads_nowhere() {
    let test = "d7_a_name_that_means_something_else_the_second_time_leads_nowhere";
    let Some(namespace) = everywhere(test) else { return };
    let (sink, resolver) = (Sink::new(&namespace), Flipping::new(&namespace));
    let mut index = Malicious::new(&namespace);
    assert!(index.names("f", "flips.example.com", sink.port));
    // Where it is in public that address is called at. Whoever looked it up once to judge and once more to connect would be at home.
    let (mut refused, mut runs) = (0, 0);
    wait_for(PATIENCE, "both meanings to be tried", || {
        let said = index.get(&["f".to_owned()], &[]);
        runs += 1;
        refused += usize::from(said.contains("127.0.0.1") && said.contains("--allow-net"));
        (refused >= 2 && sink.called().contains(&ELSEWHERE.into())).then_some(())
    });
    assert_eq!(sink.called(), BTreeSet::from([ELSEWHERE.into()]));
    assert!(resolver.asked.load(Ordering::Relaxed) >= runs, "it is looked up each time");
    sink.end(&namespace);
}
