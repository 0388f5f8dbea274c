//! Many small files.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use peer::fetch::{FetchError, Fetched, Outcome, Request, fetch_many};

use crate::servers::{BOUND, Content, MIB, Nature, Place, Server, impatient};

/// Files of sizes from 0 to a few KiB, all of different content.
fn contents(count: usize) -> Vec<Content> {
    (0..count)
        .map(|number| Content::of(format!("{number} ").repeat(number % 700 * usize::from(number > 0))))
        .collect()
}

fn requests(place: &Place, contents: &[Content], servers: &[&Server]) -> Vec<Request> {
    let request = |(number, content): (usize, &Content)| Request {
        size: Some(content.bytes.len() as u64),
        target: place.path().join(format!("f{number}")),
        timing: impatient(),
        ..place.request(content, servers)
    };
    contents.iter().enumerate().map(request).collect()
}

async fn run(place: &Place, requests: &[Request]) -> Vec<Result<Fetched, FetchError>> {
    let results: Mutex<Vec<Option<Result<Fetched, FetchError>>>> =
        Mutex::new(requests.iter().map(|_| None).collect());
    let mut finished = |at: usize, result| {
        let before = results.lock().unwrap()[at].replace(result);
        assert!(before.is_none(), "{at} is told twice: {before:?}");
    };
    tokio::time::timeout(BOUND, fetch_many(requests, &place.heard, &mut finished))
        .await
        .expect("it takes too long");
    results.into_inner().unwrap().into_iter().map(|result| result.expect("a file was not told")).collect()
}

fn assert_there(place: &Place, contents: &[Content]) {
    for (number, content) in contents.iter().enumerate() {
        assert!(
            std::fs::read(place.path().join(format!("f{number}"))).unwrap() == *content.bytes,
            "{number}"
        );
    }
    assert_eq!(place.names().len(), contents.len(), "nothing else is left");
}

#[tokio::test]
async fn a_thousand_files_come_over_few_connections() {
    let (contents, place) = (contents(1000), Place::new());
    let server = Server::of_many(contents.clone(), Nature::Good).await;
    let requests = requests(&place, &contents, &[&server]);
    let results = run(&place, &requests).await;
    for (result, content) in results.iter().zip(&contents) {
        let fetched = result.as_ref().unwrap();
        assert_eq!((fetched.outcome, fetched.bytes), (Outcome::Saved, content.bytes.len() as u64));
    }
    assert_there(&place, &contents);
    assert_eq!(server.requests.lock().unwrap().len(), 1000, "each one is asked for once");
    assert!(server.connections.load(Ordering::SeqCst) <= 4);
    let again = run(&place, &requests).await;
    assert!(again.iter().all(|result| result.as_ref().unwrap().outcome == Outcome::AlreadyHere));
    assert_eq!(server.requests.lock().unwrap().len(), 1000, "what is there is not asked for");
}

#[tokio::test]
async fn what_one_source_does_not_give_another_one_does() {
    let natures = [
        Nature::Flips(0),
        Nature::Status(404),
        Nature::Status(500),
        Nature::Silent,
        Nature::Cuts(20),
        Nature::OneAnswer,
        Nature::Chunked,
        Nature::TooMuch,
        Nature::Drips,
    ];
    for nature in natures {
        let (contents, place) = (contents(150), Place::new());
        let bad = Server::of_many(contents.clone(), nature).await;
        let good = Server::of_many(contents.clone(), Nature::Good).await;
        for result in run(&place, &requests(&place, &contents, &[&bad, &good])).await {
            result.unwrap();
        }
        assert_there(&place, &contents);
    }
}

#[tokio::test]
async fn a_file_that_nobody_has_fails_alone() {
    let (contents, place) = (contents(50), Place::new());
    let server = Server::of_many(contents[..49].to_vec(), Nature::Good).await;
    let mut results = run(&place, &requests(&place, &contents, &[&server])).await;
    let failed = results.pop().unwrap().unwrap_err();
    assert!(matches!(failed, FetchError::AllFailed { not_found: true, tried: 1, .. }), "{failed:?}");
    assert!(results.iter().all(Result::is_ok));
    assert_there(&place, &contents[..49]);
}

#[tokio::test]
async fn a_liar_alone_leaves_nothing_and_is_named() {
    let (contents, place) = (contents(100), Place::new());
    let liar = Server::of_many(contents.clone(), Nature::Flips(0)).await;
    for (result, content) in
        run(&place, &requests(&place, &contents, &[&liar])).await.into_iter().zip(&contents)
    {
        match result {
            Err(failed) => assert!(failed.to_string().contains("wrong bytes"), "{failed}"),
            Ok(_) => assert!(content.bytes.is_empty(), "nothing can be wrong with an empty file"),
        }
    }
    let empty = contents.iter().filter(|content| content.bytes.is_empty()).count();
    assert!(place.names().len() <= empty, "{:?}", place.names());
}

#[tokio::test]
async fn local_faults_concern_only_their_file() {
    let (contents, place) = (contents(20), Place::new());
    let server = Server::of_many(contents.clone(), Nature::Good).await;
    let mut requests = requests(&place, &contents, &[&server]);
    std::fs::write(&requests[3].target, "another").unwrap();
    std::fs::create_dir(&requests[4].target).unwrap();
    requests[5].target = place.path().join("none/f5");
    requests[6].sources.clear();
    let results = run(&place, &requests).await;
    for (number, result) in results.iter().enumerate() {
        let expected = match (number, result) {
            (3, Err(FetchError::Exists { .. })) | (4, Err(FetchError::NotAFile { .. })) => true,
            (5, Err(FetchError::Disk { .. })) | (6, Err(FetchError::NoSource)) => true,
            (3..=6, _) => false,
            (_, result) => result.is_ok(),
        };
        assert!(expected, "{number} {result:?}");
    }
    assert_eq!(std::fs::read(&requests[3].target).unwrap(), b"another");
}

#[tokio::test]
async fn large_files_and_those_of_unknown_size_come_too() {
    let (mut contents, place) = (contents(5), Place::new());
    contents.push(Content::new(3 * MIB + 1));
    let server = Server::of_many(contents.clone(), Nature::Good).await;
    let mut requests = requests(&place, &contents, &[&server]);
    requests[1].size = None;
    // A size that is too small is only what somebody said.
    requests[2].size = Some(0);
    for result in run(&place, &requests).await {
        result.unwrap();
    }
    assert_there(&place, &contents);
}
