//! Where the engine is: `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT`; `rediss+cluster` in TLS.

use std::fmt;
use std::str::FromStr;

/// The usual port of the engine.
const PORT: u16 = 6379;

/// Some nodes of an engine's cluster; the others are learned from these.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineAddr {
    /// Hosts and ports.
    pub nodes: Vec<(String, u16)>,
    /// Who logs in; the engine's default user if none is given.
    pub user: Option<String>,
    /// With what.
    pub password: Option<String>,
    /// Whether it is spoken to in TLS.
    pub is_secure: bool,
}

impl fmt::Debug for EngineAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password does not belong into any output.
        f.debug_struct("EngineAddr")
            .field("nodes", &self.nodes)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EngineAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (host, port)) in self.nodes.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for EngineAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or("write redis+cluster://HOST:PORT, with commas between several")?;
        let is_secure = match scheme {
            "redis+cluster" | "valkey+cluster" => false,
            "rediss+cluster" | "valkeys+cluster" => true,
            other => {
                let known =
                    "redis+cluster and valkey+cluster are, and rediss+cluster and valkeys+cluster in TLS";
                return Err(format!("'{other}' is no engine; {known}"));
            }
        };
        let (login, nodes) =
            rest.rsplit_once('@').map_or((None, rest), |(login, nodes)| (Some(login), nodes));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or(("", login))) {
            None => (None, None),
            Some((user, password)) => (filled(user), filled(password)),
        };
        let nodes =
            nodes.strip_suffix('/').unwrap_or(nodes).split(',').map(node).collect::<Result<_, _>>()?;
        Ok(Self { nodes, user, password, is_secure })
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn node(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a ']' is missing")?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or("write [V6]:PORT")?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => Some(PORT),
        port => port.parse().ok().filter(|port| *port != 0),
    };
    match (host, port) {
        ("", _) => Err("a host is missing; write HOST:PORT".to_owned()),
        (_, None) => Err(format!("'{text}' has no port from 1 to 65535")),
        (host, Some(port)) => Ok((host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_some_nodes_and_perhaps_a_login() {
        let read =
            |text: &str| text.parse::<EngineAddr>().map(|read| (read.to_string(), read.user, read.password));
        let word = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("redis+cluster://a:7000,b,[::1]:9/"),
            Ok(("a:7000,b:6379,[::1]:9".to_owned(), None, None))
        );
        assert_eq!(read("valkey+cluster://u:p:@h:1"), Ok(("h:1".to_owned(), word("u"), word("p:"))));
        assert_eq!(read("redis+cluster://secret@h:1"), Ok(("h:1".to_owned(), None, word("secret"))));
        for bad in [
            "",
            "h:1",
            "redis://h:1",
            "redis+cluster://",
            "redis+cluster://h:0",
            "redis+cluster://h:1,",
            "redisss+cluster://h:1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let is_secure = |text: &str| text.parse::<EngineAddr>().unwrap().is_secure;
        assert!(is_secure("rediss+cluster://h") && is_secure("valkeys+cluster://h"));
        assert!(!is_secure("redis+cluster://h") && !is_secure("valkey+cluster://h"));
        let shown = format!("{:?}", "redis+cluster://u:hunter2@h:1".parse::<EngineAddr>());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
