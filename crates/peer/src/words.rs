//! Errors in one sentence, with their causes: a cause alone, or an error without it, sends people looking in the wrong place.

use std::error::Error;

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
