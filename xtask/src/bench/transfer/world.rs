//! The programs of this bench: who serves the file, and who is asked to fetch it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::super::server::{Kind, Programs, Server, wait_for};
use super::files::{Scratch, fill};
use crate::{parts, repository};

/// The folder that is shared, and the file in it.
const FOLDER: &str = "bench";
const FILE: &str = "big";
/// A file system in memory.
const MEMORY: &str = "/dev/shm";

/// What all rows share: the file, and where the programs are.
pub(super) struct World {
    pub(super) size: u64,
    pub(super) programs: Programs,
    pub(super) nginx: Option<PathBuf>,
    pub(super) curl: Option<PathBuf>,
    memory: Scratch,
    disk: Scratch,
}

impl World {
    pub(super) fn new(size: u64) -> anyhow::Result<Self> {
        let target = repository::metadata(&repository::root())?.target_directory;
        let found = |command| parts::provide(command, &target.join("parts")).ok();
        let (nginx, curl) = (found("nginx"), found("curl"));
        // The file and one copy of it; and as much again, so that nobody else suffers.
        let memory = Scratch::new(Path::new(MEMORY).join("p2pci-bench-transfer"))?.needs(size * 3)?;
        let disk = Scratch::new(target.join("bench/transfer"))?.needs(size * 2)?;
        let programs = Programs::new(target, None)?;
        fs::create_dir(memory.path().join(FOLDER))?;
        fs::create_dir(memory.path().join("kept"))?;
        let world = Self { size, programs, nginx, curl, memory, disk };
        fill(&world.file(), size)?;
        Ok(world)
    }

    /// The file that travels. It lies in memory, so that no disk is measured on the sending side.
    pub(super) fn file(&self) -> PathBuf {
        self.folder().join(FILE)
    }

    fn folder(&self) -> PathBuf {
        self.memory.path().join(FOLDER)
    }

    /// A folder in memory for copies.
    pub(super) fn memory(&self) -> PathBuf {
        self.memory.path().join("kept")
    }

    /// A folder on the disk for copies.
    pub(super) fn disk(&self) -> PathBuf {
        self.disk.path().to_owned()
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.disk.path().join(format!("{name}.log"))
    }

    /// The bare sender.
    pub(super) fn sender(&self) -> anyhow::Result<Served> {
        let mut command = Command::new(self.programs.target.join("release/xtask"));
        command.args(["bench", "send"]).arg(self.file());
        let server = Server::announced(command, &self.log("send"))?;
        Ok(Served { server, path: "/".into() })
    }

    /// nginx with one process and `sendfile`; `None` where there is none.
    pub(super) fn nginx(&self) -> anyhow::Result<Option<Served>> {
        let Some(nginx) = &self.nginx else { return Ok(None) };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let own = self.disk.path().join("nginx");
        fs::create_dir_all(&own)?;
        let configuration = own.join("nginx.conf");
        fs::write(&configuration, nginx_configuration(&own, self.memory.path(), port))?;
        let mut command = Command::new(nginx);
        command.arg("-e").arg(own.join("error.log")).arg("-p").arg(&own).arg("-c").arg(&configuration);
        let server = Server::listening(command, port, "nginx")?;
        Ok(Some(Served { server, path: format!("/{FOLDER}/{FILE}") }))
    }

    /// An index, and so many peers that share the file, with these flags; and its hash.
    pub(super) fn peers(&self, count: usize, flags: &[&str]) -> anyhow::Result<Peers> {
        let index = Server::start(Kind::Index, &self.programs)?;
        let address = index.address.to_string();
        let mut shares = Vec::new();
        for number in 0..count {
            let mut command = Command::new(self.p2pci());
            command.arg("share").arg(self.folder()).args(["--server", &address, "--json"]);
            command.args(["--upload-listen", "127.0.0.1", "--state-dir"]);
            // A cache of hashes has one user at a time; for the next rows of this run it is there.
            command.arg(self.disk.path().join(format!("hashes-{number}"))).args(flags);
            let server = Server::announced(command, &self.log(&format!("share-{number}")))?;
            shares.push(Served { server, path: format!("/file/{FOLDER}/{FILE}") });
        }
        let hash = wait_for("the file's hash", || self.hash(&address, count))?;
        Ok(Peers { shares, hash, address, _index: index })
    }

    /// What the index lists, once so many peers have it hashed.
    fn hash(&self, index: &str, count: usize) -> Option<String> {
        let listed = Command::new(self.p2pci()).args(["list", "--json", "--server", index]).output().ok()?;
        let first = listed.stdout.split(|byte| *byte == b'\n').next()?;
        let object: serde_json::Value = serde_json::from_slice(first).ok()?;
        let sources = object.get("sources")?.as_array()?.len();
        (sources == count).then_some(object.get("hash")?.as_str()?.to_owned())
    }

    pub(super) fn p2pci(&self) -> PathBuf {
        self.programs.target.join("release/p2pci")
    }

    /// `p2pci get` of the file, kept under this name: from the start of the process to its end.
    pub(super) fn get(&self, peers: &Peers, kept: &Path) -> anyhow::Result<Duration> {
        self.timed(self.getter(peers, kept), kept, false)
    }

    /// The command that does it.
    pub(super) fn getter(&self, peers: &Peers, kept: &Path) -> Command {
        let mut command = Command::new(self.p2pci());
        command.args(["get", &peers.hash, "--server", &peers.address, "-o"]).arg(kept);
        // No receipts for the shares of whoever measures.
        command.env("XDG_CACHE_HOME", self.disk.path().join("caches"));
        command
    }

    /// `curl` of the file from this server, synced. `None` where there is none.
    pub(super) fn curl(&self, from: &Served, kept: &Path) -> anyhow::Result<Option<Duration>> {
        let Some(curl) = &self.curl else { return Ok(None) };
        let mut command = Command::new(curl);
        command
            .args(["-s", "-f", "-o"])
            .arg(kept)
            .arg(format!("http://{}{}", from.server.address, from.path));
        self.timed(command, kept, true).map(Some)
    }

    fn timed(&self, mut command: Command, kept: &Path, sync: bool) -> anyhow::Result<Duration> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        if sync {
            File::open(kept)?.sync_all()?;
        }
        let elapsed = began.elapsed();
        ensure!(status.success(), "{command:?} failed");
        ensure!(fs::metadata(kept)?.len() == self.size, "{command:?} left another length");
        Ok(elapsed)
    }
}

/// A server that has the file.
pub(super) struct Served {
    pub(super) server: Server,
    /// Where the file is, in HTTP.
    pub(super) path: String,
}

/// Peers that share the file.
pub(super) struct Peers {
    pub(super) shares: Vec<Served>,
    pub(super) hash: String,
    pub(super) address: String,
    _index: Server,
}

fn nginx_configuration(own: &Path, root: &Path, port: u16) -> String {
    let (own, root) = (own.display(), root.display());
    format!(
        "daemon off; master_process off; worker_processes 1; pid {own}/pid; error_log {own}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           access_log off; sendfile on; tcp_nodelay on; default_type application/octet-stream;\n\
           client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;\n\
           uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
           server {{ listen 127.0.0.1:{port}; root {root}; }}\n\
         }}\n"
    )
}
