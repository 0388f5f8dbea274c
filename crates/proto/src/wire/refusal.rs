//! Why a request is refused. On the wire every refusal of 1.0 is a bare status; the reason is for the log.

use super::departure::Departure;
use super::framing::Framing;
use super::status::Status;
use super::version::Version;
use crate::limits;
use crate::value::ValueError;

/// The headers that requests of 1.0 may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The host of the sender, or the one that is asked.
    Host,
    /// The upload port of the sender.
    Port,
    /// The title of the RFC.
    Title,
    /// The operating system of the sender.
    Os,
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "Host",
            Self::Port => "Port",
            Self::Title => "Title",
            Self::Os => "OS",
        })
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The first byte belongs to no request.
    #[error("this is not P2P-CI: the first byte is no letter")]
    NotText,
    /// See [`limits::LINE_BYTES_MAX`].
    #[error("a line is longer than {} bytes", limits::LINE_BYTES_MAX)]
    LineTooLong,
    /// See [`limits::HEAD_BYTES_MAX`].
    #[error("the request is longer than {} bytes", limits::HEAD_BYTES_MAX)]
    HeadTooLong,
    /// See [`limits::HEADERS_MAX`].
    #[error("more than {} header lines", limits::HEADERS_MAX)]
    TooManyHeaders,
    /// See [`limits::REQUEST_DEADLINE`].
    #[error("still incomplete {} s after its first byte", limits::REQUEST_DEADLINE.as_secs())]
    Incomplete,
    /// The connection ended within the request.
    #[error("the connection ended in the middle of the request")]
    EndOfFile,
    /// See [`limits::BODY_DEADLINE`].
    #[error("the body is still incomplete {} s after the request's first byte", limits::BODY_DEADLINE.as_secs())]
    BodyIncomplete,
    /// Not `METHOD RFC NUMBER VERSION` or `LIST ALL VERSION`.
    #[error("the request line is not 'METHOD RFC NUMBER P2P-CI/1.0' or 'LIST ALL P2P-CI/1.0'")]
    RequestLine,
    /// The number in the request line is none.
    #[error("the RFC number is {0}")]
    Number(ValueError),
    /// A method that is neither ADD, LOOKUP, LIST nor GET.
    #[error("the method is none of ADD, LOOKUP, LIST and GET")]
    UnknownMethod,
    /// A known method of 1.1 with other words than it takes.
    #[error("the request line is none of those of this version")]
    RequestLineV11,
    /// A method that 1.1 does not have.
    #[error("the method is none of those of this version")]
    UnknownMethodV11,
    /// A version that we don't speak.
    #[error("the version is not P2P-CI/1.0")]
    Version,
    /// A header line without a colon.
    #[error("a header line has no colon")]
    NoColon,
    /// The same header twice.
    #[error("the '{0}' header comes twice")]
    Duplicate(Field),
    /// A header that the method needs.
    #[error("the '{0}' header is missing")]
    Missing(Field),
    /// A header's value is not what it must be.
    #[error("the value of '{0}' is {1}")]
    Value(Field, ValueError),
    /// Requests of P2P-CI have no body; a length of one puts the framing in doubt.
    #[error("a P2P-CI request has no body, but a header announces one")]
    Body,
    /// A request of 1.1 whose lines don't all end in CRLF, that has no empty line, or a header that is none.
    #[error(
        "1.1 is exact: every line ends in CRLF, every header is 'Name: value', and an empty line ends the head"
    )]
    Framing,
    /// A request of 1.1 whose name or hash is none.
    #[error("the target is no RFC number, no name of a file and no hash")]
    Target,
    /// A header of 1.1 whose value is not what it must be.
    #[error("the value of a header is not what it must be")]
    Header,
    /// A SEARCH without a query, or with one that is none.
    #[error(
        "'Query' must be there once: at most {} bytes of UTF-8, percent-encoded, without control characters",
        limits::QUERY_BYTES_MAX
    )]
    Query,
    /// The same header twice in 1.1.
    #[error("a header comes twice")]
    Twice,
    /// See [`limits::BODY_BYTES_MAX`].
    #[error("the body is longer than {} bytes, or its length is not one number", limits::BODY_BYTES_MAX)]
    BodyTooLong,
    /// Refused by strict reading only.
    #[error("strict reading: {0}")]
    Strict(Departure),
    /// A good request at the wrong kind of server.
    #[error("{0}")]
    NotServedHere(&'static str),
    /// See [`limits::RECORDS_PER_SESSION_MAX`] and [`limits::RECORDS_MAX`].
    #[error("the limit of {0} records is reached")]
    TooManyRecords(usize),
}

impl Reason {
    /// The status that says so in 1.0.
    pub fn status(self) -> Status {
        match self {
            Self::Version => Status::VersionNotSupported,
            _ => Status::BadRequest,
        }
    }

    /// Whether the place where the next request begins is in doubt, so that the connection must close.
    pub fn closes(self) -> bool {
        matches!(
            self,
            Self::NotText
                | Self::LineTooLong
                | Self::HeadTooLong
                | Self::TooManyHeaders
                | Self::Incomplete
                | Self::BodyIncomplete
                | Self::EndOfFile
                | Self::Body
                | Self::BodyTooLong
                | Self::Framing
        )
    }
}

/// A refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Why.
    pub reason: Reason,
    /// In which version it asked, as far as could be told.
    pub version: Version,
    /// How the request was framed, as far as could be told.
    pub framing: Framing,
    /// What was read of the request, for the log.
    pub raw: &'a [u8],
}
