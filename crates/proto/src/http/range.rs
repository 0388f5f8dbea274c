//! Which bytes of a file are asked for (RFC 9110, section 14).
//!
//! A header that is not understood is ignored, which gives the whole file: always right, and what the RFC allows. So are several
//! ranges that are not in order or overlap: whoever wants the same bytes many times over gets them once.

use std::ops::Range;

use crate::limits::HTTP_RANGES_MAX;

/// The value of a `Range` header: 1 to [`HTTP_RANGES_MAX`] ranges of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet(Vec<Spec>);

/// One range as it is asked for; what it means depends on the file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// `first-last`, or `first-`.
    From { first: u64, last: u64 },
    /// `-length`: the last bytes.
    Suffix { length: u64 },
}

/// What of a file answers a [`RangeSet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Each of these: at least two, each of at least one byte, in order and without overlap.
    Parts(Vec<Range<u64>>),
    /// Nothing: no range begins within the file.
    Unsatisfiable,
}

impl RangeSet {
    /// Reads the value of a `Range` header; `None` when it is to be ignored: another unit, not of the form of a range, a range
    /// that ends before it begins, or too many.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, ranges) = value.split_at_checked(b"bytes=".len())?;
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        let mut specs = Vec::new();
        for range in ranges.split(|byte| *byte == b',') {
            if specs.len() == HTTP_RANGES_MAX {
                return None;
            }
            specs.push(Spec::parse(range.trim_ascii())?);
        }
        Some(Self(specs))
    }

    /// What of a file of `size` bytes it selects.
    pub fn select(&self, size: u64) -> Selected {
        let mut parts: Vec<Range<u64>> = self.0.iter().filter_map(|spec| spec.within(size)).collect();
        let in_order = parts.iter().zip(parts.iter().skip(1)).all(|(one, next)| one.end <= next.start);
        match parts.len() {
            0 => Selected::Unsatisfiable,
            // The last bytes of an empty file are all of it.
            _ if size == 0 => Selected::Whole,
            1 => parts.pop().map_or(Selected::Whole, Selected::Part),
            _ if in_order => Selected::Parts(parts),
            _ => Selected::Whole,
        }
    }
}

impl Spec {
    fn parse(range: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', range)?;
        let (first, rest) = range.split_at_checked(dash)?;
        let last = rest.strip_prefix(b"-")?;
        match (first, last) {
            ([], []) => None,
            ([], length) => Some(Self::Suffix { length: number(length)? }),
            (first, []) => Some(Self::From { first: number(first)?, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    fn within(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From { first, last } if first < size => Some(first..last.saturating_add(1).min(size)),
            Self::Suffix { length } if length > 0 => Some(size.saturating_sub(length)..size),
            Self::From { .. } | Self::Suffix { .. } => None,
        }
    }
}

/// ASCII digits, as many as there are. No file is longer than 2^64 bytes, so what is more means the same as that.
fn number(digits: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        value = value.saturating_mul(10).saturating_add(u64::from(digit));
    }
    (!digits.is_empty()).then_some(value)
}
