//! `p2pci get`: what a target means, which content it is, and what comes of sources and indexes that lie.

mod at_once;
mod contents;
mod disk;
mod doors;
mod liars;
mod names;
mod portable;
mod reach;
mod strange_index;
mod targets;
