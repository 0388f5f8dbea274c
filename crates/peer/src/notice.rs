//! What a peer tells whoever runs it, as values: wording and printing are the binary's.

use std::net::SocketAddr;
use std::time::Duration;

use net::accept::AcceptNotice;
use net::body::SendFileError;
use proto::http::refusal::Refusal;
use proto::http::request::{Method, Request};
use proto::http::status::Status;
use proto::http::target::Target;
use proto::value::number::RfcNumber;
use proto::wire::refusal::Reason;
use proto::wire::status::StatusCode;

pub use crate::shares::ShareNotice;

/// Hears what happens. Called from the tasks that work, so it must not wait for anything.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: Notice);
}

/// Something happened.
#[derive(Debug)]
pub enum Notice {
    /// At the door of the upload server.
    Accept(AcceptNotice),
    /// A GET was answered, or its answer was cut.
    Upload {
        /// Who asked.
        source: SocketAddr,
        /// What for.
        number: RfcNumber,
        /// The file's length in bytes; 0 when there is none.
        length: u64,
        /// How it ended.
        outcome: UploadOutcome,
    },
    /// A request to the upload server was refused.
    UploadRefused {
        /// Who asked.
        source: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// A request in HTTP was answered, or its answer was cut.
    Http {
        /// Who asked.
        source: SocketAddr,
        /// What was answered.
        answer: HttpAnswer,
        /// Why not all of it was sent; the connection was reset then.
        cut: Option<SendFileError>,
    },
    /// A request in HTTP was refused, and its connection closed.
    HttpRefused {
        /// Who asked.
        source: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// On the link to the index.
    Link(LinkNotice),
    /// About what is shared.
    Shares(ShareNotice),
}

/// An answer in HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// How it was asked for.
    pub method: Method,
    /// What was asked for; safe to show.
    pub target: Target,
    /// How it was answered.
    pub status: Status,
    /// The length in bytes of what was sent of a file.
    pub length: u64,
}

impl HttpAnswer {
    pub(crate) fn new(request: &Request, status: Status, length: u64) -> Self {
        Self { method: request.method, target: request.target.clone(), status, length }
    }

    /// The same of a request that is done with.
    pub(crate) fn of(request: Request, status: Status, length: u64) -> Self {
        Self { method: request.method, target: request.target, status, length }
    }
}

/// How a GET ended.
#[derive(Debug)]
pub enum UploadOutcome {
    /// All bytes were sent.
    Done,
    /// The number is not shared, or its file is gone: 404.
    NotFound,
    /// The connection was reset, so that nobody takes a part for the whole.
    Cut(SendFileError),
}

/// What happens on the link to the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkNotice {
    /// The connection stands.
    Connected {
        /// The index's address.
        index: SocketAddr,
        /// The host that we claim in requests.
        host: String,
    },
    /// Everything that is shared has been sent to the index once on this connection.
    Registered {
        /// Files that the index took.
        files: usize,
        /// Files that it refused: each was told as [`Self::Refused`].
        refused: usize,
    },
    /// The index did not take a file; the others go on.
    Refused {
        /// The file.
        number: RfcNumber,
        /// What the index answered; `None` for an answer without a status.
        status: Option<StatusCode>,
    },
    /// The index did not take some of the files of a batch; the others go on.
    NotTaken {
        /// What it said about the first of them: any characters.
        why: String,
        /// How many.
        count: usize,
    },
    /// The connection is gone, or could not be made.
    Lost {
        /// In words.
        why: String,
    },
    /// The next try to connect comes after this pause.
    RetryIn(Duration),
}
