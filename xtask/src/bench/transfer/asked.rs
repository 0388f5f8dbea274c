//! What was typed after `bench transfer`.

/// The file's length unless another one was typed: larger than any cache, and a second or more on the fastest path.
const SIZE: u64 = 4 << 30;
/// The same for a round that only shows that it works.
const QUICK_SIZE: u64 = 128 << 20;

/// `bench transfer`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) parts: Vec<Part>,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// One round with a small file.
    pub(crate) quick: bool,
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Serve,
    Shm,
    Disk,
    Sources,
    Memory,
    Tls,
}

const PARTS: [(&str, Part); 6] = [
    ("serve", Part::Serve),
    ("shm", Part::Shm),
    ("disk", Part::Disk),
    ("sources", Part::Sources),
    ("memory", Part::Memory),
    ("tls", Part::Tls),
];

impl Transfer {
    /// Reads the words.
    pub(crate) fn parse(typed: &[&str]) -> Result<Self, String> {
        let (mut parts, mut size, mut quick) = (Vec::new(), None, false);
        let mut words = typed.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => quick = true,
                "--size" => size = Some(bytes(words.next().ok_or("--size of how much?")?)?),
                name => {
                    let known = PARTS.iter().find(|(known, _)| *known == name);
                    parts.push(known.ok_or(format!("there is no part '{name}'"))?.1);
                }
            }
        }
        if parts.is_empty() {
            parts = PARTS.map(|(_, part)| part).to_vec();
        }
        let size = size.unwrap_or(if quick { QUICK_SIZE } else { SIZE });
        Ok(Self { parts, size, quick })
    }
}

/// A number of bytes, with K, M or G by 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30)];
    let found = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = found.unwrap_or((text, 0));
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("'{text}' is no size; write bytes, such as 512M or 4G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_sizes_are_understood_and_typing_errors_named() {
        let all = Transfer::parse(&[]).unwrap();
        assert_eq!((all.parts.len(), all.size, all.quick), (PARTS.len(), SIZE, false));
        let some = Transfer { parts: vec![Part::Disk, Part::Serve], size: 3 << 20, quick: true };
        assert_eq!(Transfer::parse(&["disk", "--size", "3M", "serve", "--quick"]), Ok(some));
        for wrong in [&["dsik"][..], &["--size"], &["--size", "0"], &["--size", "4T"]] {
            assert!(Transfer::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
