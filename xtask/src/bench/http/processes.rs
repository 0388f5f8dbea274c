//! The servers: nginx, an index and peers, each with the same files.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::Programs;
use crate::bench::pin;
use crate::bench::server::{cpu_of, wait_for};

/// Size of a small file in bytes.
const SMALL: usize = 10 * 1024;

/// Files to be served, in memory, and the folder of the servers.
pub(super) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub(super) fn make(large: u64) -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
        let files = Self { folder };
        fs::create_dir(files.shared())?;
        fs::write(files.shared().join("small"), vec![b'x'; SMALL])?;
        let mut file = File::create(files.shared().join("large"))?;
        // Not all the same, or its pieces would have one digest.
        let mut piece = vec![0_u8; 1 << 20];
        for number in 0..large >> 20 {
            piece.iter_mut().zip(number.to_le_bytes().iter().cycle()).for_each(|(byte, new)| *byte = *new);
            file.write_all(&piece)?;
        }
        Ok(files)
    }

    pub(super) fn shared(&self) -> std::path::PathBuf {
        self.folder.path().join("shared")
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A running server. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Running {
    /// The time that it has had on a core.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.child.id())
    }

    /// nginx in one process: the files, and `return 307` beneath `/redirect`.
    pub(super) fn nginx(programs: &Programs, files: &Files) -> anyhow::Result<Self> {
        let folder = files.path();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (root, shared) = (folder.display(), files.shared());
        let settings = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log /dev/null;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;\n\
             client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;\n\
             uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;\n\
             server {{ listen 127.0.0.1:{port}; root {}; location /redirect {{ return 307 http://127.0.0.1:1/hash/0; }} }} }}\n",
            shared.display()
        );
        let path = folder.join("nginx.conf");
        fs::write(&path, settings)?;
        let mut command = Command::new(&programs.nginx);
        command.arg("-c").arg(&path).arg("-p").arg(folder);
        let running = Self { child: start(&mut command)?, address: ([127, 0, 0, 1], port).into() };
        wait_for("nginx to listen", || TcpStream::connect(running.address).ok())?;
        Ok(running)
    }

    /// `p2pci server`
    pub(super) fn index(programs: &Programs, files: &Files) -> anyhow::Result<Self> {
        let arguments = ["server", "--listen", "127.0.0.1:0", "--log-format", "json", "--quiet"];
        let mut command = Command::new(&programs.p2pci);
        command.args(arguments).args(["--warm-up", "0s", "--max-per-address", "100000"]);
        Self::announced(&mut command, files, "index", "listening")
    }

    /// `p2pci share` of the files, with more flags, registered at an index.
    pub(super) fn peer(
        programs: &Programs,
        files: &Files,
        name: &str,
        index: SocketAddr,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(&programs.p2pci);
        command.arg("share").arg(files.shared()).args([
            "--as",
            "/",
            "--json",
            "--upload-listen",
            "127.0.0.1",
        ]);
        command.args(["--server", &index.to_string(), "--host", "127.0.0.1"]).args(flags);
        command.arg("--state-dir").arg(files.path().join(format!("{name}-state")));
        let running = Self::announced(&mut command, files, name, "sharing")?;
        let log = files.path().join(format!("{name}.log"));
        wait_for("the peer to register", || object(&log, "registered"))?;
        Ok(running)
    }

    fn announced(command: &mut Command, files: &Files, name: &str, kind: &str) -> anyhow::Result<Self> {
        let log = files.path().join(format!("{name}.log"));
        command.stdout(File::create(&log)?);
        let mut running = Self { child: start(command)?, address: ([127, 0, 0, 1], 0).into() };
        let said = wait_for(&format!("{name} to begin"), || object(&log, kind))?;
        let port = said.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        running.address.set_port(port.context("no port is announced")?);
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// On the core of the servers.
fn start(command: &mut Command) -> anyhow::Result<Child> {
    let _pinned = pin::to(pin::SERVER)?;
    command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))
}

/// The first object of a kind in a log.
fn object(log: &Path, kind: &str) -> Option<Value> {
    let text = fs::read_to_string(log).ok()?;
    let objects = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.into_iter().find(|object| object["type"] == kind)
}
