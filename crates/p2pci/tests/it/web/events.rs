//! The stream of events.

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::world::{Index, PATIENCE, Raw, http_get, wait_for};

const ASK: &str = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A viewer that reads frames.
struct Viewer {
    raw: Raw,
    text: String,
}

impl Viewer {
    fn join(index: &Index) -> Self {
        let mut raw = index.raw();
        raw.send(ASK);
        Self { raw, text: String::new() }
    }

    /// Reads until a frame is as it is wanted.
    fn wait_frame(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(PATIENCE, what, || {
            if let Some(bytes) = self.raw.segment_within(Duration::from_millis(100)) {
                self.text.push_str(&String::from_utf8(bytes).unwrap());
            }
            self.frames().into_iter().find(&wanted)
        })
    }

    fn frames(&self) -> Vec<Value> {
        let whole = self.text.rfind("\n\n").map_or("", |end| &self.text[..end]);
        let frames = whole.split("\n\n").filter_map(|event| event.split_once("data: "));
        frames.map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
    }
}

#[test]
fn a_viewer_hears_of_peers_that_come_and_go() {
    let index = Index::start();
    let mut viewer = Viewer::join(&index);
    let empty = viewer.wait_frame("a first frame", |frame| frame["records"] == 0);
    let mut peer = index.raw();
    peer.ask_whole("ADD RFC 1 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n");
    let more = viewer.wait_frame("the record", |frame| frame["records"] == 1);
    assert!(more["revision"].as_u64() > empty["revision"].as_u64(), "{more}");
    let told = |frame: &Value| {
        frame["lines"].as_array().is_some_and(|lines| lines.iter().any(|line| line["status"] == "200 OK"))
    };
    viewer.wait_frame("the request", told);
    viewer.wait_frame("a sample", |frame| frame["sample"]["requests_per_s"].as_f64().is_some());
    drop(peer);
    let number = more["revision"].as_u64();
    viewer.wait_frame("its leaving", |frame| frame["records"] == 0 && frame["revision"].as_u64() > number);
}

#[test]
fn frames_are_at_most_four_a_second_however_much_happens() {
    let index = Index::start();
    let mut viewer = Viewer::join(&index);
    viewer.wait_frame("a first frame", |_| true);
    let (began, before) = (Instant::now(), viewer.frames().len());
    let mut peer = index.raw();
    for number in 1..=400 {
        peer.ask_whole(&format!(
            "ADD RFC {number} P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n"
        ));
    }
    viewer.wait_frame("all records", |frame| frame["records"] == 400);
    let allowed = began.elapsed().as_millis() / 250 + 2;
    let frames = viewer.frames().len() - before;
    assert!(frames as u128 <= allowed, "{frames} frames in {:?}", began.elapsed());
}

#[test]
fn threat_w5_so_many_streams_and_no_more_and_a_place_is_given_back() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let index = Index::with(&["--max-per-address", "3000", "--quiet"]);
    let mut viewers: Vec<Raw> = (0..1024).map(|_| index.raw()).collect();
    for viewer in &mut viewers {
        viewer.send(ASK);
    }
    for viewer in &mut viewers {
        let first = viewer.segment_within(PATIENCE).expect("an answer");
        assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let refused = http_get(index.port(), "/api/v1/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert_eq!(http_get(index.port(), "/api/v1/status").status, 200, "the rest goes on");
    viewers.pop();
    let mut again = wait_for(PATIENCE, "a place", || {
        let mut raw = index.raw();
        raw.send(ASK);
        raw.segment_within(PATIENCE)?.starts_with(b"HTTP/1.1 200 OK\r\n").then_some(raw)
    });
    let mut byte = [0];
    again.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(again.socket().read(&mut byte).unwrap(), 1, "it hears frames");
    again.send("");
}
