//! What sources do, and what becomes of the file.

use std::time::Duration;

use peer::fetch::{FetchError, Outcome, Request, SourceFault};

use crate::servers::{BOUND, Content, MIB, Nature, Place, Server, impatient};

#[tokio::test]
async fn files_of_all_sizes_come_whole_from_one_source() {
    for size in [0, 1, 1023, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 17 * MIB + 1] {
        let (content, place) = (Content::new(size), Place::new());
        let server = Server::start(&content, Nature::Good).await;
        let fetched = place.fetch(&content, &[&server]).await.unwrap();
        assert_eq!(
            (fetched.bytes, fetched.fetched_bytes, fetched.resumed_bytes),
            (size as u64, size as u64, 0)
        );
        assert_eq!((fetched.outcome, fetched.path.clone()), (Outcome::Saved, place.target()));
        assert_eq!((server.sent(), fetched.sources[0].bytes), (size as u64, size as u64), "each byte once");
        place.assert_whole(&content);
    }
}

#[tokio::test]
async fn several_sources_share_the_work() {
    let (content, place) = (Content::new(40 * MIB + 7), Place::new());
    let natures = [Nature::Slow(20), Nature::Slow(20), Nature::OneAnswer];
    let mut servers = Vec::new();
    for nature in natures {
        servers.push(Server::start(&content, nature).await);
    }
    let fetched = place.fetch(&content, &servers.iter().collect::<Vec<_>>()).await.unwrap();
    place.assert_whole(&content);
    assert!(fetched.sources.iter().all(|source| source.fault.is_none() && source.bytes > 0), "{fetched:?}");
    assert_eq!(fetched.sources.iter().map(|source| source.bytes).sum::<u64>(), fetched.bytes);
}

#[tokio::test]
async fn a_bad_source_is_left_and_named_and_the_good_one_gives_the_file() {
    let size = 5 * MIB + 100;
    let cases = [
        (Nature::Flips(8 * (5 * MIB as u64 + 50) + 3), "WrongBlock"),
        (Nature::Claims(size as u64 + 1), "WrongBlock"),
        (Nature::Claims(6 * MIB as u64 + 1), "OtherBytes"),
        (Nature::Claims(1 << 41), "OtherSize"),
        (Nature::Claims(u64::MAX), "OtherSize"),
        (Nature::Claims(0), "OtherBytes"),
        (Nature::Cuts(1000), "Closed"),
        (Nature::Status(404), "NotThere"),
        (Nature::Status(503), "Status(503)"),
        (Nature::Status(302), "Status(302)"),
        (Nature::WrongList, "WrongList"),
        (Nature::NoRanges, "OtherBytes"),
        (Nature::OtherRange, "OtherBytes"),
        (Nature::Chunked, "Head(Coded)"),
        (Nature::Silent, "Silent"),
    ];
    for (nature, fault) in cases {
        let (content, place) = (Content::new(size), Place::new());
        let bad = Server::start(&content, nature).await;
        let good = Server::start(&content, Nature::Slow(100)).await;
        let request = Request { timing: impatient(), ..place.request(&content, &[&bad, &good]) };
        let alone = Request { sources: vec![bad.peer.clone()], ..request.clone() };
        let failed = place.run(&alone).await.unwrap_err();
        let FetchError::AllFailed { fault: why, not_found, .. } = &failed else {
            panic!("{nature:?} {failed:?}")
        };
        assert!(format!("{why:?}").contains(fault), "{nature:?} {why:?}");
        assert_eq!(*not_found, nature == Nature::Status(404));
        // At most a block that proved to be right is kept.
        assert!(!place.target().exists(), "{nature:?}");
        place.run(&request).await.unwrap();
        place.assert_whole(&content);
    }
}

