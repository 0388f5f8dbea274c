//! Swarms from one seed each: hosts with rates, links with delays and faults, an index that tells who is there, and in each
//! downloader the very plan that the program runs.
//!
//! Only decisions are simulated: bytes are counted and never made, so an hour of a large swarm takes milliseconds.
//!
//! * [`scenario`]: what a swarm is made of; random ones come from a seed.
//! * [`world`]: the events, in order, and what follows from them.
//! * [`judge`]: what must hold in each swarm.
//! * `downloader`: a plan, its sources and its board.
//! * `serving`: who sends what to whom; `flows`: how fast.

mod downloader;
mod flows;
pub mod judge;
pub mod scenario;
mod serving;
pub mod world;
