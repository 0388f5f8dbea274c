//! The messages of P2P-CI/1.0, read and written without IO.
//!
//! Existing programs disagree about line ends and empty lines, so an answer goes out in the framing that its request
//! came in: [`framing`] names what differs, [`decoder`] recognises it, and every `write_…` function takes it.
//!
//! One verb, one file, with its parsing, its writing and their tests: [`add`], [`lookup`], [`list`], [`get`].

pub mod add;
pub mod answer;
pub mod answer_decoder;
pub mod decoder;
pub mod departure;
pub mod file_decoder;
pub mod framing;
pub mod get;
mod head;
pub mod list;
pub mod lookup;
pub mod record;
pub mod refusal;
pub mod request;
pub mod status;
pub mod version;
