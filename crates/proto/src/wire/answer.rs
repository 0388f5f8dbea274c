//! What the index answers, in the framing that the request came in.

use super::framing::AnswerFraming;
use super::status::Status;

/// Appends the status line that records follow.
pub fn begin(framing: AnswerFraming, out: &mut Vec<u8>) {
    Status::Ok.write(out);
    out.extend_from_slice(framing.line_end.as_bytes());
    if framing.after_status {
        out.extend_from_slice(framing.line_end.as_bytes());
    }
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
