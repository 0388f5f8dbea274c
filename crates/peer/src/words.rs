//! Errors in one sentence, with their causes: a cause alone, or an error without it, sends people looking in the wrong place.

use std::error::Error;
use std::io;

/// What went wrong, then why, to the last cause.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.ends_with(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text
}

/// What the system's word for a full or closed disk means.
pub(crate) fn disk(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "your quota on this disk is used up".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "this file system is read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not write there".to_owned(),
        io::ErrorKind::FileTooLarge => "the file is larger than is allowed here".to_owned(),
        io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        io::ErrorKind::BrokenPipe => "the reader is gone".to_owned(),
        _ => error.to_string(),
    }
}
