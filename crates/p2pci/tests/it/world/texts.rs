//! The folder of RFC texts that the tests share: real ones where they are at hand, else generated ones with the same traits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How many numbered texts are generated, as many as the collection of real ones has.
const GENERATED: u32 = 463;

/// A folder of `rfcN.txt`, and one `rfc17a.txt` that has no number.
#[derive(Debug)]
pub(crate) struct Texts {
    folder: PathBuf,
}

/// The texts of this run.
pub(crate) fn texts() -> &'static Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let folder = chosen();
        eprintln!("texts: {}", folder.display());
        Texts { folder }
    })
}

impl Texts {
    /// The folder; nobody writes to it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The numbers of its texts, in order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let number = |name: &str| name.strip_prefix("rfc")?.strip_suffix(".txt")?.parse().ok();
        let mut numbers: Vec<u32> = names.filter_map(|name| number(name.to_str()?)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The bytes of one text.
    pub(crate) fn bytes(&self, number: u32) -> Vec<u8> {
        fs::read(self.folder.join(format!("rfc{number}.txt"))).unwrap()
    }
}

fn chosen() -> PathBuf {
    if let Some(folder) = std::env::var_os("P2PCI_RFC_DIR") {
        return folder.into();
    }
    let nearby = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rfc");
    match nearby.canonicalize() {
        Ok(folder) if folder.is_dir() => folder,
        _ => generated(),
    }
}

/// Generates the texts once for all runs; whoever comes second finds them whole, because a folder is renamed at once.
fn generated() -> PathBuf {
    let targets = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = targets.join("generated-texts-1");
    if folder.is_dir() {
        return folder;
    }
    let building = tempfile::tempdir_in(targets).unwrap().keep();
    for number in 1..=GENERATED {
        fs::write(building.join(format!("rfc{number}.txt")), text(number)).unwrap();
    }
    fs::write(building.join("rfc17a.txt"), text(17)).unwrap();
    if fs::rename(&building, &folder).is_err() {
        fs::remove_dir_all(&building).unwrap();
    }
    folder
}

/// One text with the traits of the real ones: empty lines at the start, CRLF in some, bytes that are not UTF-8 in some, form
/// feeds, a heading with the number, lengths from below one segment to far above it.
fn text(number: u32) -> Vec<u8> {
    let end = if number.is_multiple_of(3) { "\n" } else { "\r\n" };
    let mut text = end.repeat(number as usize % 5 + 1).into_bytes();
    let heading = [
        "Network Working Group",
        &format!("Request for Comments: {number}"),
        "",
        &format!("   Sample Text {number}"),
        "",
    ];
    for line in heading {
        text.extend_from_slice(format!("{line}{end}").as_bytes());
    }
    if number.is_multiple_of(40) {
        text.extend_from_slice(b"na\xefve caf\xe9 \xff\xfe");
    }
    for line in 0..number * 7 % 900 {
        text.extend_from_slice(format!("   Line {line} of text {number}.{end}").as_bytes());
        if line % 56 == 55 {
            text.extend_from_slice(b"\x0c\r\n");
        }
    }
    text
}
