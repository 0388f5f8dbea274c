//! Something between a downloader and a sharer that counts what the sharer sends, and lets it pass no faster than asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::foreign::Scripted;

/// Bytes that pass at once.
const PIECE: usize = 32 * 1024;

/// A proxy that runs.
pub(super) struct Proxy {
    server: Scripted,
    passed: Arc<AtomicU64>,
}

impl Proxy {
    /// To this port, with this pause after each 32 KiB.
    pub(super) fn start(port: u16, pause: Duration) -> Self {
        let passed = Arc::<AtomicU64>::default();
        let count = Arc::clone(&passed);
        let server = Scripted::start(move |client, _| {
            let Ok(sharer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
            sharer.set_nodelay(true).unwrap();
            let (mut from_client, mut to_sharer) = (client.try_clone().unwrap(), sharer.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_sharer);
                let _ = to_sharer.shutdown(std::net::Shutdown::Both);
            });
            pass(sharer, client, pause, &count);
        });
        Self { server, passed }
    }

    /// As `--from` takes it.
    pub(super) fn address(&self) -> String {
        self.server.address()
    }

    /// Bytes that passed to the downloader so far, heads of answers included.
    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, pause: Duration, count: &AtomicU64) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
        count.fetch_add(read as u64, Ordering::SeqCst);
        std::thread::sleep(pause);
    }
}
