//! Lasting connections to several indexes, used as one: for a peer with a menu, which speaks 1.0.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::wire::status::StatusCode;

use crate::indexes::{Indexes, Seats, gather};
use crate::link::{Answer, IndexAddr, Link, LinkConfig, LinkError, OwnedRecord, Piece, Registration};
use crate::notice::Observer;

/// One link to each index. A clone is the same ones.
#[derive(Debug, Clone)]
pub struct Links(Vec<Link>);

impl Links {
    /// Begins to connect to each of them; `config` is for the first one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError::Host`] when the host to claim is none.
    pub fn start(
        indexes: &Indexes,
        config: &LinkConfig,
        observe: impl Fn(&IndexAddr) -> Arc<dyn Observer>,
    ) -> Result<Self, LinkError> {
        let seats = (!indexes.is_one()).then(|| Arc::new(Seats::default()));
        let start = |index: &IndexAddr| {
            let config = LinkConfig { index: index.clone(), seats: seats.clone(), ..config.clone() };
            Link::start(config, observe(index))
        };
        indexes.iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// Waits until there is a connection to one of them.
    ///
    /// # Errors
    /// See [`Link::connected`].
    pub async fn connected(&self, within: Duration) -> Result<(), LinkError> {
        let links = self.0.clone().into_iter();
        let waiting = links.map(|link| async move { link.connected(within).await });
        first(gather(waiting, Result::is_ok).await)
    }

    /// Waits until everything that is shared has been registered with one of them.
    ///
    /// # Errors
    /// See [`Link::registered`].
    pub async fn registered(&self, within: Duration) -> Result<Registration, LinkError> {
        let links = self.0.clone().into_iter();
        let waiting = links.map(|link| async move { link.registered(within).await });
        first(gather(waiting, Result::is_ok).await)
    }

    /// See [`Link::claimed`]; of the first index that was reached.
    #[must_use]
    pub fn claimed(&self) -> Option<PeerAddr> {
        self.0.iter().find_map(Link::claimed)
    }

    /// Registers a file with each of them; one that is away is told when it is back. See [`Link::add`].
    ///
    /// # Errors
    /// [`LinkError`] of the first one, when there is no answer at all.
    pub async fn add(&self, number: RfcNumber, title: &str, within: Duration) -> Result<Answer, LinkError> {
        let asking = self.0.clone().into_iter().map(|link| {
            let title = title.to_owned();
            async move { link.add(number, &title, within).await }
        });
        first(gather(asking, Result::is_ok).await)
    }

    /// Asks each of them who has a file: see [`Link::lookup`]. What a further one answers is appended where it knows more.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn lookup(
        &self,
        number: RfcNumber,
        title: Option<&str>,
        within: Duration,
    ) -> Result<Answer, LinkError> {
        let asking = self.0.clone().into_iter().map(|link| {
            let title = title.map(str::to_owned);
            async move { link.lookup(number, title.as_deref(), within).await }
        });
        let mut told = gather(asking, Result::is_ok).await;
        // Whoever found something goes before whoever did not.
        told.sort_by_key(|(_, answer)| !answer.as_ref().is_ok_and(|answer| !answer.records.is_empty()));
        let (mut merged, mut failed) = (None::<Answer>, None);
        for (_, answer) in told {
            match (answer, &mut merged) {
                (Ok(answer), None) => merged = Some(answer),
                (Ok(answer), Some(merged)) => append(merged, answer),
                (Err(error), _) => failed = failed.or(Some(error)),
            }
        }
        merged.ok_or(failed.unwrap_or(LinkError::Closed))
    }

    /// Asks each of them for every record: see [`Link::list`]. Of a further one only what the ones before do not know is given.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn list(
        &self,
        within: Duration,
        sink: &mut (dyn FnMut(Piece) + Send),
    ) -> Result<Option<StatusCode>, LinkError> {
        if let [link] = self.0.as_slice() {
            return link.list(within, sink).await;
        }
        let connected = self.connected(within).await;
        let (mut seen, mut status, mut failed) = (HashSet::new(), None, connected.err());
        for link in &self.0 {
            let mut only_new = |piece: Piece| {
                let piece = without_known(piece, &mut seen);
                if !piece.raw.is_empty() {
                    sink(piece);
                }
            };
            // One of them is there, so nobody waits for the others.
            match link.list(Duration::from_millis(100), &mut only_new).await {
                Ok(told) => status = status.or(Some(told)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        status.ok_or(failed.unwrap_or(LinkError::Closed))
    }

    /// See [`Link::leave`].
    pub async fn leave(self) {
        let leaving = self.0.into_iter().map(Link::leave);
        gather(leaving, |()| false).await;
    }
}

/// The first answer in the order of the indexes; without any the first error.
fn first<T>(told: Vec<(usize, Result<T, LinkError>)>) -> Result<T, LinkError> {
    let mut failed = None;
    for (_, answer) in told {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or(LinkError::Closed))
}

fn append(merged: &mut Answer, other: Answer) {
    let new: Vec<OwnedRecord> =
        other.records.into_iter().filter(|record| !merged.records.contains(record)).collect();
    if !new.is_empty() {
        new.iter().for_each(|record| merged.raw.extend(line(record)));
        merged.records.extend(new);
    }
}

/// As it came where all of it is new; otherwise the new records, written anew.
fn without_known(piece: Piece, seen: &mut HashSet<(RfcNumber, PeerAddr)>) -> Piece {
    let all = piece.records.len();
    let is_first = seen.is_empty();
    let new = |record: &OwnedRecord| seen.insert((record.number, record.peer.clone()));
    let records: Vec<OwnedRecord> = piece.records.into_iter().filter(new).collect();
    if is_first || (records.len() == all && all > 0) {
        return Piece { raw: piece.raw, records };
    }
    Piece { raw: records.iter().flat_map(line).collect(), records }
}

fn line(record: &OwnedRecord) -> Vec<u8> {
    let OwnedRecord { number, title, peer } = record;
    format!("RFC {number} {title} {} {}\r\n", peer.host(), peer.port()).into_bytes()
}

#[cfg(test)]
mod tests {
    use proto::value::host::Host;
    use proto::value::number::Port;

    use super::*;

    fn record(number: u32, port: u16) -> OwnedRecord {
        let peer = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(port).unwrap());
        OwnedRecord { number: RfcNumber::new(number).unwrap(), title: "T".to_owned(), peer }
    }

    #[test]
    fn what_a_further_index_knows_is_appended_once() {
        let answer =
            |records: Vec<OwnedRecord>| Answer { status: None, raw: b"as it came\r\n".to_vec(), records };
        let mut merged = answer(vec![record(1, 1)]);
        append(&mut merged, answer(vec![record(1, 1)]));
        assert_eq!(merged, answer(vec![record(1, 1)]));
        append(&mut merged, answer(vec![record(1, 2), record(1, 1)]));
        assert_eq!(merged.raw, b"as it came\r\nRFC 1 T h 2\r\n");
        assert_eq!(merged.records, [record(1, 1), record(1, 2)]);
    }

    #[test]
    fn a_list_tells_a_record_once() {
        let mut seen = HashSet::new();
        let piece = |records: Vec<OwnedRecord>| Piece { raw: b"as it came\r\n".to_vec(), records };
        let mut told = |records| without_known(piece(records), &mut seen).raw;
        assert_eq!(told(vec![record(1, 1), record(2, 1)]), b"as it came\r\n");
        assert_eq!(told(vec![record(1, 1), record(3, 1)]), b"RFC 3 T h 1\r\n");
        assert!(told(vec![record(2, 1)]).is_empty());
    }
}
