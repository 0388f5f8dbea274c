//! A folder of what is shared, as a page for people: names, sizes, dates, and no script. Names come from whoever shares, so nothing
//! of them gets into the page unescaped.

use std::time::SystemTime;

use super::answer::{Frame, page};
use super::request::Method;
use crate::value::file_name::percent_encode;
use crate::wire::get::date;

/// Entries of one page; more are counted.
const ENTRIES_MAX: usize = 10_000;

/// How the page looks; nothing is fetched from anywhere.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667080;--rule:#e4e7eb;--back:#fff;--link:#0a58ca}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--dim:#98a2b0;--rule:#2b3138;--back:#14171a;--link:#7ab3ff}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:56rem;padding:2.5rem 1.25rem 4rem;background:var(--back);color:var(--ink);\
font:1rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
h1{margin:0 0 1.5rem;font-size:1.375rem;font-weight:600;line-height:1.3;overflow-wrap:anywhere}\
h1 span{color:var(--dim);font-weight:400;padding:0 .35em}\
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}\
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}\
th{text-align:left;font-size:.8125rem;font-weight:500;color:var(--dim);padding:0 0 .5rem}\
td{border-top:1px solid var(--rule);padding:.5rem 0;vertical-align:baseline;overflow-wrap:anywhere}\
th+th,td+td{text-align:right;white-space:nowrap;padding-left:1.5rem;color:var(--dim)}\
p{color:var(--dim);margin:1.25rem 0 0}\
@media(max-width:34rem){th:nth-child(3),td:nth-child(3){display:none}}";

/// The SHA-256 of [`STYLE`] in Base64: with it the page may have this style and no other. A test compares.
const STYLE_SHA256: &str = "6z/bN/9jOwoQoa6aGDYDxSjs8xTp1fyH8960jlSW7I0=";

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// One component of a name.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
}

/// A file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder with so many files in it and below, and the bytes of all of them.
    Folder {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
    },
    /// A file.
    File {
        /// Its size in bytes.
        bytes: u64,
        /// When it was last modified.
        modified: SystemTime,
    },
}

/// The children of a folder out of the names below it, in the order of names: `below` is what of each name comes after the folder.
pub fn children<'a>(below: impl Iterator<Item = (&'a str, u64, SystemTime)>) -> Vec<Child> {
    let mut all: Vec<Child> = Vec::new();
    for (path, size, time) in below {
        let Some((folder, _)) = path.split_once('/') else {
            all.push(Child { name: path.into(), kind: Kind::File { bytes: size, modified: time } });
            continue;
        };
        match all.last_mut() {
            Some(Child { name, kind: Kind::Folder { files, bytes } }) if **name == *folder => {
                *files = files.saturating_add(1);
                *bytes = bytes.saturating_add(size);
            }
            _ => all.push(Child { name: folder.into(), kind: Kind::Folder { files: 1, bytes: size } }),
        }
    }
    all
}

/// Appends an answer with the page of a folder, which is empty for the uppermost.
pub fn write(folder: &str, mut children: Vec<Child>, method: Method, frame: Frame, out: &mut Vec<u8>) {
    let is_file = |child: &Child| matches!(child.kind, Kind::File { .. });
    children.sort_by_cached_key(|child| (is_file(child), child.name.to_lowercase(), child.name.clone()));
    let title = if folder.is_empty() { "Shared files" } else { folder };
    let mut html = String::with_capacity(4096);
    html.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width\"><title>");
    escape(title, &mut html);
    html.push_str("</title><style>");
    html.push_str(STYLE);
    html.push_str("</style></head>\n<body><h1>");
    breadcrumbs(folder, &mut html);
    html.push_str("</h1>\n<table><thead><tr><th>Name<th>Size<th>Modified</thead>\n<tbody>\n");
    for child in children.iter().take(ENTRIES_MAX) {
        row(folder, child, &mut html);
    }
    html.push_str("</tbody></table>\n");
    if let Some(more @ 1..) = children.len().checked_sub(ENTRIES_MAX) {
        html.push_str(&format!("<p>and {more} more</p>\n"));
    }
    html.push_str("</body></html>\n");
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_SHA256}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    page(&html, &policy, method, frame, out);
}

