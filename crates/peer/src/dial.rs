//! Connecting to an index or to another peer, in TLS where that is wanted.
//!
//! Whether a connection is secure is decided by who makes it, from what it was given beforehand: an address that a person typed,
//! or a record. Nothing that the other side says can make it plain.

use std::sync::OnceLock;
use std::time::Duration;

use net::limits::HANDSHAKE_WAIT;
use net::stream::Stream;
use net::tls::{Connector, Identity};
use proto::access::tokens::Secret;
use proto::limits::{CONNECT_ADDRESS, CONNECT_TOTAL};
use proto::reach::Reach;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;

use crate::link::v11::{AskError, Connection};
use crate::link::{IndexAddr, LinkError};
use crate::words;

const IN_PLAIN_TEXT: &str =
    "a token is not sent in plain text, where others read it: write --server tls://HOST#FINGERPRINT";

/// That an index is spoken to in TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What it is called: behind a name may be several addresses, and a certificate is for the name.
    pub name: String,
    /// The fingerprint of its key, where that was given.
    pub fingerprint: Option<Digest>,
    /// Whom to believe. Without it there is no connection.
    pub connector: Option<Connector>,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.fingerprint) == (&other.name, other.fingerprint)
    }
}

impl Eq for Tls {}

/// Connects to an index, and shows it the token if there is one.
pub(crate) async fn index(index: &IndexAddr) -> Result<Stream, LinkError> {
    let connected = Stream::connect_host(&index.host, index.port, CONNECT_ADDRESS, CONNECT_TOTAL).await;
    let unreachable = |cause| LinkError::Unreachable { index: index.clone(), cause };
    let stream = connected.map_err(|error| unreachable(words::chain(&error)))?;
    let insecure = |cause: String| LinkError::Insecure { index: index.clone(), cause };
    let stream = match &index.tls {
        None => stream,
        Some(tls) => secured(tls, stream).await.map_err(insecure)?,
    };
    let Some(token) = &index.token else { return Ok(stream) };
    let stays_here = stream.peer_addr().is_ok_and(|address| address.ip().is_loopback());
    if !stream.is_secure() && !stays_here {
        return Err(insecure(IN_PLAIN_TEXT.to_owned()));
    }
    let shown = Connection::over(stream, index).show(Secret::clone(token)).await;
    shown.map_err(|error| match error {
        AskError::Link(error) => error,
        AskError::NotV11 { .. } => insecure("it is too old for tokens".to_owned()),
    })
}

async fn secured(tls: &Tls, stream: Stream) -> Result<Stream, String> {
    let connector = tls.connector.as_ref().ok_or_else(|| "nobody said whom to believe".to_owned())?;
    connector.secure(stream, &tls.name, HANDSHAKE_WAIT).await.map_err(|error| words::chain(&error))
}

/// Who this process is towards other peers that ask for a certificate. One process is one user's, whatever it fetches.
static OWN: OnceLock<Identity> = OnceLock::new();

/// Shows this identity to every peer that asks for a certificate. The first call decides.
pub fn identify(own: Identity) {
    // A second one is the same again, read from the same files.
    let _ = OWN.set(own);
}

/// Connects to another peer. Why not, in words.
pub(crate) async fn peer(
    peer: &PeerAddr,
    reach: &Reach,
    per_address: Duration,
    total: Duration,
) -> Result<Stream, String> {
    let connecting = Stream::connect_within(reach, peer.host(), peer.port().get(), per_address, total);
    let stream = connecting.await.map_err(|error| words::chain(&error))?;
    let Some(fingerprint) = peer.tls() else { return Ok(stream) };
    let connector = Connector::pinned(fingerprint, OWN.get()).map_err(|error| words::chain(&error))?;
    connector.secure(stream, peer.host(), HANDSHAKE_WAIT).await.map_err(|error| words::chain(&error))
}
