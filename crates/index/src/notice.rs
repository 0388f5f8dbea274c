//! What happens at the index, told to whoever wants to show or count it.

use std::io;
use std::net::SocketAddr;

use proto::access::Denied;
use proto::directory::SessionId;
use proto::wire::refusal::{Reason, Refusal};
use proto::wire::request::Request;

/// Something that happened. Bytes of requests are as they came: whoever shows them escapes them.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A connection said its first bytes.
    Joined {
        /// Its session.
        id: SessionId,
        /// Where it comes from.
        source: SocketAddr,
    },
    /// A connection ended, and its records are already gone.
    Left {
        /// Its session.
        id: SessionId,
        /// Where it came from.
        source: SocketAddr,
        /// Records that went with it.
        records: usize,
        /// Why it ended.
        why: &'a LeftWhy,
    },
    /// A request was answered.
    Request {
        /// Where it came from.
        source: SocketAddr,
        /// The request.
        request: &'a Request<'a>,
        /// What was answered: a code and a phrase.
        status: &'static str,
        /// Records in the answer; fewer than there are when the connection broke under it.
        records: usize,
        /// It is a member of a group who asked, so it may be about what others are not to know of.
        of_member: bool,
    },
    /// A request was refused.
    Refused {
        /// Where it came from.
        source: SocketAddr,
        /// The request, and why.
        refusal: &'a Refusal<'a>,
    },
}

/// Why a connection ended.
#[derive(Debug)]
pub enum LeftWhy {
    /// The other side closed it.
    EndOfFile,
    /// After this refusal nothing on it could be understood.
    Refused(Reason),
    /// The token that it had shown was taken back, or its time is over.
    LostToken(Denied),
    /// The other side did not read its answers.
    Stalled,
    /// It broke.
    Error(io::Error),
    /// The index stops.
    Stopping,
}

/// Hears what happens. Called from the sessions themselves, so it must not wait for anything.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: &Notice<'_>);

    /// Whether [`Notice::Request`] is wanted. They are by far the most.
    fn wants_requests(&self) -> bool;
}
