//! What was typed.

/// Worlds that are played where nothing else is said.
const WORLDS: u64 = 1000;

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

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) what: What,
    pub(crate) worlds: u64,
    pub(crate) first: u64,
    /// Each world is played once more, and must be the same.
    pub(crate) twice: bool,
}

impl Asked {
    pub(crate) fn seeds(&self) -> std::ops::Range<u64> {
        self.first..self.first.saturating_add(self.worlds)
    }
}

/// A seed alone is one world, to look at; `--worlds` counts from it, in whichever order they stand.
pub(crate) fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let (mut worlds, mut first, mut what, mut twice) = (None, None, What::Systems, false);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match word.as_str() {
            "--worlds" => worlds = Some(number().ok_or_else(|| anyhow::anyhow!("--worlds of how many?"))?),
            "--seed" => first = Some(number().ok_or_else(|| anyhow::anyhow!("--seed of what number?"))?),
            "--world" => {
                what = What::World(number().ok_or_else(|| anyhow::anyhow!("--world of what seed?"))?);
            }
            "--plans" => what = What::Plans,
            "--swarm" => what = What::Shown,
            "--twice" => twice = true,
            _ => anyhow::bail!(
                "unknown argument '{word}'; there are --worlds N, --seed N, --twice, --plans and --swarm"
            ),
        }
    }
    let worlds = worlds.unwrap_or(if first.is_some() { 1 } else { WORLDS });
    Ok(Asked { what, worlds, first: first.unwrap_or(0), twice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_world_unless_their_number_is_said() {
        let asked = |text: &str| read(text.split_whitespace().map(str::to_owned)).unwrap();
        let of = |worlds, first| Asked { what: What::Systems, worlds, first, twice: false };
        assert_eq!(asked(""), of(1000, 0));
        assert_eq!(asked("--seed 7"), of(1, 7));
        assert_eq!(asked("--worlds 20 --seed 7"), of(20, 7));
        assert_eq!(asked("--seed 7 --worlds 20"), of(20, 7));
        assert_eq!(asked("--plans --seed 7"), Asked { what: What::Plans, ..of(1, 7) });
    }
}