#[tokio::test]
async fn one_flipped_bit_anywhere_bans_its_source_and_costs_one_block() {
    let content = Content::new(6 * MIB + 1000);
    for number in 0..12_u64 {
        let place = Place::new();
        let bit = (number * 7_919_993 * 8 + number) % (content.bytes.len() as u64 * 8);
        let liar = Server::start(&content, Nature::Flips(bit)).await;
        let goods = [
            Server::start(&content, Nature::Slow(10)).await,
            Server::start(&content, Nature::Slow(10)).await,
        ];
        let fetched = place.fetch(&content, &[&goods[0], &liar, &goods[1]]).await.unwrap();
        place.assert_whole(&content);
        for (source, is_good) in fetched.sources.iter().zip([true, false, true]) {
            assert!(source.fault.is_none() || !is_good, "{bit} {source:?}");
            assert!(source.fault.as_deref().is_none_or(|fault| fault.contains("wrong bytes")), "{source:?}");
        }
    }
}

#[tokio::test]
async fn a_liar_alone_is_named_and_what_was_right_stays() {
    let (content, place) = (Content::new(6 * MIB), Place::new());
    let liar = Server::start(&content, Nature::Flips(8 * 1_500_000)).await;
    let failed = place.fetch(&content, &[&liar]).await.unwrap_err();
    let FetchError::AllFailed { fault: SourceFault::WrongBlock { block: 1 }, peer, tried: 1, .. } = &failed
    else {
        panic!("{failed:?}");
    };
    assert!(*peer == liar.peer && failed.is_source_fault());
    assert_eq!(place.names(), ["file.p2pci-part", "file.p2pci-part.journal"]);
    let good = Server::start(&content, Nature::Good).await;
    let fetched = place.fetch(&content, &[&good]).await.unwrap();
    assert!(
        fetched.resumed_bytes >= MIB as u64 && fetched.resumed_bytes + fetched.fetched_bytes == fetched.bytes
    );
    assert_eq!(good.sent(), fetched.fetched_bytes, "the journal proves the size");
    place.assert_whole(&content);
}

#[tokio::test]
async fn one_block_files_are_verified_whole() {
    let content = Content::new(1000);
    for (nature, fault) in [(Nature::Flips(4000), "WrongBlock"), (Nature::Claims(999), "WrongBlock")] {
        let place = Place::new();
        let bad = Server::start(&content, nature).await;
        let failed = place.fetch(&content, &[&bad]).await.unwrap_err();
        assert!(format!("{failed:?}").contains(fault), "{failed:?}");
        assert!(place.names().is_empty());
    }
    let place = Place::new();
    let whole = Server::start(&content, Nature::NoRanges).await;
    place.fetch(&content, &[&whole]).await.unwrap();
    place.assert_whole(&content);
}

#[tokio::test]
async fn surplus_bytes_never_reach_the_file() {
    let (content, place) = (Content::new(3 * MIB), Place::new());
    let server = Server::start(&content, Nature::TooMuch).await;
    let failed = place.fetch(&content, &[&server]).await.unwrap_err();
    assert!(failed.is_source_fault(), "{failed:?}");
    assert!(!place.target().exists());
}

#[tokio::test]
async fn a_source_that_drips_or_stalls_does_not_hold_up_the_others() {
    for nature in [Nature::Drips, Nature::Stalls, Nature::Silent] {
        let (content, place) = (Content::new(8 * MIB), Place::new());
        let bad = Server::start(&content, nature).await;
        let good = Server::start(&content, Nature::Good).await;
        let started = std::time::Instant::now();
        place.fetch(&content, &[&bad, &good]).await.unwrap();
        place.assert_whole(&content);
        // It is waited for 2 s at most in each of the two phases.
        assert!(started.elapsed() < Duration::from_secs(5 * 5), "{nature:?}");
    }
}

#[tokio::test]
async fn a_source_that_drips_alone_is_given_up() {
    let (content, place) = (Content::new(3 * MIB), Place::new());
    let server = Server::start(&content, Nature::Drips).await;
    let request = Request { timing: impatient(), ..place.request(&content, &[&server]) };
    let failed = place.run(&request).await.unwrap_err();
    assert!(matches!(failed, FetchError::AllFailed { fault: SourceFault::TooSlow, .. }), "{failed:?}");
}

