//! The file with an index's tokens: read by the index, changed by `p2pci token`, whole at every moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use proto::access::tokens::{Secret, Tokens};
use rustix::fs::{FlockOperation, flock};

use crate::exit::{Code, Failure};

/// Longest file that holds one token.
const TOKEN_FILE_MAX: usize = 4096;

/// Random bytes of the system.
pub fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled
        .map_err(|error| Failure::new(Code::Failed, format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// Reads the file.
pub fn read(path: &Path) -> Result<Tokens, Failure> {
    let text = fs::read_to_string(path).map_err(|error| bad(path, &error.to_string()))?;
    Tokens::parse(&text).map_err(|error| bad(path, &error))
}

/// The one token that a file holds, or the variable, if there is one.
pub fn own(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    if let Some(file) = file {
        let text = fs::read_to_string(file).map_err(|error| bad(file, &error.to_string()))?;
        let text = Some(text.trim()).filter(|text| text.len() <= TOKEN_FILE_MAX).unwrap_or_default();
        return text.parse().map(Some).map_err(|error| bad(file, error));
    }
    let Some(value) = std::env::var_os("P2PCI_TOKEN").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    // What is in it is not said: it may be nearly a token.
    let token = value.to_str().unwrap_or_default().trim().parse().map(Some);
    token.map_err(|error| Failure::new(Code::Usage, format!("P2PCI_TOKEN: {error}")))
}

/// The file while nobody else changes it.
pub struct Locked {
    /// What is in it.
    pub tokens: Tokens,
    path: PathBuf,
    _lock: File,
}

impl Locked {
    /// Waits for whoever changes it just now. A file that is not there is as good as an empty one.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lock = File::open(folder).map_err(|error| bad(path, &error.to_string()))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| bad(path, &error.to_string()))?;
        let tokens = match fs::read_to_string(path) {
            Ok(text) => Tokens::parse(&text).map_err(|error| bad(path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Tokens::new(random()?),
            Err(error) => return Err(bad(path, &error.to_string())),
        };
        Ok(Self { tokens, path: path.to_owned(), _lock: lock })
    }

    /// Puts it in the place of what was there, at once. Only its owner may read it.
    pub fn save(self) -> Result<(), Failure> {
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let put = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(self.tokens.to_text().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok(())
        };
        put().map_err(|error| bad(&self.path, &error.to_string()))
    }
}

fn bad(path: &Path, reason: &str) -> Failure {
    Failure::new(Code::Usage, format!("{}: {reason}", path.display()))
}
