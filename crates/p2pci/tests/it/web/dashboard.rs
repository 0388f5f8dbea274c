//! The dashboard as people use it, in a real browser.

use serde_json::json;

use crate::world::{Browser, Index, Sharer, noise};

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn share(index: &Index, folder: &tempfile::TempDir) -> Sharer {
    Sharer::with(folder.path(), &index.address(), &["--as", "lab", "--upload-listen", "127.0.0.1"])
}

const ROW: &str = "#list .row";

#[test]
fn people_search_follow_open_and_download() {
    let Some(mut browser) = Browser::start("people_search_follow_open_and_download") else { return };
    let index = Index::start();
    let url = format!("http://{}/", index.address());
    browser.open(&url, &json!({}));
    browser.wait("#empty", &format!("p2pci share FOLDER --server {}", index.address()));
    browser.wait("#live-text", "live");
    browser.inspect("empty");

    let weights = noise(7, 300_000);
    let one = folder(&[("models/llama.bin", &weights), ("notes.txt", b"one"), ("data/a b.csv", b"1,2")]);
    let _first = share(&index, &one);
    for name in ["llama.bin", "notes.txt", "a b.csv"] {
        browser.wait(ROW, name);
    }
    let two = folder(&[("notes.txt", b"another"), ("slides.pdf", b"%PDF")]);
    let second = share(&index, &two);
    browser.wait(ROW, "slides.pdf");
    browser.wait(ROW, "2 contents");
    browser.wait("#peers-count", "2 share something");
    browser.wait("#console li", "ADD FILES P2P-CI/1.1");
    browser.inspect("files");

    browser.press("/");
    browser.run("fill", &json!({"selector": "#query", "text": "modles lama"}));
    browser.wait("#count", "1 file found");
    assert_eq!(browser.texts("#list .row b"), ["llama.bin"]);
    browser.press("ArrowDown");
    browser.press("Enter");
    browser.wait("#detail .facts", "300,000 bytes");
    browser.wait("#detail .from-list", "publishes it");
    browser.inspect("detail");
    let kept = one.path().join("../p2pci-downloaded.bin");
    let name = browser.run("download", &json!({"selector": "#detail a.first", "path": kept}));
    assert_eq!(name, "llama.bin");
    assert!(std::fs::read(&kept).unwrap() == weights, "byte for byte");
    std::fs::remove_file(&kept).unwrap();
    browser.press("Escape");
    browser.press("Escape");
    browser.wait("#count", "4 files");

    drop(second);
    browser.gone(ROW, "slides.pdf");
    browser.gone(ROW, "2 contents");
    browser.wait("#count", "3 files");
    browser.assert_harmless();
}

#[test]
fn the_page_fits_a_phone_and_the_night() {
    let Some(mut browser) = Browser::start("the_page_fits_a_phone_and_the_night") else { return };
    let index = Index::start();
    let files: Vec<(String, &[u8])> = (0..40)
        .map(|number| (format!("series {}/episode {number:02}.mkv", number / 10), &b"x"[..]))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let one = folder(&files);
    let _peer = share(&index, &one);
    let url = format!("http://{}/", index.address());
    let wide = "document.documentElement.scrollWidth - innerWidth";
    browser.open(&url, &json!({"dark": true}));
    browser.wait(ROW, "episode 00.mkv");
    browser.inspect("dark");
    browser.open(&url, &json!({"width": 390, "height": 844, "phone": true}));
    browser.wait(ROW, "episode 00.mkv");
    assert_eq!(browser.evaluate(wide), json!(0), "nothing sticks out");
    browser.inspect("phone");
    browser.run("click", &json!({"selector": ROW}));
    browser.wait("#detail .from-list", "publishes it");
    browser.inspect("phone-detail");
    browser.press("Escape");
    for view in ["peers", "activity"] {
        browser.run("click", &json!({"selector": format!("button[data-view={view}]")}));
        browser.wait(&format!(".panel.{view}"), "");
        assert_eq!(browser.evaluate(wide), json!(0), "{view}");
        browser.inspect(&format!("phone-{view}"));
    }
}

/// Titles and names that would run something where they are taken for markup, one a line; `{}` stands for a number.
const PAYLOADS: &str = include_str!("../../browser/xss.txt");

#[test]
fn threat_w3_titles_and_names_are_text_whatever_they_look_like() {
    let Some(mut browser) = Browser::start("threat_w3_titles_and_names_are_text_whatever_they_look_like")
    else {
        return;
    };
    let payloads: Vec<&str> = PAYLOADS.lines().filter(|line| !line.is_empty()).collect();
    assert!(payloads.len() >= 200, "{} payloads", payloads.len());
    let index = Index::start();
    let mut peer = index.raw();
    for (number, payload) in payloads.iter().enumerate() {
        let add = format!(
            "ADD RFC {} P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: {payload}\r\n\r\n",
            number + 1
        );
        let answer = peer.ask_whole(&add);
        assert!(answer.starts_with("P2P-CI/1.0 200 OK"), "{payload}: {answer}");
    }
    let url = format!("http://{}/", index.address());
    browser.open(&url, &json!({"height": 14_000}));
    browser.wait("#count", &format!("{} files", payloads.len()));
    browser.wait("#list .row small", &format!("RFC {}", payloads.len()));
    let shown = browser.texts("#list .row b");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for payload in &payloads {
        let wanted = squeezed(payload);
        assert!(shown.iter().any(|text| squeezed(text) == wanted), "{wanted} is not shown as it is");
    }
    browser.run("click", &json!({"selector": ROW}));
    browser.wait("#detail .variant", "P2P-CI/1.0");
    let foreign = "document.querySelectorAll('#list script, #list img, #list svg, #list iframe, #console *:not(li):not(time):not(span), #detail-body script, #detail-body img').length";
    assert_eq!(browser.evaluate(foreign), json!(0));
    assert_eq!(browser.evaluate("String(window.pwned)"), json!("undefined"));
    browser.assert_harmless();
}
