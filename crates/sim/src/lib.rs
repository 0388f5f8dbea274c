//! A world of peers from one seed: hosts with rates, links with delays and faults, an index that tells who is there, and in each
//! downloader the very plan that the program runs.
//!
//! Time is a number that jumps from one event to the next, so an hour of a swarm takes milliseconds, and the same seed gives the
//! same world to the last event. Only decisions are simulated: bytes are counted and never made.
//!
//! * [`scenario`]: what a world is made of; random ones come from a seed.
//! * [`world`]: the events, in order, and what follows from them.
//! * [`judge`]: what must hold in each world.
//! * `downloader`: a plan, its sources and its board.
//! * `serving`: who sends what to whom; `flows`: how fast.

mod downloader;
mod flows;
pub mod judge;
pub mod scenario;
mod serving;
pub mod world;
