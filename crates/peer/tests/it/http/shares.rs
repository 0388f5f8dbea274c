//! A published folder as others see it.

use peer::notice::Observer;
use peer::shares::{Options, Prefix, Root, ShareTable};

use super::*;

#[tokio::test]
async fn a_published_file_is_found_by_name_then_by_its_hash_with_its_blocks() {
    let shelf = Arc::new(Shelf::new());
    let table = Arc::new(ShareTable::new());
    let observer: Arc<dyn Observer> = Recorder::new();
    let cache = peer::shares::CacheFolder::Nowhere;
    let options = Options { cache, ..Options::default() };
    let root = Root { path: shelf.folder.path().to_owned(), prefix: Prefix::typed("a") };
    let publishing = Arc::clone(&table);
    tokio::task::spawn_blocking(move || publishing.publish(&[root], &options, &observer).unwrap())
        .await
        .unwrap();
    let server = serve_content(table, shelf);
    let mut client = Client::connect(&server).await;
    let expected = pattern(LARGE);
    let hash = blake3::hash(&expected).to_string();
    // It is served at once; its tag comes when it is hashed, which the question hastens.
    let tag = timeout(BOUND, async {
        loop {
            let answer = client.ask("GET", "/file/a/large", "").await;
            assert!(answer.status == 200 && answer.body == expected, "{}", answer.head);
            if let Some(tag) = answer.header("ETag") {
                return tag.to_owned();
            }
        }
    });
    assert_eq!(tag.await.unwrap(), format!("\"{hash}\""));
    let answer = client.ask("GET", &format!("/hash/{hash}"), "Range: bytes=1048576-2097151\r\n").await;
    assert!(answer.status == 206 && answer.body == expected[1_048_576..2_097_152], "{}", answer.head);
    let blocks = client.ask("GET", &format!("/hash/{hash}/blocks"), "").await;
    assert_eq!((blocks.status, blocks.body.len()), (200, 3 * 32));
    let text = client.ask("GET", "/rfc/1", "").await;
    assert_eq!((text.header("Content-Type"), &text.body[..]), (Some("text/plain"), &b"the text of one"[..]));
    assert_eq!(client.ask("GET", "/", "").await.status, 404, "folders are not shown");
    // What changed is another content: its old hash names nothing any more.
    std::fs::write(server.shelf.path("large"), "short").unwrap();
    assert_eq!(client.ask("GET", &format!("/hash/{hash}"), "").await.status, 404);
    assert_eq!(client.ask("GET", "/file/a/large", "").await.body, b"short");
}
