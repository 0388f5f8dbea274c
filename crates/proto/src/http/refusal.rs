//! Why a request in HTTP is refused. Whoever is refused so is not listened to any longer: what follows on the connection could
//! be the rest of the same request.

use super::status::Status;
use crate::limits::{HEAD_BYTES_MAX, HTTP_HEADERS_MAX, LINE_BYTES_MAX, REQUEST_DEADLINE};

/// Why; displayed as one line for the other side to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A line feed without a carriage return.
    #[error("a line ends in CR LF, and this one in LF alone")]
    LineFeedAlone,
    /// A carriage return without a line feed.
    #[error("a CR stands only before an LF")]
    CarriageReturnAlone,
    /// The request line is longer than the limit for lines.
    #[error("the request line is longer than {LINE_BYTES_MAX} bytes")]
    TargetTooLong,
    /// A header line is.
    #[error("a header line is longer than {LINE_BYTES_MAX} bytes")]
    HeaderTooLong,
    /// All lines together are.
    #[error("the request head is longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// Too many header lines.
    #[error("the request has more than {HTTP_HEADERS_MAX} header lines")]
    TooManyHeaders,
    /// Not whole in time.
    #[error("the request was not complete within {} seconds", REQUEST_DEADLINE.as_secs())]
    Late,
    /// The first line is none of HTTP.
    #[error("the first line is no request line of HTTP")]
    RequestLine,
    /// Another version than 1.0 and 1.1.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// A header line without a proper name, with a space before its colon, or that continues the one before.
    #[error("a header line is not of the form 'Name: value'")]
    HeaderName,
    /// A control character.
    #[error("a header value contains a character that it must not")]
    HeaderValue,
    /// HTTP/1.1 without `Host`.
    #[error("a request in HTTP/1.1 has a Host header")]
    HostMissing,
    /// Several `Host`.
    #[error("a request has only one Host header")]
    HostTwice,
    /// `Host` that is no host, or not the one of the target.
    #[error("the Host header is not a host with an optional port, or not the one of the request line")]
    HostInvalid,
    /// `Transfer-Encoding`, or something that another program could take for it.
    #[error("requests with a Transfer-Encoding are not served")]
    TransferEncoding,
    /// `Content-Length` twice, or not a number, or something that another program could take for it.
    #[error("the Content-Length header is not one number")]
    ContentLength,
    /// A GET or HEAD that announces a body.
    #[error("a request for a file has no body")]
    Body,
    /// Neither a path nor a URL of HTTP.
    #[error("the target is neither a path nor an http URL")]
    Target,
    /// Another method than GET and HEAD.
    #[error("only GET and HEAD are served")]
    Method,
}

impl Refusal {
    /// The status that it is told with.
    pub fn status(self) -> Status {
        match self {
            Self::TargetTooLong => Status::UriTooLong,
            Self::HeaderTooLong | Self::HeadTooLong | Self::TooManyHeaders => Status::HeaderFieldsTooLarge,
            Self::Late => Status::RequestTimeout,
            Self::Version => Status::VersionNotSupported,
            Self::Method => Status::MethodNotAllowed,
            _ => Status::BadRequest,
        }
    }
}
