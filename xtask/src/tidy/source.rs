//! The Rust files of the repository, and a view of each in which comments and literals are blank, so that the rules can look
//! for words and braces without a parser.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, strings and character literals replaced by spaces; the lines are the same.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let code = blank(&text);
        Self { path: path.into(), text, code }
    }

    /// Whether the whole file is a test: in a `tests` folder, or a `tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The lines of code before the file's test module, which by our order comes last.
    pub(crate) fn code_before_tests(&self) -> &str {
        let end = self.code.match_indices("#[cfg(test)]").find_map(|(at, mark)| {
            let next = self.code[at + mark.len()..].trim_start();
            next.starts_with("mod ").then_some(at)
        });
        &self.code[..end.unwrap_or(self.code.len())]
    }
}

/// All Rust files under `crates/` and `xtask/`, ordered by path.
pub(crate) fn read_all(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in ["crates", "xtask"] {
        for path in files_below(&root.join(folder))? {
            if path.ends_with(".rs") {
                let path = format!("{folder}/{path}");
                let text =
                    fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
                sources.push(Source::new(path, text));
            }
        }
    }
    Ok(sources)
}

/// The files below `folder`, relative to it and ordered, without build output and version control.
pub(crate) fn files_below(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(|| format!("cannot look at {name}"))?;
        if kind.is_dir() && name != "target" && name != ".git" {
            found.extend(files_below(&entry.path())?.into_iter().map(|below| format!("{name}/{below}")));
        } else if kind.is_file() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Replaces comments and literals by spaces and keeps every line end.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = literal_length(rest);
        let (taken, left) = rest.split_at(if literal > 0 { literal } else { first.len_utf8() });
        if literal > 0 {
            code.extend(taken.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        } else {
            code.push_str(taken);
        }
        rest = left;
    }
    code
}

/// The length in bytes of the comment or literal with which `text` begins; 0 when it begins with code.
fn literal_length(text: &str) -> usize {
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        block_comment_length(text)
    } else if text.starts_with('"') {
        quoted_length(text, '"')
    } else if text.starts_with("r\"") || text.starts_with("r#") {
        raw_string_length(text)
    } else if text.starts_with('\'') {
        character_length(text)
    } else {
        0
    }
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Up to the closing quote that no backslash escapes.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#` and so on; a raw identifier such as `r#type` is code.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let opening = 1 + hashes;
    if !text[opening..].starts_with('"') {
        return 0;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    text[opening + 1..].find(&closing).map_or(text.len(), |at| opening + 1 + at + closing.len())
}

/// A character literal is an escape, or one character and a quote; anything else is a lifetime or a label.
fn character_length(text: &str) -> usize {
    let mut inner = text.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) => quoted_length(text, '\''),
        (Some(letter), Some('\'')) => 2 + letter.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squeezed(text: &str) -> String {
        let code = Source::new("x.rs", text).code;
        assert_eq!(code.lines().count(), text.lines().count(), "{code}");
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blank_and_code_is_not() {
        assert_eq!(squeezed("a // { b\nc"), "a c");
        assert_eq!(squeezed("a /* { /* { */ \n { */ b"), "a b");
        assert_eq!(squeezed(r#"f("{ \" {", b"{", c)"#), "f( , b , c)");
        assert_eq!(squeezed("f(r#\"{ \" {\n\"#, br\"{\\\", c)"), "f( , b , c)");
        assert_eq!(squeezed(r"f('{', '\'', '\u{7d}', b'}', 'ß', c)"), "f( , , , b , , c)");
        assert_eq!(
            squeezed("fn f<'a>(r#type: &'a str) { 'out: loop {} }"),
            "fn f<'a>(r#type: &'a str) { 'out: loop {} }"
        );
    }

    #[test]
    fn what_never_closes_ends_with_the_file() {
        for open in ["\"a", "r#\"a\"", "/* a /* */", "'\\", "'"] {
            assert_eq!(Source::new("x.rs", open).code.len(), open.len());
        }
    }

    #[test]
    fn tests_are_known_by_their_place() {
        assert!(Source::new("crates/a/tests/it/main.rs", "").is_test());
        assert!(Source::new("crates/a/src/b/tests.rs", "").is_test());
        assert!(!Source::new("crates/a/src/tests_of.rs", "").is_test());
        let text = "#[cfg(test)]\nuse a;\nfn b() {}\n#[cfg(test)]\nmod tests { c }\n";
        assert!(Source::new("x.rs", text).code_before_tests().ends_with("fn b() {}\n"));
    }
}
