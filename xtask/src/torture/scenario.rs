//! The commands that are tortured, what must be true of the disk afterwards, and that the next run finds nothing in its way.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::injected::{Blow, Injected, Outcome, Point, calls};
use super::world::{LARGE, OLD_NUMBER, World, bytes, port_after};

/// A command and what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// A large file, from nothing.
    Get,
    /// The same, over a file of another content.
    Replace,
    /// The same, of which a part is there already.
    Resume,
    /// A folder of small files.
    Folder,
    /// The same with few of them.
    Few,
    /// A text from a peer of 1.0.
    Old,
    /// A peer that shares a folder.
    Share,
    /// The index.
    Server,
}

/// With their names on the command line.
pub(super) const ALL: [(&str, Scenario); 8] = [
    ("get", Scenario::Get),
    ("replace", Scenario::Replace),
    ("resume", Scenario::Resume),
    ("folder", Scenario::Folder),
    ("few", Scenario::Few),
    ("old", Scenario::Old),
    ("share", Scenario::Share),
    ("server", Scenario::Server),
];

/// What was there before under the name of the large file.
const BEFORE: &[u8] = b"what was here before";
/// The longest wait for an answer on loopback.
const ANSWER: Duration = Duration::from_secs(20);

impl Scenario {
    /// Whether the command ends by itself.
    fn is_download(self) -> bool {
        !matches!(self, Self::Share | Self::Server)
    }

    /// The line that tells that it is ready, for those that go on.
    fn ready(self) -> &'static str {
        if self == Self::Share { "Registered" } else { "Ctrl+C stops it" }
    }

    pub(super) fn command(self, world: &World, desk: &Path) -> Command {
        let index = world.index.to_string();
        let old = OLD_NUMBER.to_string();
        let words: &[&str] = match self {
            Self::Get | Self::Resume => &["get", LARGE, "--server", &index],
            Self::Replace => &["get", LARGE, "--force", "--server", &index],
            Self::Folder => &["get", "-r", "small", "--server", &index],
            Self::Few => &["get", "-r", "few", "--server", &index],
            Self::Old => &["get", &old, "-o", "old.txt", "--server", &index],
            Self::Share => {
                &["share", "mine", "--state-dir", "state", "--upload-listen", "127.0.0.1", "--server", &index]
            }
            Self::Server => &["server", "--listen", "127.0.0.1:0"],
        };
        world.p2pci(words, desk)
    }

    /// Puts there what the command is to find.
    pub(super) fn prepare(self, world: &World, desk: &Path) -> anyhow::Result<()> {
        match self {
            Self::Replace => fs::write(desk.join(LARGE), BEFORE)?,
            Self::Resume => leave_a_part(world, desk)?,
            Self::Share => {
                fs::create_dir(desk.join("mine"))?;
                fs::write(desk.join("mine/file.bin"), own_bytes())?;
            }
            Self::Get | Self::Folder | Self::Few | Self::Old | Self::Server => {}
        }
        Ok(())
    }

    /// The calls that the command makes when nothing fails.
    pub(super) fn calls(self, world: &World) -> anyhow::Result<Vec<String>> {
        let (desk, log) = (world.desk()?, world.desk()?);
        self.prepare(world, desk.path())?;
        let command = self.command(world, desk.path());
        let done = |said: &str| !self.is_download() && said.contains(self.ready());
        let (calls, outcome) = calls(&command, log.path(), done)?;
        ensure!(outcome.status.success(), "{self:?} fails without a fault: {}", outcome.said);
        Ok(calls.into_iter().collect())
    }

    /// One run: whether the command came to that call, or what was wrong then.
    pub(super) fn run(self, world: &World, point: Point<'_>) -> anyhow::Result<bool> {
        let (desk, log) = (world.desk()?, world.desk()?);
        self.prepare(world, desk.path())?;
        let command = self.command(world, desk.path());
        let mut injected = Injected::start(&command, point, log.path())?;
        if !self.is_download() {
            self.use_it(&mut injected)?;
            injected.terminate();
        }
        let outcome = injected.outcome()?;
        if let Some(fault) = outcome.fault(point.blow) {
            bail!(fault);
        }
        self.look(world, desk.path(), &outcome).with_context(|| format!("it said: {}", outcome.said))?;
        if outcome.reached && self != Self::Server {
            self.again(world, desk.path(), self.command(world, desk.path()))?;
        }
        Ok(outcome.reached)
    }

    /// Waits until it is ready, or has ended, and asks it for something; what it says must be right, but it may be nothing.
    fn use_it(self, injected: &mut Injected) -> anyhow::Result<()> {
        ensure!(injected.wait_until(|said| said.contains(self.ready()))?, "it hangs: {}", injected.said());
        if injected.ended()? || injected.is_implausible() {
            return Ok(());
        }
        let said = injected.said();
        match self {
            Self::Share => {
                let port = port_after(&said, "on port ").context("it names no port")?;
                let body = ask(
                    port,
                    "GET /file/mine/file.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                    own_bytes().len(),
                );
                let own = own_bytes();
                ensure!(body.is_empty() || !is_wrong(&body, &own), "it serves what it does not share");
            }
            _ => {
                let port = port_after(&said, "listening on port ").context("it names no port")?;
                let answer = ask(port, "LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n", 0);
                let is_one = answer.is_empty() || answer.starts_with(b"P2P-CI/1.0 404 ");
                ensure!(is_one, "it answers {:?}", String::from_utf8_lossy(&answer));
            }
        }
        Ok(())
    }

    /// Looks at the folder alone: a file under its final name is whole, or what it was before.
    fn look(self, world: &World, desk: &Path, outcome: &Outcome) -> anyhow::Result<()> {
        let (whole, all) = self.whole(world, desk)?;
        if outcome.status.success() {
            ensure!(whole == all, "it says that it is done, and {whole} files of {all} are there");
        }
        Ok(())
    }

    /// How many of how many files are there; none of them is wrong.
    pub(super) fn whole(self, world: &World, desk: &Path) -> anyhow::Result<(usize, usize)> {
        let mut whole = 0;
        let expected = self.expected(world);
        for (path, content) in &expected {
            match fs::read(desk.join(path)) {
                Ok(found) if found == *content => whole += 1,
                Ok(found) if self == Self::Replace && found == BEFORE => {}
                Ok(found) => bail!("{} has {} wrong bytes", path.display(), found.len()),
                Err(_) if self == Self::Replace || !self.is_download() => {
                    bail!("{} is gone", path.display())
                }
                Err(_) => {}
            }
        }
        Ok((whole, expected.len()))
    }

    pub(super) fn expected(self, world: &World) -> Vec<(PathBuf, Vec<u8>)> {
        let of = |prefix: &str| {
            let named = world.shared.iter().filter(move |(name, _)| name.starts_with(prefix));
            named.map(|(name, content)| (PathBuf::from(name), content.clone())).collect()
        };
        match self {
            Self::Get | Self::Replace | Self::Resume => of(LARGE),
            Self::Folder => of("small/"),
            Self::Few => of("few/"),
            Self::Old => vec![("old.txt".into(), world.old.clone())],
            Self::Share => vec![("mine/file.bin".into(), own_bytes())],
            Self::Server => Vec::new(),
        }
    }

    /// The same command once more, in which nothing fails: it does its work, whatever the one before has left.
    pub(super) fn again(self, world: &World, desk: &Path, mut command: Command) -> anyhow::Result<()> {
        if self == Self::Share {
            let log = world.desk()?;
            let ready = |said: &str| said.contains(self.ready());
            let (_, outcome) = calls(&command, log.path(), ready)?;
            ensure!(outcome.status.success(), "the next run fails: {}", outcome.said);
            return self.look(world, desk, &outcome);
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the next run fails: {said}");
        self.look(world, desk, &Outcome { reached: false, status: output.status, said, implausible: false })?;
        let strays = strays(desk)?;
        ensure!(strays.is_empty(), "the next run leaves {strays:?}");
        Ok(())
    }
}

