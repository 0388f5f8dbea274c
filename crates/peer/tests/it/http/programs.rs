//! Programs that others wrote, where they are installed: curl, whole, in pieces and resumed.

use super::*;

/// Runs curl in a folder; `None` where there is none.
async fn curl(folder: &Path, arguments: &[&str]) -> Option<std::process::Output> {
    let mut command = std::process::Command::new("curl");
    command.args(["-q", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "60"]);
    command.args(arguments).current_dir(folder);
    match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn curl_takes_files_whole_in_pieces_and_resumed() {
    let server = serve();
    let folder = tempfile::tempdir().unwrap();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let large = url("/file/a/large");
    let Some(whole) = curl(folder.path(), &["-o", "whole", &large]).await else {
        eprintln!("skipped: there is no curl here");
        return;
    };
    assert!(whole.status.success(), "{whole:?}");
    let expected = pattern(LARGE);
    assert!(std::fs::read(folder.path().join("whole")).unwrap() == expected);

    let piece = curl(folder.path(), &["-r", "1000-1000999", &large]).await.unwrap();
    assert!(piece.stdout == expected[1000..1_001_000]);

    let mut part = File::create(folder.path().join("part")).unwrap();
    part.write_all(&expected[..1_234_567]).unwrap();
    let resumed = curl(folder.path(), &["-C", "-", "-o", "part", &large]).await.unwrap();
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(std::fs::read(folder.path().join("part")).unwrap() == expected);

    let named = curl(folder.path(), &["-O", "-J", &url("/file/a/small%20file.bin")]).await.unwrap();
    assert!(named.status.success(), "{named:?}");
    assert!(std::fs::read(folder.path().join("small file.bin")).unwrap() == pattern(1000));

    let head = curl(folder.path(), &["--head", &url(&format!("/hash/{}", hex(2)))]).await.unwrap();
    assert!(String::from_utf8(head.stdout).unwrap().contains("Content-Length: 3000001\r\n"));
    let missing = curl(folder.path(), &[&url("/rfc/2")]).await.unwrap();
    assert_eq!(missing.status.code(), Some(22), "{missing:?}");
    let two = curl(folder.path(), &[&url("/rfc/1"), &url("/rfc/1")]).await.unwrap();
    assert_eq!(two.stdout, b"the text of onethe text of one");
    let old = curl(folder.path(), &["--http1.0", &url("/rfc/1")]).await.unwrap();
    assert_eq!(old.stdout, b"the text of one");
}
