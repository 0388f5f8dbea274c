//! WATCH: what it covers, and the lines in which an index tells changes.
//!
//! A change carries the whole record, so that whoever hears it needs to remember nothing of earlier ones.

use serde::{Deserialize, Serialize};

use super::body::RecordLine;
use super::request::Target;

/// What a WATCH covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `ALL`: every record, or the files whose names begin with the prefix.
    All {
        /// What names must begin with; `None` for everything, records of 1.0 included.
        prefix: Option<String>,
    },
    /// Whatever is found by this target.
    One(Target),
}

/// What happened to a record: a line of an answer to WATCH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// It is there now, as it stands here.
    Added(RecordLine),
    /// It says something else now, which stands here.
    Changed(RecordLine),
    /// It is gone; this is what it said last.
    Removed(RecordLine),
    /// There were more changes than are kept for a slow reader: whoever keeps count must look again.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v11::body::{parse_line, write_line};

    #[test]
    fn changes_read_back_as_they_were_written() {
        let hash = "ab".repeat(32);
        let file = format!(
            r#"{{"change":"added","name":"d/n","size":5,"modified":-1,"hash":"{hash}","host":"h","port":7,"speaks":"1.1","partial":true,"published":false}}"#
        );
        let text = r#"{"change":"removed","rfc":1,"title":"One","host":"h","port":7,"speaks":"1.0","published":true}"#;
        for line in [file.as_str(), text, r#"{"change":"lost"}"#] {
            let change: Change = parse_line(line.as_bytes()).unwrap();
            let mut out = Vec::new();
            write_line(&change, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n"));
        }
        let later = r#"{"change":"lost","since":"a later version"}"#;
        assert_eq!(parse_line(later.as_bytes()), Ok(Change::Lost));
    }
}
