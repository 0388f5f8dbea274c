//! What was typed after `bench`.

use std::path::PathBuf;

use super::cluster::Cluster;
use super::files::Files;
use super::http::Http;
use super::transfer::Transfer;

/// The lines of the help text.
pub(crate) const USAGE: &str = "\
  bench index [PART…] [--records N] [--quick]
                     the index beside a bare server and redis; parts: lookup add list memory idle leave scaling search
                     (default: all)
  bench files [PART…] [--quick]
                     folders published, small files fetched, memory; parts: hashing publishing small memory (default: all)
  bench swarm [PART…] [--runs N] [--ours] [--quick]
                     one seed and eight downloaders in network namespaces with rates; parts: even uneven late sources nginx
                     (default: all; --ours: not the others beside it)
  bench http [PART…] [--quick]
                     uploads, redirects and Metalinks beside nginx; parts: small large redirect aria2 (default: all)
  bench transfer [PART…] [--size BYTES] [--quick]
                     one large file beside bare loops, nginx and curl; parts: serve shm disk sources memory tls
                     (default: all)
  bench cluster [PART…] [--quick]
                     nodes of one cluster on six processes of redis-server (P2PCI_ENGINE: of another program), beside a bare loop
                     of the same script; parts: add lookup memory crowd kill away (default: all)
  bench instructions the decoder and the directory in instructions, under callgrind
";

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Index(Index),
    Files(Files),
    Swarm(Swarm),
    Http(Http),
    Cluster(Cluster),
    Instructions,
    Transfer(Transfer),
    /// The bare sender of a file: for processes that the measurements start.
    Send(PathBuf),
    /// The same in TLS, with a certificate and its key.
    SendTls([PathBuf; 3]),
    /// The bare server itself: for processes that the measurements start.
    Floor {
        request: usize,
        answer: usize,
    },
}

/// `bench index`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) parts: Vec<Part>,
    /// Records of the largest memory row, which is left out without it, and titles that are searched.
    pub(crate) records: Option<u32>,
    /// One short round instead of five: to see that it works.
    pub(crate) quick: bool,
}

/// `bench swarm`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swarm {
    pub(crate) parts: Vec<SwarmPart>,
    /// How often each is run.
    pub(crate) runs: usize,
    /// Without the programs beside ours.
    pub(crate) only_ours: bool,
    /// A small file, once.
    pub(crate) quick: bool,
}

/// A kind of swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwarmPart {
    Even,
    Uneven,
    Late,
    Sources,
    Nginx,
}

const SWARM_PARTS: [(&str, SwarmPart); 5] = [
    ("even", SwarmPart::Even),
    ("uneven", SwarmPart::Uneven),
    ("late", SwarmPart::Late),
    ("sources", SwarmPart::Sources),
    ("nginx", SwarmPart::Nginx),
];

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Lookup,
    Add,
    List,
    Memory,
    Idle,
    Leave,
    Scaling,
    Search,
}

const PARTS: [(&str, Part); 8] = [
    ("lookup", Part::Lookup),
    ("add", Part::Add),
    ("list", Part::List),
    ("memory", Part::Memory),
    ("idle", Part::Idle),
    ("leave", Part::Leave),
    ("scaling", Part::Scaling),
    ("search", Part::Search),
];

/// Reads the words after `bench`.
pub(crate) fn parse(typed: &[&str]) -> Result<Asked, String> {
    match typed {
        ["index", rest @ ..] => parse_index(rest).map(Asked::Index),
        ["files", rest @ ..] => Files::parse(rest).map(Asked::Files),
        ["swarm", rest @ ..] => parse_swarm(rest).map(Asked::Swarm),
        ["http", rest @ ..] => Http::parse(rest).map(Asked::Http),
        ["cluster", rest @ ..] => Cluster::parse(rest).map(Asked::Cluster),
        ["instructions"] => Ok(Asked::Instructions),
        ["transfer", rest @ ..] => Transfer::parse(rest).map(Asked::Transfer),
        ["send-tls", file, certificate, key] => {
            Ok(Asked::SendTls([file.into(), certificate.into(), key.into()]))
        }
        ["send", path] => Ok(Asked::Send(path.into())),
        ["floor", request, answer] => Ok(Asked::Floor { request: number(request)?, answer: number(answer)? }),
        [] => Err("bench what? index, files, http, swarm, transfer, cluster or instructions".into()),
        [other, ..] => Err(format!("there is no bench '{other}'")),
    }
}

fn parse_index(typed: &[&str]) -> Result<Index, String> {
    let mut index = Index { parts: Vec::new(), records: None, quick: false };
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        match *word {
            "--quick" => index.quick = true,
            "--records" => index.records = Some(number(words.next().ok_or("--records of how many?")?)?),
            name => {
                let known = PARTS.iter().find(|(known, _)| *known == name);
                index.parts.push(known.ok_or(format!("there is no part '{name}'"))?.1);
            }
        }
    }
    if index.parts.is_empty() {
        index.parts = PARTS.map(|(_, part)| part).to_vec();
    }
    Ok(index)
}

fn parse_swarm(typed: &[&str]) -> Result<Swarm, String> {
    let mut swarm = Swarm { parts: Vec::new(), runs: 5, only_ours: false, quick: false };
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        match *word {
            "--quick" => (swarm.quick, swarm.runs) = (true, 1),
            "--ours" => swarm.only_ours = true,
            "--runs" => swarm.runs = number(words.next().ok_or("--runs of how many?")?)?,
            name => {
                let known = SWARM_PARTS.iter().find(|(known, _)| *known == name);
                swarm.parts.push(known.ok_or(format!("there is no part '{name}'"))?.1);
            }
        }
    }
    if swarm.parts.is_empty() {
        swarm.parts = SWARM_PARTS.map(|(_, part)| part).to_vec();
    }
    Ok(swarm)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn parts_and_flags_are_understood_and_typing_errors_named() {
        let Ok(Asked::Index(all)) = parsed("index") else { panic!("all parts") };
        assert_eq!((all.parts.len(), all.records, all.quick), (PARTS.len(), None, false));
        let some = Index { parts: vec![Part::List, Part::Memory], records: Some(7), quick: true };
        assert_eq!(parsed("index list --quick memory --records 7"), Ok(Asked::Index(some)));
        assert_eq!(parsed("instructions"), Ok(Asked::Instructions));
        let some = Swarm { parts: vec![SwarmPart::Late], runs: 2, only_ours: true, quick: false };
        assert_eq!(parsed("swarm late --runs 2 --ours"), Ok(Asked::Swarm(some)));
        for wrong in
            ["swarm --runs", "swarm x", "", "index lost", "index --records", "index --records x", "floor 1"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
