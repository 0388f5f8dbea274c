//! How a command ends: its exit code, and the sentence that explains it. Scripts rely on the codes: `docs/json.md`.

use std::fmt;
use std::process::ExitCode;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Something went wrong here or at every peer.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// Nobody has the file.
    NotFound = 3,
    /// The index cannot be reached.
    Unreachable = 4,
    /// Several contents are meant by one name; nothing was written.
    SeveralContents = 5,
    /// What came is not what it should be.
    VerificationFailed = 6,
    /// Ctrl+C or SIGTERM.
    Interrupted = 130,
}

/// Why a command did not do what was asked. Shown once, in `main`.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// The cause and the next step; control characters are escaped when it is shown.
    pub message: String,
}

impl Failure {
    /// With a code of its own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Whatever has no code of its own is code 1.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Code::Failed, format!("{:#}", error.into()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
