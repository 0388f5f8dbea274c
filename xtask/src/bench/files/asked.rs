//! What was typed after `bench files`.

/// `bench files`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(super) parts: Vec<Part>,
    /// One small round instead of five: to see that it works.
    pub(super) quick: bool,
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Hashing,
    Publishing,
    Small,
    Memory,
}

const PARTS: [(&str, Part); 4] = [
    ("hashing", Part::Hashing),
    ("publishing", Part::Publishing),
    ("small", Part::Small),
    ("memory", Part::Memory),
];

impl Files {
    /// Reads the words after `files`.
    pub(crate) fn parse(typed: &[&str]) -> Result<Self, String> {
        let mut files = Self { parts: Vec::new(), quick: false };
        for word in typed {
            match *word {
                "--quick" => files.quick = true,
                name => {
                    let known = PARTS.iter().find(|(known, _)| *known == name);
                    files.parts.push(known.ok_or(format!("there is no part '{name}'"))?.1);
                }
            }
        }
        if files.parts.is_empty() {
            files.parts = PARTS.map(|(_, part)| part).to_vec();
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_and_all_of_them_are_meant_by_none() {
        assert_eq!(Files::parse(&[]).unwrap().parts.len(), PARTS.len());
        let some = Files { parts: vec![Part::Small], quick: true };
        assert_eq!(Files::parse(&["small", "--quick"]), Ok(some));
        assert!(Files::parse(&["smal"]).is_err());
    }
}
