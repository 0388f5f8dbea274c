//! Keys and certificates in files: those that were given, and the one that `--tls` makes the first time.
//!
//! A key that was made stays: its fingerprint is what others know us by. The certificate beside it can be thrown away and is made
//! anew, for the same key. Whatever is wrong with a file ends the command with the file's name and the reason.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use net::interfaces::{host_name, reachable_addresses};
use net::tls::pki_types::pem::PemObject;
use net::tls::pki_types::{CertificateDer, PrivateKeyDer};
use net::tls::{Acceptor, Authorities, Connector, Identity, authorities};
use peer::dial::{self, Tls};
use peer::indexes::Indexes;
use peer::link::IndexAddr;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::cli::{OwnKey, ServerFlag, Trust};
use crate::exit::{Code, Failure};
use crate::token_file;

/// The modes of what only its owner may read.
const KEY_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// The mode of a certificate, which is for everybody.
const CERTIFICATE_MODE: u32 = 0o644;

/// Whose key it is. A machine can be both, under two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The index.
    Index,
    /// A peer.
    Peer,
}

impl ServerFlag {
    /// Reads the files that say whom to believe.
    pub fn complete(&mut self) -> Result<(), Failure> {
        self.trust.complete(&mut self.server)
    }
}

impl Trust {
    fn complete(&self, servers: &mut Indexes) -> Result<(), Failure> {
        if let Some(own) = given(&self.own)? {
            dial::identify(own);
        }
        let token = token_file::own(self.token_file.as_deref())?.map(Arc::new);
        servers.iter_mut().try_for_each(|server| {
            server.token = token.clone();
            self.complete_one(server)
        })
    }

    fn complete_one(&self, server: &mut IndexAddr) -> Result<(), Failure> {
        let Some(Tls { fingerprint, connector, .. }) = server.tls.as_deref_mut() else { return Ok(()) };
        let own = given(&self.own)?;
        let made = match (*fingerprint, &self.tls_ca) {
            (Some(fingerprint), _) => Connector::pinned(fingerprint, own.as_ref()),
            (None, Some(file)) => Connector::trusting(read_authorities(file)?, own.as_ref()),
            (None, None) => {
                let sentence = "tls:// needs somebody to believe: the index's fingerprint behind a # \
                                (tls://HOST#FINGERPRINT, as 'p2pci server --tls' says it), or --tls-ca FILE";
                return Err(Failure::new(Code::Usage, sentence));
            }
        };
        *connector = Some(made.map_err(|error| Failure::new(Code::Usage, error.to_string()))?);
        Ok(())
    }
}

/// What an index or a peer takes connections in TLS with.
pub fn acceptor(own: &Identity, clients: Option<&Path>) -> Result<Acceptor, Failure> {
    let clients = clients.map(read_authorities).transpose()?;
    Acceptor::new(own, clients).map_err(|error| Failure::new(Code::Usage, error.to_string()))
}

/// Whom an index believes to be the engine of its cluster, and who it is there.
pub fn engine_connector(
    authorities: &Path,
    certificate: Option<&Path>,
    key: Option<&Path>,
) -> Result<Connector, Failure> {
    let own = certificate.zip(key).map(|(certificate, key)| read_identity(certificate, key)).transpose()?;
    let made = Connector::trusting(read_authorities(authorities)?, own.as_ref());
    made.map_err(|error| Failure::new(Code::Usage, error.to_string()))
}

/// The own key: as it was given, else as it is kept, else a new one that is kept from now on.
pub fn own(key: &OwnKey, whose: Whose) -> Result<Identity, Failure> {
    match given(key)? {
        Some(identity) => Ok(identity),
        None => kept(&make_folder(key, whose)?),
    }
}

fn given(key: &OwnKey) -> Result<Option<Identity>, Failure> {
    match (&key.tls_cert, &key.tls_key) {
        (Some(certificate), Some(key)) => read_identity(certificate, key).map(Some),
        _ => Ok(None),
    }
}

fn folder(key: &OwnKey, whose: Whose) -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = || set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let folder = key.tls_dir.clone().or_else(|| Some(state()?.join("p2pci")));
    let folder = folder.ok_or_else(|| {
        Failure::new(Code::Usage, "there is no home folder to keep a key in; --tls-dir DIR names a place")
    })?;
    Ok(folder.join(match whose {
        Whose::Index => "index",
        Whose::Peer => "peer",
    }))
}

/// Where the own key is kept; the folder is made if it is missing.
pub fn make_folder(key: &OwnKey, whose: Whose) -> Result<PathBuf, Failure> {
    let folder = folder(key, whose)?;
    let made = fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder);
    made.map_err(|error| bad(&folder, &error)).map(|()| folder)
}

/// The key of this folder and its certificate; what is missing is made.
fn kept(folder: &Path) -> Result<Identity, Failure> {
    let (key_file, certificate_file) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let cannot = |error: io::Error| bad(folder, &error);
    if !key_file.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        put(folder, &key_file, &key.serialize_pem(), KEY_MODE).map_err(cannot)?;
    }
    if !certificate_file.exists() {
        let text = fs::read_to_string(&key_file).map_err(|error| bad(&key_file, &error))?;
        let key = KeyPair::from_pem(&text).map_err(|error| bad(&key_file, &error))?;
        let certificate = certificate_params()?.self_signed(&key)?;
        put(folder, &certificate_file, &certificate.pem(), CERTIFICATE_MODE).map_err(cannot)?;
    }
    read_identity(&certificate_file, &key_file)
}

/// For every name that this machine is reached by, as far as they are known. Whoever knows the key does not look at them.
fn certificate_params() -> Result<CertificateParams, Failure> {
    let own = host_name().filter(|name| name.is_ascii());
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()].into_iter().chain(own);
    let addresses = reachable_addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names.chain(addresses).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "p2pci");
    Ok(params)
}

/// Puts a whole file there at once. One that has come there meanwhile stays: it is as good.
pub fn put(folder: &Path, path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn read_identity(certificate_file: &Path, key_file: &Path) -> Result<Identity, Failure> {
    let certificates = read_certificates(certificate_file)?;
    let key =
        PrivateKeyDer::from_pem_slice(&read(key_file)?).map_err(|error| bad(key_file, &in_words(&error)))?;
    Identity::new(certificates, key).map_err(|error| {
        bad(certificate_file, &format!("it cannot be used with the key {}: {error}", key_file.display()))
    })
}

fn read_authorities(file: &Path) -> Result<Authorities, Failure> {
    authorities(read_certificates(file)?).map_err(|error| bad(file, &error))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = read(file)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(bad(file, &"there is no certificate in it")),
        certificates => certificates.map_err(|error| bad(file, &in_words(&error))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| bad(file, &error))
}

fn in_words(error: &net::tls::pki_types::pem::Error) -> String {
    use net::tls::pki_types::pem::Error;
    match error {
        Error::NoItemsFound => "there is none in it that could be read (PEM)".to_owned(),
        error => error.to_string(),
    }
}

fn bad(file: &Path, reason: &dyn Display) -> Failure {
    Failure::new(Code::Usage, format!("{}: {reason}", file.display()))
}