fn breadcrumbs(folder: &str, html: &mut String) {
    if folder.is_empty() {
        html.push_str("Shared files");
        return;
    }
    html.push_str("<a href=\"/\">Shared files</a>");
    let (mut path, mut parts) = (String::new(), folder.split('/').peekable());
    while let Some(part) = parts.next() {
        path.push_str(part);
        path.push('/');
        html.push_str("<span>/</span>");
        match parts.peek() {
            Some(_) => link(&path, part, html),
            None => name(part, html),
        }
    }
}

fn row(folder: &str, child: &Child, html: &mut String) {
    let mut path = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    path.push_str(&child.name);
    html.push_str("<tr><td>");
    match child.kind {
        Kind::Folder { files, bytes } => {
            path.push('/');
            link(&path, &format!("{}/", child.name), html);
            let plural = if files == 1 { "" } else { "s" };
            html.push_str(&format!("<td>{}<td>{files} file{plural}\n", size(bytes)));
        }
        Kind::File { bytes, modified } => {
            link(&path, &child.name, html);
            let when = date(modified).to_string();
            html.push_str(&format!("<td>{}<td>{}\n", size(bytes), when.get(5..16).unwrap_or_default()));
        }
    }
}

fn link(path: &str, text: &str, html: &mut String) {
    // Encoded, it holds nothing that means something in an attribute.
    html.push_str(&format!("<a href=\"/file/{}\">", percent_encode(path)));
    name(text, html);
    html.push_str("</a>");
}

/// Apart from what stands around it, so that no mark in it turns that around.
fn name(text: &str, html: &mut String) {
    html.push_str("<bdi>");
    escape(text, html);
    html.push_str("</bdi>");
}

fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
    }
}

/// With three digits or so, in units of 1024.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes).saturating_mul(10) >> 10;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while tenths >= 10_240
        && let Some(larger) = units.next()
    {
        (tenths, unit) = (tenths >> 10, larger);
    }
    match tenths.checked_div(10).zip(tenths.checked_rem(10)) {
        Some((whole, rest)) if whole < 100 => format!("{whole}.{rest} {unit}"),
        Some((whole, _)) => format!("{whole} {unit}"),
        None => String::new(),
    }
}

/// What the page is made of, for the test that knows SHA-256.
pub fn style() -> (&'static str, &'static str) {
    (STYLE, STYLE_SHA256)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(folder: &str, names: &[(&str, u64)]) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let children = children(names.iter().map(|(name, size)| (*name, *size, time)));
        let mut out = Vec::new();
        let frame = Frame { date: SystemTime::UNIX_EPOCH, keep_alive: true };
        write(folder, children, Method::Get, frame, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn folders_come_first_and_count_what_is_below_them() {
        let page = shown("a b", &[("B.txt", 5), ("a.txt", 1536), ("z/1", 1), ("z/y/2", 1 << 20)]);
        let order = ["z/</bdi>", "a.txt</bdi>", "B.txt</bdi>"].map(|name| page.find(name).unwrap());
        assert!(order.is_sorted(), "{page}");
        assert!(
            page.contains("<a href=\"/file/a%20b/z/\"><bdi>z/</bdi></a><td>1.0 MiB<td>2 files\n"),
            "{page}"
        );
        assert!(
            page.contains("<a href=\"/file/a%20b/a.txt\"><bdi>a.txt</bdi></a><td>1.5 KiB<td>06 Nov 1994\n"),
            "{page}"
        );
        assert!(
            page.contains("<h1><a href=\"/\">Shared files</a><span>/</span><bdi>a b</bdi></h1>"),
            "{page}"
        );
    }

    #[test]
    fn nothing_of_a_name_gets_out_of_its_place() {
        let evil = "\"><script>alert(1)</script>&'\u{202e}";
        let page = shown(evil, &[(evil, 1), (&format!("{evil}/x"), 1)]);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert_eq!(page.matches("<a ").count(), 3, "{page}");
        for link in page.split("href=\"").skip(1) {
            let (target, _) = link.split_once('"').unwrap();
            assert!(
                target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte)),
                "{target}"
            );
        }
        assert!(
            page.contains("\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-"),
            "{page}"
        );
    }

    #[test]
    fn sizes_have_about_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (102_399, "99.9 KiB"),
            (102_400, "100 KiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
