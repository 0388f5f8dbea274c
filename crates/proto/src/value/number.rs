//! Numbers of RFCs and of ports.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use super::{ValueError, digits};

/// The number of an RFC, 1 to 4294967295.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RfcNumber(NonZeroU32);

impl RfcNumber {
    /// The smallest number.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// From a number; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// From ASCII digits.
    pub fn parse(bytes: &[u8]) -> Result<Self, ValueError> {
        let refused = ValueError::Number { max: u32::MAX };
        digits(bytes, u32::MAX).and_then(|number| Self::new(number).ok_or(refused))
    }

    /// As a plain number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RfcNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RfcNumber {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::parse(text.as_bytes())
    }
}

/// A TCP port that can be connected to, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// From a number; `None` for 0.
    pub fn new(port: u16) -> Option<Self> {
        NonZeroU16::new(port).map(Self)
    }

    /// From ASCII digits.
    pub fn parse(bytes: &[u8]) -> Result<Self, ValueError> {
        let max = u32::from(u16::MAX);
        let port = digits(bytes, max)?;
        u16::try_from(port).ok().and_then(Self::new).ok_or(ValueError::Number { max })
    }

    /// As a plain number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascii_digits_within_range_are_numbers() {
        assert_eq!(RfcNumber::parse(b"4294967295").map(RfcNumber::get), Ok(u32::MAX));
        assert_eq!(RfcNumber::parse(b"0001").map(RfcNumber::get), Ok(1));
        let nines = [b'9'; 400];
        for bad in [
            &b""[..],
            b"0",
            b"-5",
            b"+1",
            b"1_0",
            "٣".as_bytes(),
            "²".as_bytes(),
            b"4294967296",
            b"1 ",
            b"0x1",
            &nines,
        ] {
            assert!(RfcNumber::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_end_at_65535() {
        assert_eq!(Port::parse(b"65535").map(Port::get), Ok(65535));
        for bad in [&b"0"[..], b"65536", b"-1", b"99999999999", "٨٠".as_bytes(), b""] {
            assert!(Port::parse(bad).is_err(), "{bad:?}");
        }
    }
}
