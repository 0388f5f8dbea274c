//! Whether to do without what only some systems have: the short cuts between files and sockets.
//!
//! Each short cut has a portable way beside it. On a system that has the short cuts, a test takes that way by setting the
//! variable below.

use std::sync::OnceLock;

use crate::machine;

/// The variable that switches short cuts off, if it is set to anything.
pub const VARIABLE: &str = "P2PCI_PORTABLE";

/// Whether this process takes the portable ways, as simulated machines do too. The variable is looked up once.
#[must_use]
pub fn only() -> bool {
    static ONLY: OnceLock<bool> = OnceLock::new();
    *ONLY.get_or_init(|| std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()))
        || machine::current().is_some()
}
