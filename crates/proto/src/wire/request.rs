//! A parsed request.

use super::add::Add;
use super::departure::Departures;
use super::framing::Framing;
use super::get::Get;
use super::list::List;
use super::lookup::Lookup;
use super::v11::request::Ask;
use super::version::Version;

/// A request that keeps the protocol's rules; it borrows from the decoder that read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The version in which it came, and in which it is to be answered.
    pub version: Version,
    /// What is asked.
    pub verb: Verb<'a>,
    /// How it was framed, and so how its answer must be.
    pub framing: Framing,
    /// Where it departs from the specification.
    pub departures: Departures,
    /// The bytes as they came, for the log.
    pub raw: &'a [u8],
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb<'a> {
    /// Register a file (to the index).
    Add(Add<'a>),
    /// Who has a file? (to the index)
    Lookup(Lookup<'a>),
    /// Every record (to the index).
    List(List<'a>),
    /// A file's bytes (to a peer).
    Get(Get<'a>),
    /// Anything of 1.1 (to the index).
    V11(Ask<'a>),
}
