//! How a request was cut into lines, and what its answer must look like for the program that sent it.
//!
//! The table is the one measured with existing programs: `docs/protocol.md`, "Dialects".

use std::fmt;

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineEnd {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
}

impl LineEnd {
    /// As bytes.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }

    /// Appends lines, each with this end.
    pub fn write_lines<T: AsRef<[u8]>>(self, lines: &[T], out: &mut Vec<u8>) {
        for line in lines {
            out.extend_from_slice(line.as_ref());
            out.extend_from_slice(self.as_bytes());
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// With its empty line, as specified.
    EmptyLine,
    /// With the line end of its last header, and then silence or the next request.
    LastLine,
    /// Within its last header, and then silence.
    Unterminated,
    /// With `~` up to a fixed size.
    Padding,
}

/// How one request was framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Framing {
    /// The end of its first line; CRLF when it had none.
    pub line_end: LineEnd,
    /// How it ended.
    pub ending: Ending,
    /// No header had a space after its colon.
    pub tight: bool,
}

/// The framing of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerFraming {
    /// The end of every line.
    pub line_end: LineEnd,
    /// An empty line follows the status line.
    pub after_status: bool,
    /// An empty line ends the answer.
    pub at_end: bool,
}

/// The ways in which existing programs speak P2P-CI/1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// CRLF, an empty line, `Name: value`.
    Spec,
    /// LF and no empty line: the seed's program (which also says `Post` for `Port`).
    Original,
    /// LF and an empty line.
    LfBlank,
    /// CRLF and no empty line.
    CrlfPlain,
    /// No line end after the last header.
    Unterminated,
    /// Filled up with `~`.
    Padded,
    /// CRLF, an empty line, no space after colons.
    Tight,
}

impl Framing {
    /// What the specification asks for.
    pub const SPEC: Self = Self { line_end: LineEnd::CrLf, ending: Ending::EmptyLine, tight: false };

    /// The dialect that frames its requests so.
    pub fn dialect(self) -> Dialect {
        match (self.ending, self.line_end) {
            (Ending::EmptyLine, LineEnd::CrLf) if self.tight => Dialect::Tight,
            (Ending::EmptyLine, LineEnd::CrLf) => Dialect::Spec,
            (Ending::EmptyLine, LineEnd::Lf) => Dialect::LfBlank,
            (Ending::LastLine, LineEnd::CrLf) => Dialect::CrlfPlain,
            (Ending::LastLine, LineEnd::Lf) => Dialect::Original,
            (Ending::Unterminated, _) => Dialect::Unterminated,
            (Ending::Padding, _) => Dialect::Padded,
        }
    }

    /// The framing in which the sender of such a request understands its answer.
    pub fn answer(self) -> AnswerFraming {
        let (after_status, at_end) = match self.dialect() {
            Dialect::Spec => (true, true),
            Dialect::LfBlank | Dialect::Tight => (false, true),
            Dialect::Original | Dialect::CrlfPlain | Dialect::Unterminated | Dialect::Padded => {
                (false, false)
            }
        };
        AnswerFraming { line_end: self.line_end, after_status, at_end }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spec => "spec",
            Self::Original => "original",
            Self::LfBlank => "lf-blank",
            Self::CrlfPlain => "crlf-plain",
            Self::Unterminated => "unterminated",
            Self::Padded => "padded",
            Self::Tight => "tight",
        })
    }
}
