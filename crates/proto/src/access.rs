//! Who may do what: tokens and their rights, tickets for single files, and what guessing costs.
//!
//! Everything here is a decision about values: the time, the address and the bytes of a file come in as arguments.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub mod credential;
pub mod groups;
pub mod rights;
pub mod ticket;
pub mod tokens;

use self::rights::{Right, Rights};

/// Bytes in which no token is left, in whatever form it was shown: for whoever shows what came.
#[must_use]
pub fn redacted(bytes: &[u8]) -> Cow<'_, [u8]> {
    match without_credentials(bytes) {
        Some(kept) => Cow::Owned(without_tokens(&kept).into_owned()),
        None => without_tokens(bytes),
    }
}

/// The same without the values of `Authorization`, of which only the scheme stays; `None` where there are none.
fn without_credentials(bytes: &[u8]) -> Option<Vec<u8>> {
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
    lines().any(|line| credential(line).is_some()).then(|| {
        let mut kept = Vec::with_capacity(bytes.len());
        for line in lines() {
            let Range { start, end } = credential(line).unwrap_or(line.len()..line.len());
            kept.extend_from_slice(line.get(..start).unwrap_or_default());
            kept.extend_from_slice(if start < end { "…".as_bytes() } else { b"" });
            kept.extend_from_slice(line.get(end..).unwrap_or_default());
        }
        kept
    })
}

/// Where in a line of `Authorization` the proof stands: behind the scheme, if there is one.
fn credential(line: &[u8]) -> Option<Range<usize>> {
    let line = line.trim_ascii_end();
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon.saturating_add(1))?;
    let name = name.strip_suffix(b":")?.trim_ascii();
    let value = value.trim_ascii_start();
    let scheme = value.iter().position(u8::is_ascii_whitespace);
    let proof = scheme.and_then(|end| value.get(end..)).map_or(value, <[u8]>::trim_ascii_start);
    let is_one = name.eq_ignore_ascii_case(b"authorization") && !proof.is_empty();
    is_one.then(|| line.len().saturating_sub(proof.len())..line.len())
}

fn without_tokens(bytes: &[u8]) -> Cow<'_, [u8]> {
    let begin = tokens::PREFIX.as_bytes();
    let mut kept: Vec<u8> = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, begin) {
        let (before, from) = rest.split_at(at.saturating_add(begin.len()));
        kept.extend_from_slice(before);
        let digits = from.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        kept.extend_from_slice(if digits > 0 { "…".as_bytes() } else { b"" });
        rest = from.get(digits..).unwrap_or_default();
    }
    if kept.is_empty() {
        return Cow::Borrowed(bytes);
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

/// Why somebody may not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It takes a token, and there was none.
    NoToken {
        /// What was asked takes this right.
        needed: Right,
    },
    /// Nobody was given this token, or it was taken back.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token came in plain text, and not from this machine.
    PlainText,
    /// The token has other rights.
    Lacks {
        /// What was asked takes this right.
        needed: Right,
        /// What it has.
        has: Rights,
    },
    /// Too many wrong tokens came from that network; none is looked at for so many seconds.
    Penalised {
        /// For so long.
        seconds: u64,
    },
}

impl Denied {
    /// The status code in 1.1 and in HTTP.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::NoToken { .. } | Self::Unknown | Self::Expired => 401,
            Self::PlainText | Self::Lacks { .. } => 403,
            Self::Penalised { .. } => 429,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken { needed } => {
                write!(f, "this takes a token with the right '{needed}' (P2PCI_TOKEN, or --token-file)")
            }
            Self::Unknown => f.write_str("this token is not known here, or it was revoked"),
            Self::Expired => f.write_str("the time of this token is over"),
            Self::PlainText => f.write_str(
                "a token is not taken in plain text, where others read it: use tls://, and have this one revoked",
            ),
            Self::Lacks { needed, has } => write!(f, "this token lacks the right '{needed}'; it has: {has}"),
            Self::Penalised { seconds } => {
                write!(f, "too many wrong tokens came from there; none is looked at for {seconds} s")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_code_and_says_what_to_do() {
        let needed = Right::Add;
        let told = [
            (Denied::NoToken { needed }, 401, "'add' (P2PCI_TOKEN, or --token-file)"),
            (Denied::Unknown, 401, "not known here, or it was revoked"),
            (Denied::Expired, 401, "the time of this token is over"),
            (Denied::PlainText, 403, "use tls://, and have this one revoked"),
            (Denied::Lacks { needed, has: "list".parse().unwrap() }, 403, "'add'; it has: list"),
            (Denied::Penalised { seconds: 7 }, 429, "for 7 s"),
        ];
        for (denied, code, says) in told {
            assert_eq!(denied.code(), code, "{denied}");
            assert!(denied.to_string().contains(says), "{denied}");
        }
    }

    #[test]
    fn w7_no_token_is_left_in_what_is_shown() {
        let token = tokens::Secret::new([0xab; 32]).written_out();
        let shown = |text: &str| String::from_utf8(redacted(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(shown(&format!("A: Bearer {token}\r\nB: {token}x")), "A: Bearer p2pci_…\r\nB: p2pci_…x");
        assert_eq!(shown("p2pci_ and p2pci"), "p2pci_ and p2pci");
        let head = |line: &str| format!("PING ALL P2P-CI/1.1\r\n{line}\r\nHost: h\r\n\r\n");
        for (line, left) in [
            ("Authorization: Basic dTpwMnBjaV8=", "Authorization: Basic …"),
            ("authorization :  Ticket  abc.def ", "authorization :  Ticket  … "),
            ("\tAUTHORIZATION:dTpwMnBjaV8=", "\tAUTHORIZATION:…"),
            ("Authorization: a b c", "Authorization: a …"),
            ("Authorization:", "Authorization:"),
            ("Title: Authorization: Basic x", "Title: Authorization: Basic x"),
        ] {
            assert_eq!(shown(&head(line)), head(left));
            assert_eq!(shown(line), left, "without an end");
        }
    }
}
