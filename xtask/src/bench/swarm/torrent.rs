//! A torrent of one file, for the swarm beside ours. The hashes come from `sha1sum`: nothing of ours needs SHA-1.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use anyhow::{Context, ensure};

/// Bytes of a piece: what usual programs choose for a file of this size.
const PIECE: usize = 256 * 1024;

/// Writes a torrent for this file; its hash in hexadecimal digits.
pub(super) fn write(file: &Path, announce: &str, torrent: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(file)?;
    let name = file.file_name().context("a file with a name")?.to_string_lossy().into_owned();
    let pieces: Vec<u8> = bytes.chunks(PIECE).map(sha1).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let mut info = format!(
        "d6:lengthi{}e4:name{}:{name}12:piece lengthi{PIECE}e6:pieces{}:",
        bytes.len(),
        name.len(),
        pieces.len()
    )
    .into_bytes();
    info.extend_from_slice(&pieces);
    info.push(b'e');
    let mut all = format!("d8:announce{}:{announce}4:info", announce.len()).into_bytes();
    all.extend_from_slice(&info);
    all.push(b'e');
    fs::write(torrent, all)?;
    Ok(sha1(&info)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn sha1(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new("sha1sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start sha1sum")?;
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no input"))?;
    stdin.write_all(bytes)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let digits = output.stdout.get(..40).context("sha1sum says nothing")?;
    let digits = std::str::from_utf8(digits)?;
    let bytes = (0..20).map(|at| u8::from_str_radix(digits.get(at * 2..at * 2 + 2).unwrap_or_default(), 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
    ensure!(bytes.len() == 20, "no SHA-1");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_names_its_file_and_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let (file, torrent) = (folder.path().join("f"), folder.path().join("t"));
        fs::write(&file, vec![b'a'; PIECE + 1]).unwrap();
        let hash = write(&file, "http://t/a", &torrent).unwrap();
        assert_eq!(hash.len(), 40);
        let text = fs::read(&torrent).unwrap();
        let head = format!(
            "d8:announce10:http://t/a4:infod6:lengthi{}e4:name1:f12:piece lengthi{PIECE}e6:pieces40:",
            PIECE + 1
        );
        assert!(text.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&text[..80]));
        // printf a | sha1sum
        assert!(text.ends_with(
            b"\x86\xf7\xe4\x37\xfa\xa5\xa7\xfc\xe1\x5d\x1d\xdc\xb9\xea\xea\xea\x37\x76\x67\xb8ee"
        ));
    }
}
