//! A peer of P2P-CI: what it shares, its link to the index, its uploads and its downloads.
//!
//! Decisions live in `proto`; this room does the waiting, the files and the sockets around them. It never meets the index's
//! code, only its answers, and it never prints: what happened goes to a [`notice::Observer`] or comes back as a typed error.
//!
//! * [`shares`]: which files are shared, by name, hash and number; found, hashed and watched behind. A request never names a path.
//! * [`upload`]: hands shared files to other peers.
//! * [`link`]: the lasting connection to the index, questions asked without one, and changes that it tells by itself.
//! * [`query`]: questions to the index without a lasting connection.
//! * [`indexes`]: several addresses of indexes, and who stands behind each; [`several`]: questions to all of them, answered as one;
//!   [`links`]: lasting connections to all of them.
//! * [`registrar`]: keeps the index told about everything that is shared.
//! * [`download`]: fetches a file from a peer, whole or not at all.
//! * [`fetch`]: fetches a file by its hash: verified, from several peers, continued where it stopped.
//! * [`offer`]: what a download hands on; [`swarm`]: how others learn of it, and it of them.
//! * [`limit`]: how fast bytes may go; [`traffic`]: who takes how much.
//! * [`notice`]: what a peer tells whoever runs it.

pub mod choice;
pub mod demand;
pub mod dial;
pub mod download;
pub mod fetch;
mod files;
pub mod gate;
pub mod indexes;
mod landing;
pub mod limit;
pub mod link;
pub mod links;
pub mod notice;
pub mod offer;
mod patience;
pub mod query;
pub mod registrar;
pub mod several;
pub mod shares;
pub mod swarm;
pub mod traffic;
pub mod upload;
mod words;
