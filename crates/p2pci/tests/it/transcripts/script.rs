//! What stands in a transcript.
//!
//! `== index: NAME` and `== upload: NAME` name the conversation that follows and open it if it is new; `C:` and `S:` lines are
//! what client and server send, with `\r`, `\n`, `\t`, `\\` and `\xNN` visible; lines of one side that follow each other are one segment;
//! `{date}` is a date of the moment; `#` begins a remark. What happens without bytes stands in parentheses.

use std::time::Duration;

/// The lines after this are a segment of their own.
pub(super) const OWN_SEGMENT: &str = "(in a segment of its own)";
/// The server ends the connection.
pub(super) const CLOSES: &str = "(the server closes)";
/// The segment is filled up, as some programs do.
const FILLED_UP: &str = "(filled up with ~ to 1024 bytes)";
/// To what length, and with what.
const FILL: (usize, u8) = (1024, b'~');
/// Stands for a date.
pub(super) const DATE: &str = "{date}";
/// How long a date is.
pub(super) const DATE_LENGTH: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// One step of a transcript.
#[derive(Debug)]
pub(super) enum Step {
    /// Lines that stay as they are: remarks, and what was sent.
    Keep(String),
    /// The conversation that follows.
    Scene { upload: bool, name: String },
    /// The client sends these bytes.
    Send(Vec<u8>),
    /// Nobody says anything for so long.
    Silence(Duration),
    /// The server answers. So many bytes are expected, and then its end or not.
    Answer { length: usize, closes: bool },
}

/// Reads a transcript.
pub(super) fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut next_is = |side: &str| lines.peek().is_some_and(|next| next.starts_with(side));
        match line {
            _ if line.starts_with("S:") || line == CLOSES || (line == OWN_SEGMENT && next_is("S:")) => {
                expect(&mut steps, line);
            }
            _ if line.starts_with("C:") => {
                let bytes = unescape(line.strip_prefix("C: ").unwrap_or_default());
                keep(&mut steps, line);
                send(&mut steps, &bytes);
            }
            FILLED_UP => {
                keep(&mut steps, line);
                fill(&mut steps);
            }
            OWN_SEGMENT => {
                keep(&mut steps, line);
                steps.push(Step::Send(Vec::new()));
            }
            _ => {
                keep(&mut steps, line);
                steps.extend(scene(line));
                steps.extend(silence(line));
            }
        }
    }
    steps
}

fn keep(steps: &mut Vec<Step>, line: &str) {
    // A segment stays one step: what is kept of it goes before it.
    let at = match steps.last() {
        Some(Step::Send(_)) => steps.len() - 1,
        _ => steps.len(),
    };
    let in_segment = line.starts_with("C:") || line == FILLED_UP;
    steps.insert(if in_segment { at } else { steps.len() }, Step::Keep(line.to_owned()));
}

fn send(steps: &mut Vec<Step>, bytes: &[u8]) {
    match steps.last_mut() {
        Some(Step::Send(segment)) => segment.extend_from_slice(bytes),
        _ => steps.push(Step::Send(bytes.to_vec())),
    }
}

fn fill(steps: &mut [Step]) {
    if let Some(Step::Send(segment)) = steps.last_mut() {
        segment.resize(FILL.0, FILL.1);
    }
}

fn expect(steps: &mut Vec<Step>, line: &str) {
    if !matches!(steps.last(), Some(Step::Answer { .. })) {
        steps.push(Step::Answer { length: 0, closes: false });
    }
    if let Some(Step::Answer { length, closes }) = steps.last_mut() {
        let content = line.strip_prefix("S: ").unwrap_or_default();
        *length += unescape(&content.replace(DATE, &" ".repeat(DATE_LENGTH))).len();
        *closes |= line == CLOSES;
    }
}

fn scene(line: &str) -> Option<Step> {
    let (place, name) = line.strip_prefix("== ")?.split_once(": ")?;
    let upload = match place {
        "index" => false,
        "upload" => true,
        _ => panic!("a conversation with whom? {line}"),
    };
    Some(Step::Scene { upload, name: name.to_owned() })
}

fn silence(line: &str) -> Option<Step> {
    let milliseconds = line.strip_prefix('(')?.strip_suffix(" ms of silence)")?;
    Some(Step::Silence(Duration::from_millis(milliseconds.parse().expect("a number of milliseconds"))))
}

/// Bytes as they stand in a transcript.
pub(super) fn escape(bytes: &[u8]) -> String {
    let visible = |byte: &u8| match byte {
        b'\r' => "\\r".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(visible).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            (_, true) => match rest.next().expect("a character after a backslash") {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
                }
                other => panic!("\\{} means nothing", char::from(other)),
            },
        });
    }
    bytes
}
