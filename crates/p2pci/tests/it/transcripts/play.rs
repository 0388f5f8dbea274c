//! Plays a transcript against the real programs, and writes down how it really went.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::world::{Index, Raw, Sharer};

use super::script::{CLOSES, DATE, DATE_LENGTH, OWN_SEGMENT, Step, escape};

/// How long we listen for bytes that should come, before what came is compared.
const OVERDUE: Duration = Duration::from_secs(10);
/// How long we listen for bytes that should not come.
const SURPLUS: Duration = Duration::from_millis(100);
/// How long we listen when nobody knows yet what will come.
const UNKNOWN: Duration = Duration::from_millis(1500);
/// The file that is to be had: it begins with empty lines, has both kinds of line ends, and is not UTF-8.
const FILE: &[u8] = b"\r\n\r\nNetwork Working Group\r\nRequest for Comments: 1\r\n\r\nA na\xefve text\nwithout a last line end";
/// When it was last modified, in seconds since 1970: Wed, 21 Jan 2009 09:23:46 GMT.
const MODIFIED: u64 = 1_232_529_826;

/// The programs of one conversation. The uploader has an index of its own, so that the first one is empty.
struct Stage {
    index: Index,
    _other_index: Index,
    sharer: Sharer,
    conversations: HashMap<String, Raw>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_file(folder.path());
        let other_index = Index::start();
        let sharer = Sharer::start(folder.path(), &other_index.address());
        let conversations = HashMap::new();
        // A 404 of 1.1 would tell the time.
        let index = Index::with(&["--warm-up", "0s"]);
        Self { index, _other_index: other_index, sharer, conversations, _folder: folder }
    }

    fn conversation(&mut self, upload: bool, name: &str) -> &mut Raw {
        let Self { index, sharer, conversations, .. } = self;
        let open = || if upload { sharer.raw() } else { index.raw() };
        conversations.entry(format!("{upload} {name}")).or_insert_with(open)
    }
}

fn write_file(folder: &Path) {
    let path = folder.join("rfc1.txt");
    fs::write(&path, FILE).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
}

/// Plays the client's part; gives the transcript of what happened. `unknown` says that the answers are not known yet.
pub(super) fn play(steps: &[Step], unknown: bool) -> String {
    let mut stage = Stage::set();
    let mut scene = (false, String::new());
    let mut transcript = String::new();
    let mut sent_at = Instant::now();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Keep(line) => transcript.push_str(&format!("{line}\n")),
            Step::Scene { upload, name } => scene = (*upload, name.clone()),
            Step::Send(bytes) => {
                let conversation = stage.conversation(scene.0, &scene.1);
                sent_at = Instant::now();
                conversation.send(bytes);
            }
            Step::Silence(time) => {
                if !matches!(steps.get(at + 1), Some(Step::Answer { .. })) {
                    std::thread::sleep(*time);
                }
            }
            Step::Answer { length, closes } => {
                let conversation = stage.conversation(scene.0, &scene.1);
                let expected = if unknown { None } else { Some((*length, *closes)) };
                let (segments, closed) = listen(conversation, expected, |first_at| {
                    if let Some(Step::Silence(time)) = at.checked_sub(1).and_then(|at| steps.get(at)) {
                        assert!(
                            first_at.duration_since(sent_at) >= *time,
                            "answered before {time:?} of silence\n{transcript}"
                        );
                    }
                });
                write_down(&segments, closed, &mut transcript);
            }
        }
    }
    transcript
}

/// Reads an answer segment by segment; says whether the connection ended after it.
fn listen(raw: &mut Raw, expected: Option<(usize, bool)>, began: impl Fn(Instant)) -> (Vec<Vec<u8>>, bool) {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    loop {
        let come: usize = segments.iter().map(Vec::len).sum();
        let patience = match expected {
            Some((length, closes)) if come < length || closes => OVERDUE,
            Some(_) => SURPLUS,
            None if come == 0 => OVERDUE,
            None => UNKNOWN,
        };
        match raw.segment_within(patience) {
            None => return (segments, false),
            Some(bytes) if bytes.is_empty() => return (segments, true),
            Some(bytes) => {
                if come == 0 {
                    began(Instant::now());
                }
                segments.push(bytes);
            }
        }
    }
}

fn write_down(segments: &[Vec<u8>], closed: bool, transcript: &mut String) {
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            transcript.push_str(&format!("{OWN_SEGMENT}\n"));
        }
        for line in segment.split_inclusive(|byte| *byte == b'\n') {
            transcript.push_str(&format!("S: {}\n", without_date(&escape(line))));
        }
    }
    if closed {
        transcript.push_str(&format!("{CLOSES}\n"));
    }
}

/// A date of this moment is replaced by its name, if it has the shape of one.
fn without_date(line: &str) -> String {
    let Some(date) = line.strip_prefix("Date: ").and_then(|rest| rest.get(..DATE_LENGTH)) else {
        return line.to_owned();
    };
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let fixed = shape.get(3..8) == Some(", 00 ") && shape.get(11..) == Some(" 0000 00:00:00 GMT");
    if fixed { line.replace(date, DATE) } else { line.to_owned() }
}
