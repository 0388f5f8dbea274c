//! What was typed after `bench`.

use super::files::Files;

/// The lines of the help text.
pub(crate) const USAGE: &str = "\
  bench index [PART…] [--records N] [--quick]
                     the index beside a bare server and redis; parts: lookup add list memory idle leave (default: all)
  bench files [PART…] [--quick]
                     folders published, small files fetched, memory; parts: hashing publishing small memory (default: all)
  bench instructions the decoder and the directory in instructions, under callgrind
";

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Index(Index),
    Files(Files),
    Instructions,
    /// The bare server itself: for processes that the measurements start.
    Floor {
        request: usize,
        answer: usize,
    },
}

/// `bench index`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) parts: Vec<Part>,
    /// Records of the largest memory row; without it that row is left out.
    pub(crate) records: Option<u32>,
    /// One short round instead of five: to see that it works.
    pub(crate) quick: bool,
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Lookup,
    Add,
    List,
    Memory,
    Idle,
    Leave,
}

const PARTS: [(&str, Part); 6] = [
    ("lookup", Part::Lookup),
    ("add", Part::Add),
    ("list", Part::List),
    ("memory", Part::Memory),
    ("idle", Part::Idle),
    ("leave", Part::Leave),
];

/// Reads the words after `bench`.
pub(crate) fn parse(typed: &[&str]) -> Result<Asked, String> {
    match typed {
        ["index", rest @ ..] => parse_index(rest).map(Asked::Index),
        ["files", rest @ ..] => Files::parse(rest).map(Asked::Files),
        ["instructions"] => Ok(Asked::Instructions),
        ["floor", request, answer] => Ok(Asked::Floor { request: number(request)?, answer: number(answer)? }),
        [] => Err("bench what? index, files or instructions".into()),
        [other, ..] => Err(format!("there is no bench '{other}'")),
    }
}

fn parse_index(typed: &[&str]) -> Result<Index, String> {
    let mut index = Index { parts: Vec::new(), records: None, quick: false };
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        match *word {
            "--quick" => index.quick = true,
            "--records" => index.records = Some(number(words.next().ok_or("--records of how many?")?)?),
            name => {
                let known = PARTS.iter().find(|(known, _)| *known == name);
                index.parts.push(known.ok_or(format!("there is no part '{name}'"))?.1);
            }
        }
    }
    if index.parts.is_empty() {
        index.parts = PARTS.map(|(_, part)| part).to_vec();
    }
    Ok(index)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn parts_and_flags_are_understood_and_typing_errors_named() {
        let Ok(Asked::Index(all)) = parsed("index") else { panic!("all parts") };
        assert_eq!((all.parts.len(), all.records, all.quick), (PARTS.len(), None, false));
        let some = Index { parts: vec![Part::List, Part::Memory], records: Some(7), quick: true };
        assert_eq!(parsed("index list --quick memory --records 7"), Ok(Asked::Index(some)));
        assert_eq!(parsed("instructions"), Ok(Asked::Instructions));
        for wrong in ["", "index lost", "index --records", "index --records x", "floor 1"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
