//! Under which name a file is kept by whoever fetches it.

use crate::value::file_name::percent_encode;

/// The value of a `Content-Disposition`: to be kept, never shown, under a name that cannot break out of the header (RFC 6266,
/// appendix D): plain ASCII for all, and the very name, encoded, where that differs.
pub fn attachment(leaf: Option<&str>) -> String {
    let Some(leaf) = leaf else { return "attachment".to_owned() };
    let plain = |letter: char| {
        letter == ' ' || (letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%' | '/'))
    };
    let ascii: String = leaf.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    match ascii == leaf {
        true => format!("attachment; filename=\"{ascii}\""),
        false => {
            let encoded = percent_encode(leaf).replace('/', "%2F");
            format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_its_header() {
        assert_eq!(attachment(Some("rfc 1.txt")), "attachment; filename=\"rfc 1.txt\"");
        assert_eq!(attachment(None), "attachment");
        assert_eq!(
            attachment(Some("ü\"\\\r\n/%41.txt")),
            "attachment; filename=\"_______41.txt\"; filename*=UTF-8''%C3%BC%22%5C%0D%0A%2F%2541.txt"
        );
        for leaf in ["\r\nX: y", "\u{202e}gpj.exe", "a\";filename=b", "\0\u{7f}\u{9b}"] {
            let shown = attachment(Some(leaf));
            assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{shown}");
            assert_eq!(shown.matches('"').count(), 2, "{shown}");
        }
    }
}
