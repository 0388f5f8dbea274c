//! What the index answers, in the framing that the request came in.

use super::framing::{AnswerFraming, LineEnd};
use super::status::Status;

/// Appends the status line that records follow. Whole texts, as nearly every answer begins with one of them.
pub fn begin(framing: AnswerFraming, out: &mut Vec<u8>) {
    let text: &[u8] = match (framing.line_end, framing.after_status) {
        (LineEnd::Lf, false) => b"P2P-CI/1.0 200 OK\n",
        (LineEnd::Lf, true) => b"P2P-CI/1.0 200 OK\n\n",
        (LineEnd::CrLf, false) => b"P2P-CI/1.0 200 OK\r\n",
        (LineEnd::CrLf, true) => b"P2P-CI/1.0 200 OK\r\n\r\n",
    };
    out.extend_from_slice(text);
}

/// Appends what ends an answer after its records.
pub fn end(framing: AnswerFraming, out: &mut Vec<u8>) {
    if framing.at_end {
        out.extend_from_slice(framing.line_end.as_bytes());
    }
}

/// Appends a whole answer without records: an error, or nothing found.
pub fn status_only(status: Status, framing: AnswerFraming, out: &mut Vec<u8>) {
    status.write(out);
    out.extend_from_slice(framing.line_end.as_bytes());
    if framing.after_status || framing.at_end {
        out.extend_from_slice(framing.line_end.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_records_begins_with_the_status_line_as_every_other_one() {
        for (line_end, end) in [(LineEnd::Lf, "\n"), (LineEnd::CrLf, "\r\n")] {
            for after_status in [false, true] {
                let (mut begun, mut written) = (Vec::new(), Vec::new());
                begin(AnswerFraming { line_end, after_status, at_end: true }, &mut begun);
                Status::Ok.write(&mut written);
                written.extend_from_slice(end.repeat(1 + usize::from(after_status)).as_bytes());
                assert_eq!(begun, written);
            }
        }
    }

    #[test]
    fn what_ends_an_answer_stands_where_its_framing_has_it() {
        for (line_end, end) in [(LineEnd::Lf, "\n"), (LineEnd::CrLf, "\r\n")] {
            for (after_status, at_end) in [(false, false), (false, true), (true, false), (true, true)] {
                let framing = AnswerFraming { line_end, after_status, at_end };
                let (mut ended, mut alone) = (Vec::new(), Vec::new());
                super::end(framing, &mut ended);
                assert_eq!(ended, end.repeat(usize::from(at_end)).as_bytes());
                status_only(Status::NotFound, framing, &mut alone);
                let lines = end.repeat(1 + usize::from(after_status || at_end));
                assert_eq!(alone, format!("P2P-CI/1.0 404 Not Found{lines}").as_bytes());
            }
        }
    }
}
