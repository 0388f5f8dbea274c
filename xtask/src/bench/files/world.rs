//! Folders and programs: who shares, who fetches, and nginx with curl.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};

use super::running::Running;
use crate::bench::pin;
use crate::bench::server::{Kind, Programs, Server, wait_for};
use crate::{parts, repository};

/// A file system in memory.
const MEMORY: &str = "/dev/shm";
/// How old shared files are: what was written just now waits before it is hashed.
const AGE: Duration = Duration::from_secs(3600);

/// What all rows share.
pub(super) struct World {
    pub(super) programs: Programs,
    pub(super) nginx: Option<PathBuf>,
    pub(super) curl: Option<PathBuf>,
    memory: Scratch,
    disk: Scratch,
}

/// A folder that was not there before and will not be there afterwards.
struct Scratch(PathBuf);

/// Where copies go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Disk,
}

/// An index and one peer that shares a folder.
pub(super) struct Sharing {
    pub(super) share: Running,
    pub(super) index: Server,
    /// From the start of `share` on.
    pub(super) began: Instant,
}

impl World {
    pub(super) fn new() -> anyhow::Result<Self> {
        let target = repository::metadata(&repository::root())?.target_directory;
        let found = |command| parts::find(command, &target.join("parts"));
        let (nginx, curl) = (found("nginx"), found("curl"));
        let name = format!("p2pci-bench-files-{}", std::process::id());
        let memory = Scratch::new(Path::new(MEMORY).join(&name))?;
        let disk = Scratch::new(target.join("bench").join(name))?;
        Ok(Self { programs: Programs::new(target, None)?, nginx, curl, memory, disk })
    }

    /// A folder in memory, empty.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        empty(self.memory.0.join(name))
    }

    /// An empty folder for copies.
    pub(super) fn copies(&self, place: Place) -> anyhow::Result<PathBuf> {
        match place {
            Place::Memory => self.folder("copies"),
            Place::Disk => empty(self.disk.0.join("copies")),
        }
    }

    pub(super) fn p2pci(&self) -> Command {
        Command::new(self.programs.target.join("release/p2pci"))
    }

    /// An index, and a peer that begins to share this folder; it knows no hashes from before.
    pub(super) fn share(&self, folder: &Path) -> anyhow::Result<Sharing> {
        let index = Server::start(Kind::Index, &self.programs)?;
        let state = empty(self.memory.0.join("state"))?;
        let mut command = self.p2pci();
        command.arg("share").arg(folder).args(["--server", &index.address.to_string(), "--json"]);
        command.args(["--upload-listen", "127.0.0.1", "--state-dir"]).arg(state);
        let began = Instant::now();
        let share = Running::start(command, &self.memory.0.join("share.log"))?;
        Ok(Sharing { share, index, began })
    }

    /// `p2pci get` into a folder.
    pub(super) fn get(&self, sharing: &Sharing, what: &[&str], into: &Path) -> Command {
        let mut command = self.p2pci();
        command.arg("get").args(what).args(["--server", &sharing.index.address.to_string(), "-o"]);
        command.arg(format!("{}/", into.display()));
        command
    }

    /// nginx with one process on the server's core; its port.
    pub(super) fn nginx(&self, nginx: &Path, root: &Path) -> anyhow::Result<(Running, u16)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let own = empty(self.disk.0.join("nginx"))?;
        let configuration = own.join("nginx.conf");
        fs::write(&configuration, nginx_configuration(&own, root, port))?;
        let mut command = Command::new(nginx);
        command.arg("-e").arg(own.join("error.log")).arg("-p").arg(&own).arg("-c").arg(&configuration);
        let pinned = pin::to(pin::SERVER)?;
        let running = Running::start(command, &own.join("log"))?;
        drop(pinned);
        wait_for("nginx to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok())?;
        Ok((running, port))
    }
}

/// Runs a command to its end: how long it took.
pub(super) fn timed(mut command: Command) -> anyhow::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    let elapsed = began.elapsed();
    ensure!(status.success(), "{command:?} failed");
    Ok(elapsed)
}

/// Writes a file that is old, of bytes that no other file has.
pub(super) fn write_old(path: &Path, length: usize, random: &mut fastrand::Rng) -> anyhow::Result<()> {
    const PIECE: usize = 1 << 20;
    let mut file = File::create(path)?;
    let mut piece = vec![0; length.min(PIECE)];
    let mut left = length;
    while left > 0 {
        random.fill(&mut piece);
        let count = left.min(PIECE);
        file.write_all(piece.get(..count).unwrap_or_default())?;
        left -= count;
    }
    file.set_modified(SystemTime::now() - AGE)?;
    Ok(())
}

fn empty(path: PathBuf) -> anyhow::Result<PathBuf> {
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("cannot clear a folder"),
        _ => {
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
            Ok(path)
        }
    }
}

impl Scratch {
    fn new(path: PathBuf) -> anyhow::Result<Self> {
        empty(path).map(Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn nginx_configuration(own: &Path, root: &Path, port: u16) -> String {
    let (own, root) = (own.display(), root.display());
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; master_process off; worker_processes 1; pid {own}/pid; error_log {own}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;\n\
           default_type application/octet-stream;\n\
           client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;\n\
           uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
           server {{ listen 127.0.0.1:{port}; root {root}; }}\n\
         }}\n"
    )
}
