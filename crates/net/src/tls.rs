//! TLS 1.3: who we are, whom we believe, and the handshake on either side.
//!
//! An identity is a key. Its fingerprint is what people copy and what a record carries, so it is of the public key alone and a
//! renewed certificate keeps it. Whoever has a fingerprint needs no authority; where certificates come from one, its
//! certificate takes the fingerprint's place. There is one version, no resumption and no early data: what is not there needs no care.

mod layer;
mod pinned;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proto::value::digest::Digest;
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Error, InvalidMessage, RootCertStore, ServerConfig,
    ServerConnection,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::time::timeout;

pub use self::layer::TlsStream;
pub use rustls::RootCertStore as Authorities;
pub use rustls::pki_types;

use self::pinned::Pinned;
use crate::limits::REFUSAL_PATIENCE;
use crate::stream::Stream;

/// A certificate or key that is of no use.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// It cannot be read, or the key is not the certificate's.
    #[error("{0}")]
    Unusable(Error),
}

impl From<Error> for IdentityError {
    fn from(error: Error) -> Self {
        Self::Unusable(error)
    }
}

/// Why there is no secure connection.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The other side answered in something else.
    #[error("it does not speak TLS on this port: leave tls:// away, or switch TLS on there (--tls)")]
    NotTls,
    /// The other side did not answer, or not to the end.
    #[error("it did not answer the TLS handshake within {} s; is it TLS that is spoken on this port?", .0.as_secs())]
    TimedOut(Duration),
    /// The other side has another key than the one that was expected.
    #[error(
        "its key has the fingerprint {found}, not {expected}: ask whoever runs it which one is right, \
         or somebody sits in between"
    )]
    OtherKey {
        /// What was expected.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// Its certificate is not one that the given authorities vouch for.
    #[error("its certificate is not to be trusted: {} (--tls-ca names the authority)", distrust(.0))]
    Untrusted(CertificateError),
    /// No certificate can be for this name.
    #[error("{0:?} is no name that a certificate could be for")]
    Name(String),
    /// The other side closed in the middle of it.
    #[error("it closed the connection during the TLS handshake")]
    Closed,
    /// Anything else that TLS says.
    #[error("the TLS handshake failed: {0}")]
    Failed(Error),
    /// What the system said.
    #[error("the connection broke during the TLS handshake")]
    Io(#[source] io::Error),
}

/// A key and the certificates that speak for it.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    fingerprint: Digest,
}

impl Identity {
    /// From certificates, the own one first, and its key.
    ///
    /// # Errors
    /// [`IdentityError`] when they cannot be used, or do not belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let own = chain.first().ok_or(IdentityError::Empty)?;
        let fingerprint = fingerprint_of(own)?;
        let identity = Self { chain, key, fingerprint };
        Acceptor::new(&identity, None)?;
        Ok(identity)
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo in DER).
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }
}

/// The fingerprint of the key that a certificate is for.
pub(crate) fn fingerprint_of(certificate: &CertificateDer<'_>) -> Result<Digest, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let key = parsed.subject_public_key_info();
    Ok(Digest(Sha256::digest(key.as_ref()).into()))
}

/// Authorities whose certificates are believed.
///
/// # Errors
/// [`IdentityError`] when there is none, or one cannot be read.
pub fn authorities(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    if roots.is_empty() { Err(IdentityError::Empty) } else { Ok(roots) }
}

