//! Functions and files stay short enough to be held in the head. The exceptions are named, and their list only shrinks.

use super::source::Source;

/// Lines from `fn` to the closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// Lines of a file, its tests included.
const MAX_FILE_LINES: usize = 600;

/// Files, and functions as `file: name`, that may be longer.
const EXCEPTIONS: &[&str] = &[];

/// What is too long.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(|source| too_long(source, EXCEPTIONS)).collect()
}

fn too_long(source: &Source, exceptions: &[&str]) -> Vec<String> {
    let path = &source.path;
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_FILE_LINES && !exceptions.contains(&path.as_str()) {
        findings.push(format!("{path}: {lines} lines, at most {MAX_FILE_LINES}: split it by subject"));
    }
    for function in functions(&source.code) {
        let Function { name, line, lines } = function;
        if lines > MAX_FUNCTION_LINES && !exceptions.contains(&format!("{path}: {name}").as_str()) {
            let text =
                format!("fn {name} has {lines} lines, at most {MAX_FUNCTION_LINES}: let it do one thing");
            findings.push(format!("{path}:{line}: {text}"));
        }
    }
    findings
}

#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    name: &'a str,
    /// Counted from 1.
    line: usize,
    lines: usize,
}

/// The functions with a body, nested ones too. `code` has no comments and no literals, so that each brace in it counts.
fn functions(code: &str) -> Vec<Function<'_>> {
    let starts = code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(is_name_letter));
    starts.filter_map(|(at, _)| function_at(code, at)).collect()
}

/// `fn` not followed by a name is a type (`fn (u8)`) or a macro's pattern (`fn $name`); without a body it is a declaration.
fn function_at(code: &str, at: usize) -> Option<Function<'_>> {
    let after = code[at..].strip_prefix("fn ")?.trim_start();
    let name = &after[..after.find(|letter| !is_name_letter(letter)).unwrap_or(after.len())];
    let end = at + body_end(&code[at..])?;
    let lines = code[at..end].matches('\n').count() + 1;
    (!name.is_empty()).then(|| Function { name, line: code[..at].matches('\n').count() + 1, lines })
}

/// Where the function's body ends: at the brace that closes the first one outside of parentheses and square brackets. A
/// semicolon before that, outside of `[u8; 4]`, ends a declaration.
fn body_end(code: &str) -> Option<usize> {
    let mut nesting = 0_usize;
    let mut braces = 0_usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting = nesting.checked_sub(1)?,
            ';' if nesting == 0 && braces == 0 => return None,
            '{' if nesting == 0 || braces > 0 => braces += 1,
            '}' if braces == 1 => return Some(at + 1),
            '}' if braces == 0 && nesting > 0 => {}
            '}' => braces = braces.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn is_name_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, usize, usize)> {
        let source = Source::new("a.rs", text);
        functions(&source.code)
            .into_iter()
            .map(|found| (found.name.to_owned(), found.line, found.lines))
            .collect()
    }

    #[test]
    fn a_function_goes_from_its_name_to_its_closing_brace() {
        assert_eq!(found("\nfn a() {}\n"), [("a".into(), 2, 1)]);
        assert_eq!(
            found("pub(crate) fn a<'a>(\n b: [u8; 4],\n) -> u8\n{\n if c { d } else { '}' }\n}\n"),
            [("a".into(), 1, 6)]
        );
        assert_eq!(found("fn a() {\n fn b() {\n }\n}\n"), [("a".into(), 1, 4), ("b".into(), 2, 2)]);
        assert_eq!(found("fn a() { x(\"}\"); // }\n y(|z| { z }) }\n"), [("a".into(), 1, 2)]);
    }

    #[test]
    fn a_block_in_an_array_type_is_no_body() {
        assert_eq!(found("fn a(b: [u8; { 4 }]) {\n}\n"), [("a".into(), 1, 2)]);
    }

    #[test]
    fn types_declarations_and_words_are_no_functions() {
        assert_eq!(found("trait A {\n fn a(&self, b: [u8; 4]);\n fn b() {}\n}\n"), [("b".into(), 3, 1)]);
        assert_eq!(
            found(
                "type A = fn (u8);\n// fn a() {}\nlet s = \"fn b() {}\";\nmacro! { fn $a() {} }\nmy_fn {}\n"
            ),
            []
        );
    }

    #[test]
    fn one_line_above_the_limit_is_found_and_an_exception_is_not() {
        let function = |lines: usize| format!("fn a() {{\n{}}}\n", "b;\n".repeat(lines - 2));
        let fits = Source::new("a.rs", function(MAX_FUNCTION_LINES));
        assert!(too_long(&fits, &[]).is_empty());
        let above = Source::new("a.rs", function(MAX_FUNCTION_LINES + 1));
        assert_eq!(too_long(&above, &[]), ["a.rs:1: fn a has 71 lines, at most 70: let it do one thing"]);
        assert!(too_long(&above, &["a.rs: a"]).is_empty());
        let long = Source::new("a.rs", "\n".repeat(MAX_FILE_LINES + 1));
        assert_eq!(too_long(&long, &[]), ["a.rs: 601 lines, at most 600: split it by subject"]);
        assert!(too_long(&long, &["a.rs"]).is_empty());
        assert!(too_long(&Source::new("a.rs", "\n".repeat(MAX_FILE_LINES)), &[]).is_empty());
    }
}
