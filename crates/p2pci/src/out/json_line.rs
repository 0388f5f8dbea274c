//! An object as one line of JSON that a terminal may see.
//!
//! JSON itself escapes nothing above U+001F, but these lines hold what peers sent, and people look at them with `tail` and
//! `less`. What `proto::escape` calls unsafe is therefore written as a number (`\u202e`), which is the same text to every parser.

use std::fmt;

use proto::escape::is_unsafe;
use serde::Serialize;
use serde_json::Value;

/// Fields that stand first, because they say what the others mean; the rest follows by name.
const FIRST: [&str; 2] = ["time", "type"];

/// Shows an object on one line.
pub(super) struct JsonLine<'a>(pub(super) &'a Value);

impl fmt::Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value::Object(fields) = self.0 else { return write_safe(f, &self.0.to_string()) };
        let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
        let rest = fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
        for (index, (name, value)) in first.chain(rest).enumerate() {
            f.write_str(if index == 0 { "{" } else { "," })?;
            write!(f, "\"{name}\":")?;
            write_safe(f, &value.to_string())?;
        }
        f.write_str(if fields.is_empty() { "{}" } else { "}" })
    }
}

/// An object whose fields stand in the order in which they are to be shown, for what happens too often to be sorted.
pub(super) struct Ordered<T>(pub(super) T);

impl<T: Serialize> fmt::Display for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_safe(f, &serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// Outside of its strings JSON is ASCII, so whatever is escaped here lies within one.
fn write_safe(f: &mut fmt::Formatter<'_>, json: &str) -> fmt::Result {
    if json.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return f.write_str(json);
    }
    for c in json.chars() {
        match is_unsafe(c) {
            true => write!(f, "\\u{:04x}", u32::from(c))?,
            false => write!(f, "{c}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_moves_a_terminal_is_escaped_and_reads_back_the_same() {
        let object = json!({"title": "a\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2028}\"\\ü", "type": "record"});
        let line = JsonLine(&object).to_string();
        assert!(line.chars().all(|c| !is_unsafe(c)), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), object);
        assert_eq!(Ordered(["\u{1b}\u{202e}", "ü"]).to_string(), r#"["\u001b\u202e","ü"]"#);
    }

    #[test]
    fn time_and_type_come_first() {
        let object = json!({"bytes": [1, 2], "type": "t", "time": "now"});
        assert_eq!(JsonLine(&object).to_string(), r#"{"time":"now","type":"t","bytes":[1,2]}"#);
    }
}
