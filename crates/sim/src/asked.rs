//! What was typed.

use std::ops::Range;
use std::time::{Duration, Instant};

/// Worlds that are played where nothing else is said.
const WORLDS: u64 = 1000;
/// Worlds or minutes that may be asked for.
const MOST: u64 = 1_000_000_000;

/// What is to be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Whole systems, each in a process of its own.
    Systems,
    /// One whole system, in this process.
    World(u64),
    /// The plans of downloads alone.
    Plans,
    /// Those of a few swarms, to look at.
    Shown,
}

/// How many worlds are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Worlds(u64),
    /// As many as begin within that time.
    Minutes(u64),
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) what: What,
    pub(crate) first: u64,
    pub(crate) length: Length,
    /// Each world is played once more, and must be the same.
    pub(crate) twice: bool,
}

impl Asked {
    /// One world is to be looked at, more of them are counted.
    pub(crate) fn is_one(&self) -> bool {
        self.length == Length::Worlds(1)
    }

    /// The time runs from now.
    pub(crate) fn seeds(&self) -> Seeds {
        let (worlds, until) = match self.length {
            Length::Worlds(worlds) => (worlds, None),
            Length::Minutes(minutes) => (u64::MAX, Some(Instant::now() + Duration::from_secs(minutes * 60))),
        };
        Seeds { left: self.first..self.first.saturating_add(worlds), until }
    }
}

/// The seeds of the worlds that are to be played, as long as there is time.
pub(crate) struct Seeds {
    left: Range<u64>,
    until: Option<Instant>,
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        if is_late { None } else { self.left.next() }
    }
}

/// A seed alone is one world, to look at; `--worlds` and `--minutes` count from it, in whichever order they stand.
pub(crate) fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let (mut length, mut first, mut what, mut twice) = (None, None, What::Systems, false);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match word.as_str() {
            "--worlds" | "--minutes" => {
                anyhow::ensure!(length.is_none(), "there is one of --worlds and --minutes, once");
                let number = number().filter(|number| *number <= MOST);
                let number = number.ok_or_else(|| anyhow::anyhow!("{word} of how many? At most {MOST}"))?;
                length =
                    Some(if word == "--worlds" { Length::Worlds(number) } else { Length::Minutes(number) });
            }
            "--seed" => first = Some(number().ok_or_else(|| anyhow::anyhow!("--seed of what number?"))?),
            "--world" => {
                what = What::World(number().ok_or_else(|| anyhow::anyhow!("--world of what seed?"))?);
            }
            "--plans" => what = What::Plans,
            "--swarm" => what = What::Shown,
            "--twice" => twice = true,
            _ => anyhow::bail!(
                "unknown argument '{word}'; there are --worlds N, --minutes M, --seed N, --twice, --plans and --swarm"
            ),
        }
    }
    let length = length.unwrap_or(Length::Worlds(if first.is_some() { 1 } else { WORLDS }));
    Ok(Asked { what, first: first.unwrap_or(0), length, twice })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> anyhow::Result<Asked> {
        read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_seed_is_one_world_unless_their_number_or_a_time_is_said() {
        let of = |worlds, first| {
            let length = Length::Worlds(worlds);
            Asked { what: What::Systems, first, length, twice: false }
        };
        assert_eq!(asked("").unwrap(), of(1000, 0));
        assert_eq!(asked("--seed 7").unwrap(), of(1, 7));
        assert_eq!(asked("--worlds 20 --seed 7").unwrap(), of(20, 7));
        assert_eq!(asked("--seed 7 --worlds 20").unwrap(), of(20, 7));
        assert_eq!(asked("--seed 7 --minutes 3").unwrap(), Asked { length: Length::Minutes(3), ..of(1, 7) });
        assert_eq!(asked("--plans --seed 7").unwrap(), Asked { what: What::Plans, ..of(1, 7) });
        for wrong in ["--worlds", "--worlds many", "--minutes -1", "--worlds 2 --minutes 1", "--hours 1"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seeds_come_in_a_row_until_there_are_enough_or_the_time_is_over() {
        assert_eq!(asked("--seed 7 --worlds 3").unwrap().seeds().collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(asked("--minutes 0").unwrap().seeds().next(), None);
        assert_eq!(asked("--seed 7 --minutes 60").unwrap().seeds().take(3).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
