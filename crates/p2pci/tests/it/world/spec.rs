//! Requests and answers of P2P-CI/1.0 exactly as specified, for tests that are not about dialects.
#![expect(clippy::needless_pass_by_value, reason = "numbers, good or bad, are written in place")]

/// The answer when nothing was found.
pub(crate) const NOT_FOUND: &str = "P2P-CI/1.0 404 Not Found\r\n\r\n";
/// The answer to a bad request.
pub(crate) const BAD_REQUEST: &str = "P2P-CI/1.0 400 Bad Request\r\n\r\n";
/// A LIST.
pub(crate) const LIST: &str = "LIST ALL P2P-CI/1.0\r\nHost: asker\r\nPort: 9\r\n\r\n";

/// An ADD. Numbers and ports may be anything, as bad ones are sent too.
pub(crate) fn add(number: impl ToString, title: &str, host: &str, port: impl ToString) -> String {
    let (number, port) = (number.to_string(), port.to_string());
    format!("ADD RFC {number} P2P-CI/1.0\r\nHost: {host}\r\nPort: {port}\r\nTitle: {title}\r\n\r\n")
}

/// A LOOKUP.
pub(crate) fn lookup(number: impl ToString) -> String {
    format!("LOOKUP RFC {} P2P-CI/1.0\r\nHost: asker\r\nPort: 9\r\nTitle: \r\n\r\n", number.to_string())
}

/// A GET.
pub(crate) fn get(number: impl ToString) -> String {
    format!("GET RFC {} P2P-CI/1.0\r\nHost: asked\r\nOS: none\r\n\r\n", number.to_string())
}

/// The answer with these records.
pub(crate) fn ok(records: &[&str]) -> String {
    let records: String = records.iter().map(|record| format!("{record}\r\n")).collect();
    format!("P2P-CI/1.0 200 OK\r\n\r\n{records}\r\n")
}
