//! What a tortured command finds: an index, a peer that shares, a peer of 1.0, and what these have.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The longest wait for a program that is to be ready.
const READY: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// A program that runs beside. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The name, and the content, of the large file; three blocks and a half.
pub(super) const LARGE: &str = "large.bin";
const LARGE_BYTES: usize = 7 << 19;
/// So many that they are made durable together.
const SMALL_FILES: usize = 12;
/// So few that each is made durable by itself, and the folders too.
const FEW_FILES: usize = 3;
const SMALL_BYTES: usize = 9_000;
/// The number of the text that the peer of 1.0 has.
pub(super) const OLD_NUMBER: u32 = 77;

/// Everything that runs for one torture, in one folder that goes with it.
#[derive(Debug)]
pub(super) struct World {
    program: PathBuf,
    pub(super) index: SocketAddr,
    /// Under their names, everything that is shared.
    pub(super) shared: Vec<(String, Vec<u8>)>,
    /// The text of 1.0.
    pub(super) old: Vec<u8>,
    _sharing: Beside,
    _serving: Beside,
    /// Its record lives as long as this.
    _old_peer: TcpStream,
    folder: tempfile::TempDir,
}

impl World {
    pub(super) fn start(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let shared = files();
        let at = folder.path().join("shared");
        for (name, content) in &shared {
            let path = at.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&at))?;
            fs::write(path, content)?;
        }
        let mut server = quiet(&program, folder.path());
        server.args(["server", "--listen", "127.0.0.1:0"]);
        let (serving, said) = beside(server, &folder.path().join("server"), "listening on port")?;
        let port = port_after(&said, "listening on port ").context("the index names no port")?;
        let index = SocketAddr::from(([127, 0, 0, 1], port));
        let mut share = quiet(&program, folder.path());
        share.args(["share", "--as", "/", "--upload-listen", "127.0.0.1", "--server", &index.to_string()]);
        share.arg("--state-dir").arg(folder.path().join("state")).arg(&at);
        let (sharing, _) = beside(share, &folder.path().join("share"), "Registered")?;
        let old: Vec<u8> = bytes(40_000, 3);
        let old_peer = old_peer(index, old.clone())?;
        let world = Self {
            program,
            index,
            shared,
            old,
            _sharing: sharing,
            _serving: serving,
            _old_peer: old_peer,
            folder,
        };
        world.wait_for_hashes()?;
        Ok(world)
    }

    /// A folder of its own for one run.
    pub(super) fn desk(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }

    /// `p2pci` with these words, at this desk and with its cache there.
    pub(super) fn p2pci(&self, words: &[&str], desk: &Path) -> Command {
        let mut command = quiet(&self.program, desk);
        command.args(words).current_dir(desk);
        command
    }

    /// Hashes come later than names; a download before that is another one.
    fn wait_for_hashes(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let mut list =
                self.p2pci(&["list", "--json", "--server", &self.index.to_string()], self.folder.path());
            let said = String::from_utf8_lossy(&list.output()?.stdout).into_owned();
            if said.matches("\"hash\":\"").count() >= self.shared.len() {
                return Ok(());
            }
            if started.elapsed() > READY {
                bail!("the index never heard of all hashes: {said}");
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The program, with nothing of the user's in its environment.
fn quiet(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("XDG_CACHE_HOME", home.join("cache")).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

fn files() -> Vec<(String, Vec<u8>)> {
    let small = (0..SMALL_FILES).map(|at| (format!("small/{at}.bin"), bytes(SMALL_BYTES, at as u64 + 10)));
    let few = (0..FEW_FILES)
        .map(|at| (format!("few/{}{at}.bin", "in/".repeat(at)), bytes(SMALL_BYTES, at as u64 + 50)));
    std::iter::once((LARGE.to_owned(), bytes(LARGE_BYTES, 1))).chain(small).chain(few).collect()
}

/// Bytes that a seed gives.
pub(super) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Starts a program and waits until it says these words; everything that it has said by then.
fn beside(mut command: Command, log: &Path, words: &str) -> anyhow::Result<(Beside, String)> {
    let file = File::create(log)?;
    let child = command.stdout(file.try_clone()?).stderr(file).spawn();
    let mut beside = Beside(child.with_context(|| format!("cannot start {command:?}"))?);
    let started = Instant::now();
    loop {
        let said = fs::read_to_string(log)?;
        if said.lines().any(|line| line.contains(words)) && said.ends_with('\n') {
            return Ok((beside, said));
        }
        if beside.0.try_wait()?.is_some() || started.elapsed() > READY {
            bail!("{command:?} did not become ready: {said}");
        }
        std::thread::sleep(LOOK);
    }
}

/// The number after these words.
pub(super) fn port_after(said: &str, words: &str) -> Option<u16> {
    let (_, rest) = said.split_once(words)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A peer as there were before: one text, no hash, one answer a connection. It registers itself over the connection given back.
fn old_peer(index: SocketAddr, text: Vec<u8>) -> anyhow::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever asks is killed in the middle now and then.
            let _ = answer(stream, &text);
        }
    });
    let mut stream = TcpStream::connect(index)?;
    write!(
        stream,
        "ADD RFC {OLD_NUMBER} P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: {port}\r\nTitle: Old\r\n\r\n"
    )?;
    let mut status = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut status)?;
    if !status.contains("200 OK") {
        bail!("the index took no record of 1.0: {status}");
    }
    Ok(stream)
}

fn answer(mut stream: TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READY))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = format!(
        "P2P-CI/1.0 200 OK\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\nOS: old\r\nLast-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(text)
}
