//! The file with the key that signs an index's tickets: shared by the nodes of a cluster, and kept over a restart.

use std::fs;
use std::io;
use std::path::Path;

use proto::value::digest::Digest;

use crate::exit::{Code, Failure};
use crate::keys::put;
use crate::token_file::random;

/// Only its owner reads it.
const MODE: u32 = 0o600;

/// The seed of the key: 64 hexadecimal digits. If there is no such file it is made; of several nodes that make it at the same time,
/// all take what the first one made.
pub fn kept(file: &Path) -> Result<[u8; 32], Failure> {
    let bad =
        |error: &dyn std::fmt::Display| Failure::new(Code::Usage, format!("{}: {error}", file.display()));
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let new = format!("{}\n", Digest(random()?));
            put(folder.unwrap_or(Path::new(".")), file, &new, MODE).map_err(|error| bad(&error))?;
            fs::read_to_string(file)
        }
        read => read,
    };
    let text = text.map_err(|error| bad(&error))?;
    let Digest(seed) = Digest::parse(text.trim_end().as_bytes())
        .ok_or_else(|| bad(&"it is no key of tickets: one is 64 hexadecimal digits"))?;
    Ok(seed)
}
