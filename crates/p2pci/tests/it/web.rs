//! HTTP on the index's port: who may ask, what the API says, what happens live. The threats' ids are those of the list that
//! `docs/security.md` speaks of.

mod api;
mod dashboard;
mod events;
mod gate;
mod measure;
mod metrics;
mod own;
mod schema;
