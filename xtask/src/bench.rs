//! `cargo xtask bench`: measurements that belong to the project, so that a figure in the documentation can be had again.
//!
//! Figures of one machine at one moment are worth little; what counts are ratios against a floor and a peer that ran in turn with
//! us. So everything here runs interleaved, and reports medians.

mod asked;
mod cluster;
mod files;
mod floor;
mod http;
mod instructions;
pub(crate) mod load;
mod pin;
mod report;
mod rows;
pub(crate) mod server;
pub(crate) mod stats;
pub(crate) mod swarm;
pub(crate) mod talk;
mod titles;
mod transfer;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

pub(crate) use rows::list;

pub(crate) use asked::{Asked, USAGE, parse};

use crate::repository;

/// Runs a measurement; `true` unless something that was asked for could not be measured.
pub(crate) fn command(asked: &Asked, typed: &[String]) -> anyhow::Result<bool> {
    match asked {
        Asked::Floor { request, answer } => floor::serve(*request, *answer).map(|()| true),
        Asked::Instructions => instructions::command(),
        // An unoptimised generator would measure itself.
        Asked::Index(_) | Asked::Files(_) | Asked::Http(_) | Asked::Transfer(_) | Asked::Cluster(_)
            if cfg!(debug_assertions) =>
        {
            run_optimised(typed)
        }
        Asked::Index(index) => rows::command(index),
        Asked::Files(asked) => files::command(asked),
        Asked::Http(http) => http::command(http),
        Asked::Cluster(asked) => cluster::command(asked),
        Asked::Swarm(_) if cfg!(debug_assertions) => run_optimised(typed),
        Asked::Swarm(asked) => swarm::command(asked),
        Asked::Transfer(asked) => transfer::command(asked),
        Asked::Send(path) => transfer::send(path).map(|()| true),
        Asked::SendTls([file, certificate, key]) => transfer::send_tls(file, certificate, key).map(|()| true),
    }
}

/// Builds the work of the index without sockets, as it is released.
fn build_engine(root: &Path) -> anyhow::Result<()> {
    let built = Command::new(repository::cargo())
        .args(["build", "--quiet", "--release", "--package", "index", "--example", "engine"])
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo build")?;
    ensure!(built.success(), "the release build failed");
    Ok(())
}

/// Builds the server and this tool as they are released, and lets that tool do it.
fn run_optimised(typed: &[String]) -> anyhow::Result<bool> {
    let root = repository::root();
    let target = repository::metadata(&root)?.target_directory;
    let built = Command::new(repository::cargo())
        .args(["build", "--quiet", "--release", "--package", "p2pci", "--package", "xtask"])
        .current_dir(&root)
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo build")?;
    ensure!(built.success(), "the release build failed");
    build_engine(&root)?;
    let status = Command::new(target.join("release/xtask"))
        .args(typed)
        .current_dir(&root)
        .status()
        .context("cannot start the optimised tool")?;
    Ok(status.success())
}
