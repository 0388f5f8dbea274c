//! What a file is said to be: kinds that a browser shows or plays and never runs, and bytes for everything else.

/// Said of what is no known kind.
pub const BYTES: &str = "application/octet-stream";

/// The kind of a file by the ending of its name. Pages, scripts and drawings that can hold scripts are bytes.
pub fn of(leaf: &str) -> &'static str {
    let Some((_, ending)) = leaf.rsplit_once('.') else { return BYTES };
    match ending.to_ascii_lowercase().as_str() {
        // In whatever encoding: only whoever wrote it knows.
        "txt" | "md" | "log" | "csv" | "ini" | "toml" | "yaml" | "yml" => "text/plain",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "zip" | "whl" | "jar" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "bz2" => "application/x-bzip2",
        "tar" => "application/x-tar",
        "deb" => "application/vnd.debian.binary-package",
        "rpm" => "application/x-rpm",
        "iso" => "application/x-iso9660-image",
        _ => BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_browser_would_run_is_called_what_it_is() {
        assert_eq!(
            (of("rfc1.txt"), of("a.PDF"), of("x.tar.gz")),
            ("text/plain", "application/pdf", "application/gzip")
        );
        for bytes in [
            "x.html", "x.htm", "x.xhtml", "x.svg", "x.xml", "x.js", "x.mjs", "x.css", "x.swf", "x.wasm", "x",
            ".txt/x", "txt",
        ] {
            assert_eq!(of(bytes), BYTES, "{bytes}");
        }
    }
}
