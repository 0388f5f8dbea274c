//! From one whole head to a request: the request line, and the few header fields that mean something here.

use crate::access::credential::Credential;
use std::time::{Duration, SystemTime};

use httparse::{EMPTY_HEADER, Error, Header};

use super::range::RangeSet;
use super::refusal::Refusal;
use super::request::{Asker, Conditions, Method, Request};
use super::target::Target;
use crate::limits::{HOST_BYTES_MAX, HTTP_HEADERS_MAX};

/// Reads a head that ends with its empty line, all of whose lines end in CRLF.
pub(super) fn request(head: &[u8]) -> Result<Request, Refusal> {
    let mut headers = [EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(head).map_err(refusal_of)?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::RequestLine);
    };
    let fields = Fields::collect(parsed.headers)?;
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    if fields.body {
        return Err(Refusal::Body);
    }
    let (authority, path) = split_target(target)?;
    let host = host(&fields, authority, minor)?;
    Ok(Request {
        method,
        target: Target::of_path(path),
        path: path.into(),
        asker: asker(&fields, host.as_deref()),
        host,
        credential: fields.credential.map(|value| Box::new(Credential::parse(value))),
        // 1.0 has no such thing by default, and nobody needs it there.
        keep_alive: minor == 1 && !fields.close,
        waits: fields.waits.filter(|_| minor == 1),
        range: fields.range.and_then(RangeSet::parse),
        conditions: fields.conditions,
    })
}

fn refusal_of(error: Error) -> Refusal {
    match error {
        Error::HeaderName => Refusal::HeaderName,
        Error::HeaderValue => Refusal::HeaderValue,
        Error::TooManyHeaders => Refusal::TooManyHeaders,
        Error::Version => Refusal::Version,
        Error::NewLine | Error::Status | Error::Token => Refusal::RequestLine,
    }
}

/// The header fields that mean something here.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    content_length: bool,
    /// A body is announced.
    body: bool,
    close: bool,
    waits: Option<Duration>,
    range: Option<&'a [u8]>,
    /// An ignored range is ignored for good.
    range_twice: bool,
    conditions: Conditions,
    origin: Option<&'a [u8]>,
    fetch_site: Option<&'a [u8]>,
    credential: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[Header<'a>]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for header in headers {
            fields.take(header)?;
        }
        if fields.range_twice {
            fields.range = None;
        }
        Ok(fields)
    }

    fn take(&mut self, header: &Header<'a>) -> Result<(), Refusal> {
        let value = header.value;
        match plain_name(header.name).as_str() {
            "" => return Err(Refusal::HeaderName),
            "transfer-encoding" => return Err(Refusal::TransferEncoding),
            "content-length" => self.take_content_length(header)?,
            "host" if self.host.is_some() => return Err(Refusal::HostTwice),
            "host" => self.host = Some(value),
            "connection" => self.close |= has_token(value, b"close"),
            "prefer" => self.waits = self.waits.or(waits(value)),
            "range" if self.range.is_some() => self.range_twice = true,
            "range" => self.range = Some(value),
            "origin" => self.origin = Some(value),
            // Of two the first counts: whoever adds one in between cannot take it away.
            "authorization" => self.credential = self.credential.or(Some(value)),
            "sec-fetch-site" => self.fetch_site = Some(value),
            "if-range" => self.conditions.if_range = Some(value.into()),
            "if-match" => join(&mut self.conditions.if_match, value),
            "if-none-match" => join(&mut self.conditions.if_none_match, value),
            "if-modified-since" => self.conditions.if_modified_since = date(value),
            "if-unmodified-since" => self.conditions.if_unmodified_since = date(value),
            _ => {}
        }
        Ok(())
    }

    fn take_content_length(&mut self, header: &Header<'_>) -> Result<(), Refusal> {
        let digits = !header.value.is_empty() && header.value.iter().all(u8::is_ascii_digit);
        if self.content_length || !digits || !header.name.eq_ignore_ascii_case("content-length") {
            return Err(Refusal::ContentLength);
        }
        self.content_length = true;
        self.body = header.value.iter().any(|digit| *digit != b'0');
        Ok(())
    }
}

/// Adds a line to a list that may be cut into several (RFC 9110, section 5.3).
fn join(list: &mut Option<Box<[u8]>>, value: &[u8]) {
    let joined = list.take().map_or_else(|| value.into(), |before| [&*before, value].join(&b','));
    *list = Some(joined.into());
}

/// The seconds of `wait=N` among preferences (RFC 7240, section 4.3).
fn waits(value: &[u8]) -> Option<Duration> {
    let preferences = str::from_utf8(value).ok()?.split([',', ';']).map(str::trim_ascii);
    let seconds = preferences.filter_map(|one| one.strip_prefix("wait=")?.parse::<u32>().ok());
    seconds.map(|seconds| Duration::from_secs(seconds.into())).next()
}

fn date(value: &[u8]) -> Option<SystemTime> {
    str::from_utf8(value).ok().and_then(|text| httpdate::parse_http_date(text).ok())
}

/// A name in small letters. Some programs take `_` for `-`, so `Content_Length` is judged like what they make of it.
fn plain_name(name: &str) -> String {
    name.bytes().map(|byte| if byte == b'_' { '-' } else { char::from(byte.to_ascii_lowercase()) }).collect()
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}

/// Into the authority, where the target is a URL, and the path.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Refusal> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::Target);
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::Target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(Refusal::Target)?;
    match scheme.eq_ignore_ascii_case("http") && !authority.is_empty() {
        true => Ok((Some(authority), if path.starts_with('/') { path } else { "/" })),
        false => Err(Refusal::Target),
    }
}

/// The one host that all parts of the request agree on.
fn host(fields: &Fields<'_>, authority: Option<&str>, minor: u8) -> Result<Option<Box<str>>, Refusal> {
    let Some(host) = fields.host else {
        return if minor == 0 { Ok(authority.map(Into::into)) } else { Err(Refusal::HostMissing) };
    };
    let host = str::from_utf8(host).ok().filter(|host| is_host(host)).ok_or(Refusal::HostInvalid)?;
    match authority.is_none_or(|authority| authority.eq_ignore_ascii_case(host)) {
        true => Ok(Some(host.into())),
        false => Err(Refusal::HostInvalid),
    }
}

/// Of two hints the stricter one counts; what is malformed is foreign.
fn asker(fields: &Fields<'_>, host: Option<&str>) -> Asker {
    let own_site = fields.fetch_site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
    let own_origin = fields.origin.is_none_or(|origin| {
        let origin = origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://"));
        origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host.as_bytes()))
    });
    if own_site && own_origin { Asker::Own } else { Asker::Foreign }
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(&byte);
    // The longest name, a colon and a port.
    host.len() <= HOST_BYTES_MAX.saturating_add(6) && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        let seconds = |value: &str| waits(value.as_bytes()).map(|time| time.as_secs());
        assert_eq!(seconds("wait=7"), Some(7));
        assert_eq!(seconds("respond-async, x; wait=10, wait=3"), Some(10));
        for none in ["", "wait", "wait=", "wait=-1", "wait=4294967296", "await=3", "\u{fc}"] {
            assert_eq!(seconds(none), None, "{none}");
        }
        assert_eq!(waits(b"\xffwait=1"), None);
    }
}
