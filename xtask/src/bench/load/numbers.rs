//! Which numbers a connection asks for.

use fastrand::Rng;

use crate::bench::talk::FIRST_NUMBER;

/// An endless or a finite row of numbers.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    /// Any of the first `count`, for ever.
    Random { rng: Rng, count: u32 },
    /// The next `left`, from `at` on, in a circle of `count`.
    Row { at: u32, left: u32, count: u32 },
}

impl Numbers {
    /// The same for the same seed, so that every server is asked the same.
    pub(crate) fn random(seed: usize, count: u32) -> Self {
        Self::Random { rng: Rng::with_seed(seed as u64), count }
    }
}

impl Iterator for Numbers {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Random { rng, count } => Some(FIRST_NUMBER + rng.u32(..*count)),
            Self::Row { left: 0, .. } => None,
            Self::Row { at, left, count } => {
                let number = FIRST_NUMBER + *at;
                *at = (*at + 1) % *count;
                *left -= 1;
                Some(number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_in_a_circle_and_ends() {
        let row = Numbers::Row { at: 2, left: 4, count: 4 };
        assert_eq!(row.map(|number| number - FIRST_NUMBER).collect::<Vec<_>>(), [2, 3, 0, 1]);
    }
}
