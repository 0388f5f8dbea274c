//! Where fetched files go.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use peer::fetch::make_folders;

use crate::exit::{Code, Failure};

/// Where one file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file of this path.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// Checks `--output` before anything is asked.
pub(super) fn check(output: Option<&Path>, several: bool) -> Result<(), Failure> {
    match output {
        Some(output) if output.as_os_str().is_empty() => {
            Err(Failure::new(Code::Usage, "--output is empty; name a file, a folder or -"))
        }
        Some(output) if several && !is_folder(output) => {
            Err(Failure::new(Code::Usage, "several files need a folder: --output DIR/"))
        }
        _ => Ok(()),
    }
}

impl Place {
    /// For a single file whose own name is `name`: of a path only its last part counts.
    pub(super) fn of_one(output: Option<&Path>, name: &str) -> Self {
        let leaf = name.rsplit('/').next().unwrap_or(name);
        match output {
            None => Self::File(PathBuf::from(leaf)),
            Some(output) if output == Path::new("-") => Self::Stdout,
            Some(output) if is_folder(output) => Self::File(output.join(leaf)),
            Some(output) => Self::File(output.to_owned()),
        }
    }

    /// Makes the folder if it is not there, as far as a share's layout or `--output` names one.
    pub(super) fn make_folder(&self, output: Option<&Path>) -> Result<(), Failure> {
        let folder = match self {
            Self::File(path) if output.is_none_or(is_folder) => path.parent(),
            _ => None,
        };
        make_folders(folder).map_err(|error| Failure::new(Code::Failed, error.to_string()))
    }
}

/// For several files: with their layout, or each under its last part, which must then differ.
pub(super) fn of_many<'a>(
    output: Option<&Path>,
    names: impl Iterator<Item = &'a str>,
    layout: bool,
) -> Result<Vec<Place>, Failure> {
    let base = output.unwrap_or(Path::new(""));
    let mut seen = HashSet::new();
    let mut places = Vec::new();
    for name in names {
        // A name is valid: its parts are neither empty nor `.` nor `..`.
        let leaf = name.rsplit('/').next().unwrap_or(name);
        let path = base.join(if layout { name } else { leaf });
        if !seen.insert(path.clone()) {
            let sentence = format!("two of these files are called {leaf}; -r FOLDER keeps the layout");
            return Err(Failure::new(Code::Usage, sentence));
        }
        places.push(Place::File(path));
    }
    Ok(places)
}

/// A folder is what ends in `/`, or is one already.
fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Place {
        Place::File(path.into())
    }

    #[test]
    fn one_file_keeps_its_last_part_and_several_their_layout() {
        assert_eq!(Place::of_one(None, "a/b.txt"), file("b.txt"));
        assert_eq!(Place::of_one(Some(Path::new("x/")), "a/b.txt"), file("x/b.txt"));
        assert_eq!(Place::of_one(Some(Path::new("x")), "a/b.txt"), file("x"));
        assert_eq!(Place::of_one(Some(Path::new("-")), "b"), Place::Stdout);
        let names = ["a/b", "a/c/d"];
        assert_eq!(of_many(None, names.into_iter(), true).unwrap(), [file("a/b"), file("a/c/d")]);
        assert_eq!(
            of_many(Some(Path::new("x/")), names.into_iter(), false).unwrap(),
            [file("x/b"), file("x/d")]
        );
        assert!(of_many(None, ["a/b", "c/b"].into_iter(), false).is_err(), "one would replace the other");
        assert!(check(Some(Path::new("-")), true).is_err() && check(Some(Path::new("")), false).is_err());
    }
}
