//! Where the system has no way from a socket straight into a file: the same names, and never a value.

use crate::stream::Stream;
use std::convert::Infallible;
use std::fs::File;
use std::io;

/// Bytes on their way from a stream to a file: never, on this system.
#[derive(Debug)]
pub struct Straight(Infallible);

impl Straight {
    /// `None`: callers read and write.
    #[must_use]
    pub fn new() -> Option<Self> {
        None
    }

    /// Never called.
    #[must_use]
    pub fn held(&self) -> usize {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn take(&mut self, _: &Stream, _: usize) -> io::Result<usize> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn land(&mut self, _: &File, _: u64) -> io::Result<()> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn discard(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
