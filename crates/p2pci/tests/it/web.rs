//! HTTP on the index's port: who may ask, what the API says, what happens live. The threats' ids are those of the list that
//! `docs/security.md` speaks of.

mod api;
mod events;
mod gate;
mod metrics;
