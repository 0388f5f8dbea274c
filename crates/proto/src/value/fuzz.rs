//! A value that exists is valid, and its text is read as the same value.

use std::time::Instant;

use super::digest::Digest;
use super::file_name::{FileName, percent_decode, percent_encode};
use super::host::Host;
use super::number::{Port, RfcNumber};
use super::title::Title;
use crate::{escape, rfc_text};

/// All values from the same bytes.
pub(crate) fn values(data: &[u8], _: Instant) {
    if let Ok(name) = FileName::parse(data) {
        assert!(name.parts().all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\n'])));
        let encoded = percent_encode(name.as_str());
        assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
        assert_eq!(percent_decode(encoded.as_bytes()).as_deref(), Some(data));
    }
    if let Some(decoded) = percent_decode(data) {
        assert!(decoded.len() <= data.len());
    }
    if let Ok(title) = Title::parse(data) {
        assert_eq!(Title::parse(title.as_str().as_bytes()), Ok(title));
    }
    if let Ok(host) = Host::parse(data) {
        assert!(
            !host.as_str().contains(char::is_whitespace) && Host::parse(host.as_str().as_bytes()) == Ok(host)
        );
    }
    if let Ok(number) = RfcNumber::parse(data) {
        assert_eq!(RfcNumber::parse(number.to_string().as_bytes()), Ok(number));
    }
    if let Ok(port) = Port::parse(data) {
        assert_eq!(Port::parse(port.to_string().as_bytes()), Ok(port));
    }
    if let Some(digest) = Digest::parse(data) {
        assert_eq!(Digest::parse(digest.to_string().as_bytes()), Some(digest));
    }
    texts(data);
}

fn texts(data: &[u8]) {
    let shown = escape::Line(data).to_string();
    assert!(!shown.contains(escape::is_unsafe), "{shown:?}");
    let text = escape::Text(data).to_string();
    assert!(!text.contains(|c| escape::is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t')), "{text:?}");
    let title = rfc_text::title_of(data, RfcNumber::MIN);
    assert!(Title::parse(title.as_bytes()).is_ok(), "{title:?}");
    let lossy = String::from_utf8_lossy(data);
    if let Some(tamed) = Title::tamed(&lossy) {
        assert!(Title::parse(tamed.as_bytes()).is_ok(), "{tamed:?}");
    }
    if let Some(number) = rfc_text::number_of(&lossy) {
        assert_eq!(rfc_text::number_of(&rfc_text::file_name_of(number)), Some(number));
    }
}
