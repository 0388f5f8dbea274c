//! Tests of the real binary: every program here is `p2pci` as a user starts it, every other party speaks raw bytes.
//!
//! Ports are given by the system, traffic stays on loopback or in network namespaces that a test made itself, waits are for
//! conditions and have a bound, and every program that a test started ends with it.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "in a test a panic is the report")]

mod access;
mod client_menu;
mod clock;
mod cluster;
mod crowd;
mod demo;
mod faults_client;
mod faults_index;
mod fetch;
mod foreign;
mod foreign_index;
mod get;
mod hostile;
mod http;
mod limits;
mod namespaces;
mod order;
mod places;
mod presence;
mod rates;
mod readme;
mod resume;
mod sandbox;
mod search;
mod server_flags;
mod service;
mod several;
mod share;
mod swarm;
mod tls;
mod transcripts;
mod uploads;
mod v11;
mod watch;
mod web;
mod world;
