//! Every file opens with `//!`: a reader who lands in it learns first why it exists.

use super::source::Source;

/// The files whose first line is something else.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let without = sources.iter().filter(|source| !opens_with_purpose(&source.text));
    without
        .map(|source| format!("{}: the first line is not `//! …`: say why the file exists", source.path))
        .collect()
}

fn opens_with_purpose(text: &str) -> bool {
    text.strip_prefix("//!")
        .is_some_and(|rest| rest.lines().next().is_some_and(|line| !line.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_head_is_none() {
        let heads = ["//! Why.\n", "//!\n//! Why.\n", "// Why.\n", "", "use a;\n//! Why.\n"];
        let found: Vec<bool> = heads.iter().map(|text| opens_with_purpose(text)).collect();
        assert_eq!(found, [true, false, false, false, false]);
        assert_eq!(check(&[Source::new("a.rs", "use a;\n")]).len(), 1);
    }
}
