//! `p2pci share`: which files become public and under which names, and what it leaves behind.

mod receipts;
mod rules;
mod running;
mod swamped;
mod unreadable;
