//! The last things that happened, as lines of a console.

use std::collections::VecDeque;
use std::net::SocketAddr;

use proto::access::redacted;
use proto::escape;
use proto::limits::{RECENT_BYTES_MAX, RECENT_KEPT};
use serde::Serialize;
use utoipa::ToSchema;

/// What happened.
pub(crate) enum Happened<'a> {
    Joined { source: SocketAddr },
    Left { source: SocketAddr, records: usize },
    Request { source: SocketAddr, raw: &'a [u8], status: &'a str, records: usize },
}

/// The same as a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Line {
    /// Lines are numbered from 1 in the order in which they happened.
    pub(crate) number: u64,
    /// When, in milliseconds since 1970.
    pub(crate) time: u64,
    /// Where it came from.
    #[schema(value_type = String)]
    pub(crate) source: Box<str>,
    /// What, on one line and without characters that would do something to it; a long request is cut.
    #[schema(value_type = String)]
    pub(crate) text: Box<str>,
    /// How it was answered, of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) status: Option<Box<str>>,
}

impl Line {
    pub(super) fn new(happened: &Happened<'_>, time: u64) -> Self {
        let (source, text, status) = match *happened {
            Happened::Joined { source } => (source, "connected".to_owned(), None),
            Happened::Left { source, records: 0 } => (source, "left".to_owned(), None),
            Happened::Left { source, records } => {
                let plural = if records == 1 { "" } else { "s" };
                (source, format!("left, {records} record{plural} removed"), None)
            }
            Happened::Request { source, raw, status, records } => {
                let mut text = lines(raw);
                if records > 1 {
                    text.push_str(&format!(" ({records} records)"));
                }
                (source, text, Some(status.into()))
            }
        };
        Self { number: 0, time, source: source.to_string().into(), text: text.into(), status }
    }
}

/// A request's lines, joined by `|` and escaped.
fn lines(raw: &[u8]) -> String {
    let raw = &*redacted(raw);
    let is_cut = raw.len() > RECENT_BYTES_MAX;
    let shown = raw.get(..RECENT_BYTES_MAX).unwrap_or(raw);
    let lines = shown.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let lines = lines.filter(|line| !line.is_empty()).map(|line| escape::Line(line).to_string());
    let mut text = lines.collect::<Vec<_>>().join(" | ");
    if is_cut {
        text.push('…');
    }
    text
}

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lines: VecDeque<Line>,
    last: u64,
}

impl Recent {
    pub(super) fn push(&mut self, line: Line) {
        if self.lines.len() >= RECENT_KEPT {
            self.lines.pop_front();
        }
        self.last += 1;
        self.lines.push_back(Line { number: self.last, ..line });
    }

    /// Those after a number, the oldest first.
    pub(super) fn since(&self, number: u64) -> Vec<Line> {
        let newer = self.lines.iter().rev().take_while(|line| line.number > number).count();
        self.lines.range(self.lines.len() - newer..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(raw: &[u8]) -> Line {
        let source = SocketAddr::from(([127, 0, 0, 1], 9));
        Line::new(&Happened::Request { source, raw, status: "200 OK", records: 2 }, 7)
    }

    #[test]
    fn a_request_is_one_harmless_line_of_bounded_length() {
        let shown = line(b"ADD RFC 1 P2P-CI/1.0\r\nHost: a\x1b[2J\r\n\r\n");
        assert_eq!(&*shown.text, "ADD RFC 1 P2P-CI/1.0 | Host: a\\u{1b}[2J (2 records)");
        let long = line(&[b'x'; 10_000]);
        assert!(long.text.len() < RECENT_BYTES_MAX + 30 && long.text.contains('…'));
    }

    #[test]
    fn only_the_last_lines_are_kept_and_numbers_go_on() {
        let mut recent = Recent::default();
        (0..RECENT_KEPT + 5).for_each(|_| recent.push(line(b"LIST ALL")));
        let last = RECENT_KEPT as u64 + 5;
        let numbers = |since| recent.since(since).iter().map(|line| line.number).collect::<Vec<_>>();
        assert_eq!(numbers(last - 2), [last - 1, last]);
        assert_eq!(numbers(0), (6..=last).collect::<Vec<_>>());
        assert!(numbers(last).is_empty());
    }
}
