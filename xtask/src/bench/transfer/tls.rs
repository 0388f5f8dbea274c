//! TLS: what a share sends in it beside a bare loop over the same library, and `p2pci get` in it beside plain text.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rcgen::CertifiedKey;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::pin;
use super::super::report::{Row, Target, figure, row};
use super::super::server::Server;
use super::super::stats::median;
use super::world::{Peers, Served, World};
use super::{MIB, ratio};

/// Bytes read from the file and encrypted at once, and taken at once by the receiver.
const PIECE: usize = 256 * 1024;

/// A certificate of this run, which both senders show and the receiver believes.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let identity = Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        fs::write(&identity.certificate, cert.pem())?;
        fs::write(&identity.key, signing_key.serialize_pem())?;
        Ok(identity)
    }

    fn flags(&self) -> [&str; 5] {
        ["--tls", "--tls-cert", text(&self.certificate), "--tls-key", text(&self.key)]
    }
}

/// Our own paths are text.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// What both use: the suite that `p2pci` takes first.
fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..default_provider() })
}

/// The bare sender: a head, then the file, read and encrypted by a loop that does nothing else. A process of its own.
pub(crate) fn send(file: &Path, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let file = File::open(file)?;
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    for stream in listener.incoming() {
        // A receiver that left early is its own business.
        let _ = answer(stream?, &file, &config);
    }
    Ok(())
}

fn answer(stream: TcpStream, file: &File, config: &Arc<ServerConfig>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        request.extend_from_slice(&byte);
    }
    let length = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    while at < length {
        let count = file.read_at(&mut piece, at)?;
        if count == 0 {
            break;
        }
        stream.write_all(&piece[..count])?;
        at += count as u64;
    }
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

/// The bare receiver, which throws away what comes.
fn receive(
    server: SocketAddr,
    path: &str,
    size: u64,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    let connection = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server)?);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).context("no whole head came")?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head);
    ensure!(head.starts_with("HTTP/1.1 200 "), "answered {head:?}");
    let (mut piece, mut came) = (vec![0; PIECE], 0);
    while came < size {
        let count = stream.read(&mut piece)?;
        ensure!(count > 0, "{came} bytes came instead of {size}");
        came += count as u64;
    }
    Ok(began.elapsed())
}

/// Rates in MiB a second, and CPU seconds a GiB, of each round.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, served: &Served, size: u64, config: &Arc<ClientConfig>) -> anyhow::Result<()> {
        let before = served.server.cpu()?;
        let elapsed = receive(served.server.address, &served.path, size, config)?;
        let cpu = served.server.cpu()?.saturating_sub(before);
        self.rates.push(size as f64 / MIB / elapsed.as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() / (size as f64 / MIB / 1024.0));
        Ok(())
    }

    fn in_words(&self, name: &str) -> String {
        format!("{name} {} MiB/s, {} CPU-s/GiB", figure(median(&self.rates)), figure(median(&self.cpu)))
    }
}

pub(super) fn rows(world: &World, rounds: usize) -> anyhow::Result<()> {
    let identity = Identity::new(&world.disk())?;
    let secure = world.peers(1, &identity.flags())?;
    served(world, rounds, &secure, &identity)?;
    let plain = world.peers(1, &[])?;
    for (name, folder) in [("in memory", world.memory()), ("on disk", world.disk())] {
        kept(world, rounds, &plain, &secure, name, &folder.join("copy"))?;
    }
    Ok(())
}

fn served(world: &World, rounds: usize, peers: &Peers, identity: &Identity) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&identity.certificate)?)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let mut command = Command::new(world.programs.target.join("release/xtask"));
    command.args(["bench", "send-tls"]).arg(world.file()).arg(&identity.certificate).arg(&identity.key);
    let bare = Served { server: Server::announced(command, &world.log("send-tls"))?, path: "/".into() };
    let _pinned = pin::to(pin::GENERATOR)?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        for share in &peers.shares {
            ours.measure(share, world.size, &config)?;
        }
        theirs.measure(&bare, world.size, &config)?;
    }
    let (rate, range) = ratio(&ours.rates, &theirs.rates);
    let behind = [ours.in_words("p2pci"), theirs.in_words("bare loop")].join("; ");
    let (name, target) = ("serving a file in TLS, rate / bare loop".to_owned(), Target::AtLeast(0.9));
    row(&Row { name, reached: rate, unit: "", target, remark: format!("{range}; {behind}") });
    let (cpu, range) = ratio(&ours.cpu, &theirs.cpu);
    let name = "serving a file in TLS, server CPU / bare loop".to_owned();
    row(&Row { name, reached: cpu, unit: "", target: Target::None, remark: range });
    Ok(())
}

fn kept(
    world: &World,
    rounds: usize,
    plain: &Peers,
    secure: &Peers,
    name: &str,
    copy: &Path,
) -> anyhow::Result<()> {
    let rate = |peers| -> anyhow::Result<f64> {
        let elapsed = world.get(peers, copy)?;
        fs::remove_file(copy)?;
        Ok(world.size as f64 / MIB / elapsed.as_secs_f64())
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(rate(secure)?);
        theirs.push(rate(plain)?);
    }
    let (reached, range) = ratio(&ours, &theirs);
    let remark =
        format!("{range}; MiB/s: in TLS {}, plain {}", figure(median(&ours)), figure(median(&theirs)));
    let name = format!("get {name} in TLS, rate / plain text");
    row(&Row { name, reached, unit: "", target: Target::AtLeast(0.7), remark });
    Ok(())
}
