//! Whether a request was meant for us (threat: DNS rebinding). A browser that was led here by somebody else's name says that name
//! in `Host`: what is not ours is not answered.

use std::net::IpAddr;

/// Endings of names that only a local network gives.
const LOCAL_ENDINGS: [&str; 4] = [".local", ".lan", ".internal", ".home.arpa"];

/// Names that a server goes by, beside those that are everybody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnNames(Vec<Box<str>>);

impl OwnNames {
    /// These names, in any case.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| name.trim_end_matches('.').into()).collect())
    }

    /// Whether a `Host`, with or without its port, means us: an address, which no name server can lead astray; a name without a
    /// dot, or with an ending that only a local network gives; or one of our own names.
    pub fn include(&self, authority: &str) -> bool {
        let name = without_port(authority).trim_end_matches('.');
        if name.is_empty() {
            return false;
        }
        let ends = |ending: &&str| {
            let at = name.len().checked_sub(ending.len());
            at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        is_address(name)
            || !name.contains('.')
            || LOCAL_ENDINGS.iter().any(ends)
            || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    // A zone, `fe80::1%25eth0`, says by which interface and no more.
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_give_us_are_ours() {
        let own = OwnNames::new(["build7.example.org", "Other.Example."]);
        for ours in [
            "10.0.0.7:41899",
            "127.0.0.1",
            "[::1]:80",
            "[fe80::1%25eth0]:80",
            "localhost:7734",
            "build7",
            "build7.local:1",
            "a.b.HOME.ARPA",
            "nas.lan.",
            "x.internal",
            "BUILD7.example.org:7",
            "other.example",
        ] {
            assert!(own.include(ours), "{ours}");
        }
        for foreign in [
            "",
            ":80",
            ".",
            "attacker.example",
            "attacker.example:41899",
            "attacker.example.",
            "build7.example.org.attacker.example",
            "xbuild7.example.org",
            "local.attacker.example",
            "127.0.0.1.attacker.example",
            "10.0.0.7.nip.io",
            "0x7f.1",
            "127.1",
            "a.blocal",
        ] {
            assert!(!own.include(foreign), "{foreign}");
        }
    }
}
