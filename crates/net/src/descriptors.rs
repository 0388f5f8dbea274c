//! The limit of open files: thousands of peers need more descriptors than a shell gives by default.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit of open files, before and after; `u64::MAX` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What we found.
    pub before: u64,
    /// What holds now.
    pub now: u64,
}

/// Raises the soft limit of open files to the hard one. Where the system refuses, the limit stays as it was.
pub fn raise_open_file_limit() -> Limit {
    let found = getrlimit(Resource::Nofile);
    if found.current != found.maximum {
        let raised = Rlimit { current: found.maximum, maximum: found.maximum };
        // A refusal shows in `now`, and fewer connections are no reason to fail.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    Limit { before: plain(found.current), now: plain(getrlimit(Resource::Nofile).current) }
}

fn plain(limit: Option<u64>) -> u64 {
    limit.unwrap_or(u64::MAX)
}
