//! Folders with files in them, and ports at which nobody listens.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// A folder with these `rfcN.txt`, gone with the value.
pub(crate) fn folder<B: AsRef<[u8]>>(files: &[(u32, B)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, bytes) in files {
        fs::write(folder.path().join(format!("rfc{number}.txt")), bytes).unwrap();
    }
    folder
}

/// A folder of this name with these files in it, in a folder of its own that is gone with the value.
pub(crate) fn tree<B: AsRef<[u8]>>(name: &str, files: &[(&str, B)]) -> (TempDir, PathBuf) {
    let outer = empty_folder();
    let root = outer.path().join(name);
    fs::create_dir(&root).unwrap();
    for (path, bytes) in files {
        put(&root.join(path), bytes);
    }
    (outer, root)
}

/// Writes a file and makes its folders.
pub(crate) fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Every path beneath a folder, in order; folders end in `/`.
pub(crate) fn everything_in(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in names_in(folder) {
        let path = folder.join(&name);
        match path.is_dir() && !path.is_symlink() {
            true => {
                all.extend(everything_in(&path).into_iter().map(|below| format!("{name}/{below}")));
                all.push(format!("{name}/"));
            }
            false => all.push(name),
        }
    }
    all.sort_unstable();
    all
}

/// A folder with nothing in it.
pub(crate) fn empty_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The names in a folder, in order.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The last part of a path.
pub(crate) fn leaf(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8")
}

/// The BLAKE3 hash of a content, in hexadecimal digits.
pub(crate) fn hash_of(content: impl AsRef<[u8]>) -> String {
    blake3::hash(content.as_ref()).to_hex().to_string()
}

/// A port of 127.0.0.1 that refuses connections for as long as the value lives: it is bound, but nobody listens.
#[derive(Debug)]
pub(crate) struct RefusingPort {
    socket: Socket,
}

impl RefusingPort {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self { socket }
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().as_socket().unwrap().port()
    }

    /// As `--server` and `--from` take it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

/// A text in the form of an RFC: its title is in the place of a heading.
pub(crate) fn rfc(number: u32, title: &str) -> String {
    format!(
        "\r\n\r\nNetwork Working Group\r\nRequest for Comments: {number}\r\n\r\n\r\n                {title}\r\n\r\n\
         Text of RFC {number}.\r\n"
    )
}
