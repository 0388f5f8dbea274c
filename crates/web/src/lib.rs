//! The HTTP face of the index, for whoever has a browser or curl and no peer; and the page of a peer for whoever runs it ([`own`]).
//!
//! A connection in HTTP is read by the decoder of the upload ports, so that both ports refuse the same things with the same
//! words, and nothing here has to guess where a request ends. What is sound goes through a router of axum to handlers that only
//! read: `api` for programs, `page` for people, `metrics` for monitoring, `files` for downloads.
//!
//! Absent on purpose: anything that changes state, so that no page of another site can make a browser change something here;
//! sessions, cookies and rooms for templates; and files of the system, as everything that is served lies in the binary.

mod answer;
mod api;
mod conversation;
pub mod feed;
mod files;
mod metrics;
pub mod notice;
pub mod own;
mod page;
pub mod site;
