//! Pages of lists.

use proto::limits::API_PAGE_MAX;

use super::error::Refused;

/// Rows of a page whose size nobody said.
const PAGE: usize = 100;

/// How many rows a page has.
pub(crate) fn page_size(asked: Option<usize>) -> Result<usize, Refused> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=API_PAGE_MAX => Ok(limit),
        _ => Err(Refused::bad_request(format!("limit is 1 to {API_PAGE_MAX}"))),
    }
}