#[tokio::test]
async fn a_thousand_times_the_same_source_is_one_and_nobody_is_said() {
    let (content, place) = (Content::new(MIB), Place::new());
    let server = Server::start(&content, Nature::Status(404)).await;
    let request = Request { sources: vec![server.peer.clone(); 1000], ..place.request(&content, &[]) };
    let failed = place.run(&request).await.unwrap_err();
    assert!(matches!(failed, FetchError::AllFailed { tried: 1, not_found: true, .. }), "{failed:?}");
    assert_eq!(server.requests.lock().unwrap().len(), 1);
    let nobody = place.fetch(&content, &[]).await.unwrap_err();
    assert!(matches!(nobody, FetchError::NoSource));
    assert!(place.names().is_empty());
}

#[tokio::test]
async fn the_thirteenth_source_gets_its_turn() {
    let (content, place) = (Content::new(2 * MIB), Place::new());
    let mut servers = Vec::new();
    for number in 0..30 {
        let nature = if number == 29 { Nature::Good } else { Nature::Status(500) };
        servers.push(Server::start(&content, nature).await);
    }
    let fetched = place.fetch(&content, &servers.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(fetched.sources.len(), 30);
    place.assert_whole(&content);
}

#[tokio::test]
async fn what_has_the_name_is_kept_unless_it_is_forced() {
    let (content, place) = (Content::new(2 * MIB + 1), Place::new());
    let server = Server::start(&content, Nature::Good).await;
    std::fs::write(place.target(), "another").unwrap();
    let failed = place.fetch(&content, &[&server]).await.unwrap_err();
    assert!(matches!(failed, FetchError::Exists { .. }) && !failed.is_source_fault());
    assert_eq!(
        (std::fs::read(place.target()).unwrap(), place.names()),
        (b"another".to_vec(), vec!["file".into()])
    );
    let forced = Request { force: true, ..place.request(&content, &[&server]) };
    assert_eq!(place.run(&forced).await.unwrap().outcome, Outcome::Saved);
    place.assert_whole(&content);
    let sent = server.sent();
    assert_eq!(place.fetch(&content, &[&server]).await.unwrap().outcome, Outcome::AlreadyHere);
    assert_eq!(server.sent(), sent, "nobody is asked for what is here");
    place.assert_whole(&content);
}

#[tokio::test]
async fn two_at_once_are_one_download() {
    let (content, place) = (Content::new(4 * MIB), Place::new());
    let server = Server::start(&content, Nature::Slow(400)).await;
    let first = place.request(&content, &[&server]);
    let (first, second) = tokio::join!(place.run(&first), place.run(&first));
    assert!(matches!(
        (&first, &second),
        (Ok(_), Err(FetchError::Busy { .. })) | (Err(FetchError::Busy { .. }), Ok(_))
    ));
    place.assert_whole(&content);
}

#[tokio::test]
async fn the_disk_is_blamed_for_what_it_does() {
    let content = Content::new(3 * MIB);
    let server = Server::start(&content, Nature::Good).await;
    let place = Place::new();
    let nowhere = Request { target: place.path().join("none/file"), ..place.request(&content, &[&server]) };
    let failed = place.run(&nowhere).await.unwrap_err();
    assert!(failed.to_string().ends_with("its folder is not there") && !failed.is_source_fault(), "{failed}");
    let folder = Request { target: place.path().into(), force: true, ..place.request(&content, &[&server]) };
    assert!(matches!(place.run(&folder).await, Err(FetchError::NotAFile { .. })));
    let huge = Request { size: Some(u64::MAX), ..place.request(&content, &[&server]) };
    assert!(matches!(place.run(&huge).await, Err(FetchError::TooLarge { .. })));
}

#[tokio::test]
async fn a_source_that_comes_late_is_used() {
    let (content, place) = (Content::new(12 * MIB), Place::new());
    let slow = Server::start(&content, Nature::Slow(2000)).await;
    let fast = Server::start(&content, Nature::Good).await;
    let started = std::time::Instant::now();
    let fetched = place.fetch(&content, &[&slow, &fast]).await.unwrap();
    assert!(started.elapsed() < BOUND / 4 && fetched.sources[1].bytes > fetched.bytes / 2, "{fetched:?}");
}
