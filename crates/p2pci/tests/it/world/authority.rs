//! An authority, and certificates that it signs, as files.

use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, Issuer, KeyPair};
use tempfile::TempDir;

use crate::places::{empty_folder, put};

/// Has a certificate of its own, `ca.pem`.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = empty_folder();
        put(&folder.path().join("ca.pem"), issuer.pem());
        Self { folder, issuer }
    }

    /// The path of a file of its folder; `ca.pem` is its own certificate.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Signs for `name` and gives the files of the certificate and its key.
    pub(crate) fn sign(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> [String; 2] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer: &Issuer<'_, _> = &self.issuer;
        let certificate = params.signed_by(&key, issuer).unwrap();
        let files = [self.file(&format!("{name}.pem")), self.file(&format!("{name}.key"))];
        put(Path::new(&files[0]), certificate.pem());
        put(Path::new(&files[1]), key.serialize_pem());
        files
    }
}
