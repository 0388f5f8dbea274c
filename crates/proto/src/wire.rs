//! The messages of P2P-CI, read and written without IO: 1.0 here, 1.1 in [`v11`].
//!
//! Existing programs disagree about line ends and empty lines, so an answer goes out in the framing that its request
//! came in: [`framing`] names what differs, [`decoder`] recognises it, and every `write_…` function takes it.
//!
//! One verb, one file, with its parsing, its writing and their tests: [`add`], [`lookup`], [`list`], [`get`].

pub mod add;
pub mod answer;
pub mod answer_decoder;
pub mod canonical;
pub mod decoder;
pub mod departure;
pub mod file_decoder;
pub mod framing;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod get;
mod head;
pub mod list;
pub mod lookup;
pub mod record;
pub mod refusal;
pub mod request;
pub mod status;
pub mod v11;
pub mod version;
