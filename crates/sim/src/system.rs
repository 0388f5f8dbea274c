//! Whole systems from one seed each: an index, peers that share and fetch, their disks, the network between them and the clock.
//!
//! What runs is the program's own code, from the sockets' seam upwards (`net::machine`): the accept loop, sessions and store of the
//! index; registering, coming back, uploads and downloads of the peers, down to their files, which lie in real folders. Each machine
//! has a runtime of its own, so a process that is killed is gone in the middle of whatever it did.
//!
//! * [`scenario`]: what a world is made of; random ones come from a seed.
//! * [`world`]: lets time pass, and does to the machines what the scenario says.
//! * [`judge`]: what must hold in each world.
//! * `host`: what runs on a machine.
//! * `machine`: the machine under it, for the program's seam.
//! * `network`: connections between machines; `ends`: what the program has of one.
//! * `disk`: what of a folder would survive if the power failed now.

mod disk;
mod ends;
mod host;
pub mod judge;
mod machine;
pub mod network;
pub mod scenario;
pub mod world;
