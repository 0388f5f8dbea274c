//! One file prints: everything else hands values to it, so that `--json`, `--quiet` and escaping hold everywhere.

use super::source::Source;

/// The file that prints.
const PRINTER: &str = "crates/p2pci/src/out.rs";

const MACROS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

/// The lines that print elsewhere. Tests may, and so may tools: this one, and examples.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let is_tool = |source: &Source| source.path.starts_with("xtask/") || source.path.contains("/examples/");
    let may_print = |source: &&Source| source.path == PRINTER || is_tool(source) || source.is_test();
    sources.iter().filter(|source| !may_print(source)).flat_map(printing_lines).collect()
}

fn printing_lines(source: &Source) -> Vec<String> {
    let lines = source.code_before_tests().lines().enumerate();
    let printing = lines.filter_map(|(index, line)| Some((index, called(line)?)));
    printing
        .map(|(index, name)| format!("{}:{}: {name}! is for {PRINTER} only", source.path, index + 1))
        .collect()
}

fn called(line: &str) -> Option<&'static str> {
    let words = || line.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_');
    MACROS.into_iter().find(|name| words().any(|word| word.strip_suffix('!') == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_is_found_outside_of_the_printer_and_of_tests() {
        let text = "//! println!\nfn a() {\n    std::eprintln!(\"b\");\n}\n#[cfg(test)]\nmod tests {\n fn c() { dbg!(1); }\n}\n";
        let message = format!("crates/a/src/b.rs:3: eprintln! is for {PRINTER} only");
        assert_eq!(check(&[Source::new("crates/a/src/b.rs", text)]), [message]);
        for path in [PRINTER, "xtask/src/main.rs", "crates/a/examples/b.rs", "crates/a/tests/it.rs"] {
            assert!(check(&[Source::new(path, text)]).is_empty());
        }
    }

    #[test]
    fn only_whole_names_count() {
        assert_eq!(called("my_println!(a); println(b); write!(c)"), None);
        assert_eq!(called("if a {dbg!(b)}"), Some("dbg"));
    }
}
