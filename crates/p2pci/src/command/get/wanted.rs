//! What a TARGET of `p2pci get` means.

use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use proto::wire::v11::request::Target;

/// A target, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One file.
    One(Target),
    /// Every file whose name matches.
    Glob(String),
    /// Every file below this folder, with its layout.
    Folder(String),
}

impl Wanted {
    /// 64 hexadecimal digits are a hash, digits an RFC's number, else it is a name; with `*`, `?`, `[` or `{` in it a glob.
    /// `./` before it makes a name of anything. `recursive` makes a folder of a name.
    pub fn parse(text: &str, recursive: bool) -> Result<Self, String> {
        let plain = text.strip_prefix("./");
        if plain.is_none() && !recursive {
            if let Ok(hash) = text.parse::<Digest>() {
                return Ok(Self::One(Target::Hash(hash)));
            }
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                let number = text.parse::<RfcNumber>().map_err(|error| format!("'{text}' is {error}"))?;
                return Ok(Self::One(Target::Rfc(number)));
            }
            if text.contains(['*', '?', '[', '{']) {
                return Ok(Self::Glob(text.to_owned()));
            }
        }
        let name = plain.unwrap_or(text);
        let name = if recursive { name.trim_end_matches('/') } else { name };
        let checked = FileName::parse(name.as_bytes())
            .map_err(|error| format!("'{text}' is no name of a file: {error}"))?;
        Ok(match recursive {
            true => Self::Folder(checked.as_str().to_owned()),
            false => Self::One(Target::File(checked.as_str().to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_hash_a_number_a_glob_or_a_name() {
        let one = |text: &str| Wanted::parse(text, false).unwrap();
        let hash = "ab".repeat(32);
        assert_eq!(one(&hash), Wanted::One(Target::Hash(Digest([0xab; 32]))));
        assert_eq!(one("123"), Wanted::One(Target::Rfc(RfcNumber::new(123).unwrap())));
        assert_eq!(one("a b/c.txt"), Wanted::One(Target::File("a b/c.txt".into())));
        assert_eq!(one("./123"), Wanted::One(Target::File("123".into())));
        assert_eq!(one(&format!("./{hash}")), Wanted::One(Target::File(hash)));
        assert_eq!(one("*.iso"), Wanted::Glob("*.iso".into()));
        assert_eq!(one("./a[1].txt"), Wanted::One(Target::File("a[1].txt".into())));
        assert_eq!(Wanted::parse("models/", true), Ok(Wanted::Folder("models".into())));
        assert_eq!(Wanted::parse("123", true), Ok(Wanted::Folder("123".into())));
        for bad in ["", "0", "99999999999", "../x", "a//b", "/etc/passwd", "a/"] {
            assert!(Wanted::parse(bad, false).is_err(), "{bad}");
        }
    }
}