fn own_bytes() -> Vec<u8> {
    bytes(30_000, 2)
}

/// Kills a download when two blocks are there.
fn leave_a_part(world: &World, desk: &Path) -> anyhow::Result<()> {
    let log = world.desk()?;
    let command = Scenario::Get.command(world, desk);
    let point = Point { call: "fsync", blow: Blow::Kill, nth: 1 };
    let outcome = Injected::start(&command, point, log.path())?.outcome()?;
    ensure!(outcome.reached && !strays(desk)?.is_empty(), "no part was left: {}", outcome.said);
    Ok(())
}

/// Files of a download that are under no final name.
fn strays(desk: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(desk)? {
        let path = entry?.path();
        if path.to_string_lossy().contains(".p2pci-part") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What comes to a request, without the head where `body` says how long the body is; nothing where the connection fails, which a
/// fault in the one who answers may cause.
fn ask(port: u16, request: &str, body: usize) -> Vec<u8> {
    let talk = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(request.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    };
    let answer: Vec<u8> = talk().unwrap_or_else(|_: std::io::Error| Vec::new());
    if body == 0 || !answer.starts_with(b"HTTP/1.1 200") {
        return if body == 0 { answer } else { Vec::new() };
    }
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    answer.get(head..).unwrap_or_default().to_vec()
}

/// Whether these bytes are not how the content begins.
fn is_wrong(body: &[u8], content: &[u8]) -> bool {
    !content.starts_with(body)
}