/// What an accepting side needs. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Shows this identity. With `clients`, only those get in whose certificate one of these authorities has signed.
    ///
    /// # Errors
    /// [`IdentityError`] when the identity is of no use.
    pub fn new(identity: &Identity, clients: Option<RootCertStore>) -> Result<Self, IdentityError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
                builder
                    .with_client_cert_verifier(verifier.map_err(|error| Error::General(error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Takes the handshake on a connection that began with `first`, within `limit`.
    pub(crate) async fn accept(
        self,
        stream: Stream,
        first: BytesMut,
        limit: Duration,
    ) -> Result<Stream, HandshakeError> {
        let Stream::Plain(socket) = stream else { return Err(HandshakeError::NotTls) };
        let connection = ServerConnection::new(self.0).map_err(HandshakeError::Failed)?;
        let shaken = shake(TlsStream::new(socket, connection.into()), &first, limit).await;
        match shaken {
            Ok(stream) => Ok(stream),
            Err((error, tls)) => {
                // The other side may have sent more, and a reset would take the alert away that says what is wrong.
                if matches!(error, HandshakeError::Failed(_) | HandshakeError::Untrusted(_)) {
                    Stream::Plain(tls.into_socket()).close_lingering(REFUSAL_PATIENCE).await;
                }
                Err(error)
            }
        }
    }
}

/// Whom a connecting side believes, and who it is itself. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Connector(Arc<ClientConfig>);

impl Connector {
    /// Believes whoever has this key, whatever its certificate says.
    ///
    /// # Errors
    /// [`IdentityError`] when the own identity is of no use.
    pub fn pinned(fingerprint: Digest, own: Option<&Identity>) -> Result<Self, IdentityError> {
        let verifier = Pinned::new(fingerprint, provider());
        Self::new(Arc::new(verifier), own)
    }

    /// Believes whoever has a certificate of these authorities for the name that it is connected to by.
    ///
    /// # Errors
    /// [`IdentityError`] when the own identity is of no use.
    pub fn trusting(roots: RootCertStore, own: Option<&Identity>) -> Result<Self, IdentityError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        Self::new(verifier, own)
    }

    fn new(
        verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
        own: Option<&Identity>,
    ) -> Result<Self, IdentityError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
        };
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Makes a connection secure, within `limit`. `host` is what the other side was called.
    ///
    /// # Errors
    /// [`HandshakeError`]
    pub async fn secure(
        &self,
        stream: Stream,
        host: &str,
        limit: Duration,
    ) -> Result<Stream, HandshakeError> {
        let Stream::Plain(socket) = stream else { return Ok(stream) };
        let name = server_name(host).ok_or_else(|| HandshakeError::Name(host.to_owned()))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(HandshakeError::Failed)?;
        let shaken = shake(TlsStream::new(socket, connection.into()), &[], limit).await;
        shaken.map_err(|(error, _)| error)
    }
}

/// A host as a certificate names it. A pinned key needs no name, so one that cannot be a name is only a matter of authorities.
fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.split_once('%').map_or(host, |(address, _)| address);
    match bare.parse::<IpAddr>() {
        Ok(address) => Some(ServerName::IpAddress(address.into())),
        Err(_) => ServerName::try_from(host.to_owned()).ok(),
    }
}

async fn shake(tls: TlsStream, first: &[u8], limit: Duration) -> Result<Stream, (HandshakeError, TlsStream)> {
    match timeout(limit, tls.handshake(first)).await {
        Ok(Ok(())) => Ok(Stream::Tls(Box::new(tls))),
        Ok(Err(error)) => Err((error, tls)),
        Err(_) => Err((HandshakeError::TimedOut(limit), tls)),
    }
}

/// What TLS says went wrong, as far as there is something to be done about it.
fn told(error: Error) -> HandshakeError {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::MessageTooLarge) => {
            HandshakeError::NotTls
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref() {
            Some(pinned::Mismatch { expected, found }) => {
                HandshakeError::OtherKey { expected: *expected, found: *found }
            }
            None => HandshakeError::Untrusted(CertificateError::Other(other)),
        },
        Error::InvalidCertificate(error) => HandshakeError::Untrusted(error),
        error => HandshakeError::Failed(error),
    }
}

/// Why a certificate is not believed, to people.
fn distrust(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "no authority that we were told to believe has signed it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its time is over".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its time has not come yet; is a clock wrong?".to_owned()
        }
        error => error.to_string(),
    }
}

/// What an error of an established connection means to people.
fn in_words(error: &Error) -> String {
    match error {
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError,
        ) => format!(
            "it wants a certificate of ours from an authority that it knows (--tls-cert and --tls-key; for an engine \
             --store-cert and --store-key): {error}"
        ),
        error => format!("TLS: {error}"),
    }
}

/// The suites of TLS 1.3, the quickest first.
fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(CryptoProvider { cipher_suites, ..default_provider() })
}
