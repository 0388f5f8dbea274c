//! The version that a request line ends in.

/// What every version begins with.
pub const NAME: &[u8] = b"P2P-CI/";

/// The versions that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The protocol as first specified.
    V1_0,
    /// What this system's own peers and indexes speak: [`super::v11`].
    V1_1,
}

impl Version {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "P2P-CI/1.0",
            Self::V1_1 => super::v11::request::VERSION,
        }
    }
}
