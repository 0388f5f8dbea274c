//! Departures of a request from the specification: accepted, but worth a sentence for whoever writes a client.

use std::fmt;

/// One way in which an accepted request departs from the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(missing_docs, reason = "each one's sentence says what it is")]
pub enum Departure {
    LfLineEnds = 1,
    MixedLineEnds = 1 << 1,
    NoEmptyLine = 1 << 2,
    NoLastLineEnd = 1 << 3,
    Padded = 1 << 4,
    NoSpaceAfterColon = 1 << 5,
    PostForPort = 1 << 6,
    NoHost = 1 << 7,
    NoPort = 1 << 8,
    NoTitle = 1 << 9,
    NoOs = 1 << 10,
    UnknownHeader = 1 << 11,
    SpacesInRequestLine = 1 << 12,
}

impl Departure {
    const ALL: [Self; 13] = [
        Self::LfLineEnds,
        Self::MixedLineEnds,
        Self::PostForPort,
        Self::NoSpaceAfterColon,
        Self::NoEmptyLine,
        Self::NoLastLineEnd,
        Self::Padded,
        Self::NoHost,
        Self::NoPort,
        Self::NoTitle,
        Self::NoOs,
        Self::UnknownHeader,
        Self::SpacesInRequestLine,
    ];
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LfLineEnds => "lines end in LF, they should end in CRLF",
            Self::MixedLineEnds => "some lines end in LF and some in CRLF",
            Self::NoEmptyLine => "no empty line after the headers",
            Self::NoLastLineEnd => "the last header has no line end",
            Self::Padded => "filled up with '~'",
            Self::NoSpaceAfterColon => "no space after the colons",
            Self::PostForPort => "'Post' should be 'Port'",
            Self::NoHost => "the 'Host' header is missing",
            Self::NoPort => "the 'Port' header is missing",
            Self::NoTitle => "the 'Title' header is missing",
            Self::NoOs => "the 'OS' header is missing",
            Self::UnknownHeader => "a header that the specification does not know",
            Self::SpacesInRequestLine => "spaces in the request line that do not belong there",
        })
    }
}

/// A set of departures. Shows itself as one sentence, empty when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Departures(u16);

impl Departures {
    /// Adds one.
    pub fn note(&mut self, departure: Departure) {
        self.0 |= departure as u16;
    }

    /// Adds one if something is so.
    pub fn note_if(&mut self, so: bool, departure: Departure) {
        if so {
            self.note(departure);
        }
    }

    /// Whether the request was as specified.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one is in the set.
    pub fn contains(self, departure: Departure) -> bool {
        self.0 & departure as u16 != 0
    }

    /// Those in the set, in the order in which they are explained.
    pub fn iter(self) -> impl Iterator<Item = Departure> {
        Departure::ALL.into_iter().filter(move |departure| self.contains(*departure))
    }
}

impl fmt::Display for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, departure) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            departure.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_departure_has_its_own_bit_and_sentence() {
        let mut all = Departures::default();
        for (index, departure) in Departure::ALL.into_iter().enumerate() {
            assert!(!all.contains(departure), "{departure} shares a bit");
            all.note(departure);
            assert_eq!(all.iter().count(), index + 1);
        }
        assert_eq!(all.to_string().split("; ").count(), Departure::ALL.len());
    }
}
