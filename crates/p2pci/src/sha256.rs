//! `--sha256`: a digest from elsewhere, such as a download page, against which a file is checked before it gets its name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;
use std::sync::Arc;

use peer::fetch::Check;
use proto::value::digest::Digest;
use sha2::{Digest as _, Sha256};

/// How much of a file is read at once, in bytes.
const READ: usize = 256 * 1024;

/// A SHA-256 digest: 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest([u8; 32]);

impl FromStr for Sha256Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digest = Digest::parse(text.as_bytes());
        digest
            .map(|digest| Self(digest.0))
            .ok_or_else(|| "a SHA-256 digest is 64 hexadecimal digits".to_owned())
    }
}

impl Sha256Digest {
    /// For a transfer.
    pub fn check(self) -> Check {
        Check(Arc::new(move |file: &File| self.is_of(file)))
    }

    /// Whether a file has this digest. Blocks.
    pub fn is_of(self, file: &File) -> io::Result<bool> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ];
        let mut at = 0;
        loop {
            match file.read_at(&mut buffer, at)? {
                0 => return Ok(<[u8; 32]>::from(hasher.finalize()) == self.0),
                count => {
                    hasher.update(&buffer[..count]);
                    at += count as u64;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_digest_of_a_known_text_is_found() {
        // FIPS 180-4's example: the message "abc".
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert!(known.parse::<Sha256Digest>().unwrap().is_of(&file).unwrap());
        file.write_all(b"d").unwrap();
        assert!(!known.parse::<Sha256Digest>().unwrap().is_of(&file).unwrap());
        assert!("ab".parse::<Sha256Digest>().is_err());
    }
}
