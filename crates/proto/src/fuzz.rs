//! Every fuzz body of this crate under its name, and what they share.
//!
//! A body takes any bytes and asserts what must hold for all of them. It lies beside the code that it is about, so that it runs in three
//! ways: over the corpus and seeded mutations of it in the ordinary tests, many millions of times in `cargo xtask fuzz`, and as
//! the one line of a coverage-guided target in `fuzz/`. Only tests and the feature `fuzz` compile it.

pub mod mutate;
#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::{directory, http, transfer, value, wire};

/// Something that must hold whatever the bytes are. Time is an argument here too.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// The name of its folder in the corpus, and of its target.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8], Instant),
}

/// All of them.
pub const BODIES: &[Body] = &[
    Body { name: "requests", run: wire::fuzz::requests },
    Body { name: "answers", run: wire::fuzz::answers },
    Body { name: "files", run: wire::fuzz::files },
    Body { name: "records", run: wire::fuzz::records },
    Body { name: "v11_answers", run: wire::v11::fuzz::answers },
    Body { name: "v11_bodies", run: wire::v11::fuzz::bodies },
    Body { name: "http_requests", run: http::fuzz::requests },
    Body { name: "http_ranges", run: http::fuzz::ranges },
    Body { name: "http_heads", run: transfer::fuzz::heads },
    Body { name: "blocks", run: transfer::fuzz::blocks },
    Body { name: "journal", run: transfer::fuzz::journal },
    Body { name: "runs", run: transfer::fuzz::runs },
    Body { name: "directory", run: directory::fuzz::directory },
    Body { name: "values", run: value::fuzz::values },
];

/// The body of this name.
pub fn body(name: &str) -> Option<&'static Body> {
    BODIES.iter().find(|body| body.name == name)
}

/// A stream and how it is cut: the first two bytes choose, the others are the stream, so that a corpus stays readable.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    /// A choice that the body is free to use.
    pub(crate) choice: u8,
    /// The stream in one piece.
    pub(crate) stream: &'a [u8],
    seed: u8,
}

impl<'a> Cut<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Self {
        match data {
            [choice, seed, stream @ ..] => Self { choice: *choice, stream, seed: *seed },
            _ => Self { choice: 0, stream: data, seed: 0 },
        }
    }

    /// The stream in pieces of 1 to 16 bytes, or a few larger ones.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &'a [u8]> {
        let (mut rest, mut state) = (self.stream, u64::from(self.seed).wrapping_add(1));
        let longest = if self.seed.is_multiple_of(2) { 16 } else { 1024 };
        std::iter::from_fn(move || {
            state = mutate::scramble(state);
            let random = usize::try_from(state.checked_rem(longest).unwrap_or(0)).unwrap_or(0);
            let length = random.saturating_add(1).min(rest.len());
            let (piece, after) = rest.split_at_checked(length)?;
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// Reads numbers and bytes off the front: how the bodies with state read their steps. At the end everything is zero.
#[derive(Debug)]
pub(crate) struct Steps<'a>(pub(crate) &'a [u8]);

impl<'a> Steps<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn bytes(&mut self, most: u8) -> &'a [u8] {
        let length = usize::from(self.byte().checked_rem(most.max(1)).unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        bytes
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
