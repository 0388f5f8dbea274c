//! Seeded mutations: the same seed gives the same input for ever, so a failure is a number.
//!
//! Without feedback from coverage what counts is that mutations keep most of an input valid: small edits, words of the protocols, pieces
//! of other inputs.

/// Words and characters at which parsers branch.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"  ",
    b"\t",
    b"~",
    b":",
    b"-",
    b",",
    b"%",
    b"%2e",
    b"%00",
    b"\"",
    b"\\u0000",
    b"\x1b[2J",
    b"P2P-CI/1.0",
    b"P2P-CI/1.1",
    b"P2P-CI/2.0",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"ADD",
    b"LOOKUP",
    b"LIST",
    b"GET",
    b"SEARCH",
    b"RFC",
    b"FILE",
    b"FILES",
    b"HASH",
    b"ALL",
    b"Host: ",
    b"Port: ",
    b"Title: ",
    b"OS: ",
    b"Wait: ",
    b"Cursor: ",
    b"Prefix: ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Range: bytes=",
    b"Content-Range: bytes ",
    b"If-Range: ",
    b"0",
    b"1",
    b"-1",
    b"65535",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"18446744073709551615",
    b"9223372036854775808",
    b"00000000001",
    b"..",
    b"/",
    b"//",
    b"\\",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"{",
    b"}",
    b"[",
    b"true",
    b"null",
    b"1e400",
];

/// One step of a generator (xorshift64*, Vigna 2016); 0 would stay 0 and is not used.
#[must_use]
pub fn scramble(state: u64) -> u64 {
    let mut next = state.max(1);
    next ^= next >> 12;
    next ^= next << 25;
    next ^= next >> 27;
    next.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// A source of choices.
#[derive(Debug, Clone)]
pub struct Choices(u64);

impl Choices {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(scramble(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// Below `end`; 0 when there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = scramble(self.0);
        let random = usize::try_from(self.0 >> 16).unwrap_or(0);
        random.checked_rem(end).unwrap_or(0)
    }
}

/// Turns one input of a corpus into another, in place. Never longer than `longest`.
pub fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], longest: usize, choices: &mut Choices) {
    for _ in 0..=choices.below(4) {
        let at = choices.below(input.len().saturating_add(1));
        let end = at.saturating_add(choices.below(input.len().saturating_sub(at).min(32).saturating_add(1)));
        match choices.below(9) {
            0 | 1 => flip(input, at, choices),
            2 => drop(input.splice(at..end, std::iter::empty())),
            3 => insert(input, at, WORDS.get(choices.below(WORDS.len())).copied().unwrap_or_default()),
            4 => {
                let word = WORDS.get(choices.below(WORDS.len())).copied().unwrap_or_default();
                drop(input.splice(at..end, word.iter().copied()));
            }
            5 => {
                let piece = input.get(at..end).unwrap_or_default().to_vec();
                insert(input, at, &piece.repeat(choices.below(8).saturating_add(1)));
            }
            6 => input.truncate(at),
            7 => {
                let other = corpus.get(choices.below(corpus.len())).map(Vec::as_slice).unwrap_or_default();
                let from = choices.below(other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                let byte = u8::try_from(choices.below(256)).unwrap_or(0);
                insert(input, at, &[byte]);
            }
        }
        input.truncate(longest);
    }
}

fn flip(input: &mut [u8], at: usize, choices: &mut Choices) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1_u8.wrapping_shl(u32::try_from(choices.below(8)).unwrap_or(0));
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    drop(input.splice(at..at, bytes.iter().copied()));
}
