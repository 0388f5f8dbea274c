//! Requests of 1.1 however they are cut, the limits of their frame, and what many files cost.

use serde_json::json;

use crate::world::v11::{PING, PONG, add_files, add_lines, file, hashed, lookup, remove_files, with_body};
use crate::world::{Index, shown};

fn conversation() -> String {
    let files = [hashed("a", 1, 'a'), file("d/b", 2)];
    let refused = with_body("EAT FILES P2P-CI/1.1", "{\"name\":\"a\"}\r\n\r\nPING ALL P2P-CI/1.1");
    let mixed = "LIST ALL P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\n\r\n";
    [PING, &add_files("ada", 6000, &files), mixed, &refused, &remove_files(&["d/b"]), &lookup("FILE a"), PING]
        .concat()
}

fn whole_answer() -> String {
    let ok = |body: &str| PONG.replace("Length: 0", &format!("Length: {}", body.len())) + body;
    let changed = ok("{\"taken\":2,\"refused_in_all\":0}\n");
    let refused = ok("{\"reason\":\"the method is none of those of this version\"}\n")
        .replace("200 OK", "400 Bad Request");
    let removed = ok("{\"taken\":1,\"refused_in_all\":0}\n");
    let source = "{\"host\":\"ada\",\"port\":6000,\"speaks\":\"1.1\",\"published\":true}";
    let found = format!(
        "{{\"name\":\"a\",\"size\":1,\"modified\":1232529826,\"hash\":\"{}\",\"published\":true,\"sources\":[{source}],\"sources_in_all\":1}}\n",
        "a".repeat(64)
    );
    [PONG, &changed, "P2P-CI/1.0 404 Not Found\r\n\r\n", &refused, &removed, &ok(&found), PONG].concat()
}

#[test]
fn requests_are_answered_in_order_however_they_are_cut() {
    let index = Index::start();
    let (requests, answers) = (conversation(), whole_answer());
    for size in [requests.len(), 1, 2, 3, 7, 61] {
        let mut raw = index.raw();
        for piece in requests.as_bytes().chunks(size) {
            raw.send(piece);
        }
        raw.expect(&answers);
        drop(raw);
        index.wait_gone("FILE a");
    }
    let mut raw = index.raw();
    raw.exchange(PING.repeat(500), PONG.repeat(500));
}

#[test]
fn a_body_is_taken_up_to_1_mib_and_others_are_answered_meanwhile() {
    let index = Index::start();
    let line = format!("{}\n", hashed("one", 1, 'a'));
    let body = line + &" ".repeat(proto::limits::BODY_BYTES_MAX);
    let request = add_lines("ada", 6000, &body[..proto::limits::BODY_BYTES_MAX]);
    let mut ada = index.raw();
    let (most, last) = request.split_at(request.len() - 1);
    ada.send(most);
    index.raw().exchange(PING, PONG);
    assert_eq!(index.raw().ask_v11(lookup("FILE one")).status, 404, "half a request does nothing");
    assert_eq!(ada.ask_v11(last).object(), json!({"taken": 1, "refused_in_all": 0}));
    assert_eq!(ada.ask_v11(add_lines("ada", 6000, "")).object(), json!({"taken": 0, "refused_in_all": 0}));
}

#[test]
fn i20_the_record_beyond_the_quota_is_refused_and_the_earlier_ones_stay() {
    let index = Index::start();
    let quota = proto::limits::RECORDS_PER_SESSION_MAX;
    let mut ada = index.raw();
    let mut taken = 0;
    for batch in (0..quota + 2).collect::<Vec<_>>().chunks(20_000) {
        let body: String =
            batch.iter().map(|n| format!("{{\"name\":\"{n}\",\"size\":0,\"modified\":0}}\n")).collect();
        let told = ada.ask_v11(add_lines("ada", 6000, &body)).object();
        taken += told["taken"].as_u64().unwrap();
        if batch.contains(&quota) {
            let reason = format!("the session has {quota} records, more are not allowed");
            let refused = json!([{"line": 1, "reason": reason}, {"line": 2, "reason": reason}]);
            assert_eq!(told, json!({"taken": 0, "refused": refused, "refused_in_all": 2}));
        }
    }
    assert_eq!(taken, quota as u64);
    let others = [hashed("0", 5, 'a'), file("one too many", 1)];
    let told = ada.ask_v11(add_files("ada", 6000, &others)).object();
    assert_eq!(
        (&told["taken"], &told["refused"][0]["line"]),
        (&json!(1), &json!(2)),
        "a replacement is none more"
    );
    assert_eq!(ada.ask_v11(remove_files(&["1"])).object()["taken"], 1);
    assert_eq!(ada.ask_v11(add_files("ada", 6000, &others[1..])).object()["taken"], 1, "a place came free");
    assert_eq!(index.status().records, quota as u64);
    // Somebody else has a quota of its own.
    assert_eq!(index.raw().ask_v11(add_files("ben", 6001, &others)).object()["taken"], 2);
}

#[test]
fn bytes_after_a_body_are_the_next_request() {
    let index = Index::start();
    let mut raw = index.raw();
    let request = add_files("ada", 6000, &[file("a", 1)]);
    let answer = raw.ask(format!("{request}{request}\r\n{PING}"));
    assert_eq!(answer.matches("\"taken\":1").count(), 2, "{}", shown(answer.as_bytes()));
    assert!(answer.ends_with(PONG));
}
