//! Transfers by hash, decided without a socket, a file or a clock.
//!
//! * [`blocks`]: a file as blocks, and the list against which each block verifies by itself.
//! * [`runs`]: sets of blocks.
//! * [`journal`]: which blocks of a part file were verified, as bytes that survive the process.
//! * [`end`]: a file's size, proven in a kilobyte.
//! * [`have`]: what a downloader has already, as it tells others.
//! * [`plan`]: which source is asked for which blocks, and what becomes of a source.
//! * [`rate`]: a limit of bytes a second.
//! * [`answer`]: the head of an HTTP answer, and what it promises about a body.

pub mod answer;
pub mod blocks;
pub mod end;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod have;
pub mod journal;
pub mod plan;
pub mod rate;
pub mod runs;
