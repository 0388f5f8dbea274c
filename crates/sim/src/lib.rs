//! Simulations: the same seed gives the same run to the last event, and a failure is its seed.
//!
//! Time is a number that jumps from one event to the next.
//!
//! * [`system`]: an index, peers, their disks, the network and the clock in one process, on the code that the program runs
//!   (decision 0030).
//! * [`swarm`]: the plans of many downloads alone, which is faster by far.
//! * [`ground`]: the clock and the dice under a simulated system.

pub mod ground;
pub mod swarm;
pub mod system;
