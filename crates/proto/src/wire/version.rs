//! The version that a request line ends in.

/// What every version begins with.
pub const NAME: &[u8] = b"P2P-CI/";

/// The versions that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The protocol as first specified.
    V1_0,
}

impl Version {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "P2P-CI/1.0",
        }
    }

    /// Reads a version; `None` for one that we don't speak.
    pub fn parse(word: &[u8]) -> Option<Self> {
        (word == Self::V1_0.as_str().as_bytes()).then_some(Self::V1_0)
    }
}
