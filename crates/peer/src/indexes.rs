//! Several addresses of indexes: who stands behind each, and one registration with each who is not the same.
//!
//! Two addresses may be two indexes, two nodes of one cluster, or one index twice. An index of 1.1 says which cluster it belongs to
//! (one that stands alone is a cluster of its own), so whoever knows several addresses speaks with one of each cluster, and goes
//! over to another address of the same cluster when that one is lost.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use proto::limits::{CONNECT_TOTAL, GO_OVER, INDEXES_MAX, OTHERS_MAY_TAKE};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use crate::link::v11::{AskError, Connection};
use crate::link::{IndexAddr, LinkError};

/// The indexes that a user named: at least one, at most [`INDEXES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexes(Vec<IndexAddr>);

impl Indexes {
    /// `None` if there are none, or too many.
    #[must_use]
    pub fn new(mut addresses: Vec<IndexAddr>) -> Option<Self> {
        let mut seen = BTreeSet::new();
        addresses.retain(|index| seen.insert(index.to_string()));
        (1..=INDEXES_MAX).contains(&addresses.len()).then_some(Self(addresses))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &IndexAddr> {
        self.0.iter()
    }

    /// Each of them, to be completed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut IndexAddr> {
        self.0.iter_mut()
    }

    /// The one that was named first.
    #[must_use]
    pub fn first(&self) -> &IndexAddr {
        self.0.first().expect("there is at least one")
    }

    /// Whether there is no other one.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// One of each cluster among those that answer; all of them when none does, so that whoever asks hears why.
    pub(crate) async fn distinct(&self) -> Vec<IndexAddr> {
        let mut addresses = Vec::new();
        for index in self.iter() {
            addresses.extend(expanded(index).await);
        }
        if addresses.len() < 2 {
            return addresses;
        }
        let greetings = addresses.clone().into_iter().map(|index| async move { cluster_of(&index).await });
        let answers = gather(greetings, Result::is_ok).await;
        let mut clusters = BTreeSet::new();
        let mut places = Vec::new();
        for (at, told) in answers {
            if let Ok(cluster) = told
                && cluster.is_none_or(|cluster| clusters.insert(cluster))
            {
                places.push(at);
            }
        }
        match places.is_empty() {
            true => addresses,
            false => places.into_iter().filter_map(|at| addresses.get(at).cloned()).collect(),
        }
    }
}

impl From<IndexAddr> for Indexes {
    fn from(index: IndexAddr) -> Self {
        Self(vec![index])
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, index) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{index}")?;
        }
        Ok(())
    }
}

/// The addresses behind a name, if there are several off this machine; otherwise what was given. Behind each may be another index.
pub(crate) async fn expanded(index: &IndexAddr) -> Vec<IndexAddr> {
    let found = net::connect::addresses_of(&index.host, index.port, CONNECT_TOTAL).await;
    let elsewhere: BTreeSet<_> = found.into_iter().filter(|address| !address.ip().is_loopback()).collect();
    if elsewhere.len() < 2 {
        return vec![index.clone()];
    }
    let at = |host: String| IndexAddr { host, ..index.clone() };
    elsewhere.into_iter().take(INDEXES_MAX).map(|address| at(address.ip().to_string())).collect()
}

/// Which cluster an index belongs to; an older one does not say.
async fn cluster_of(index: &IndexAddr) -> Result<Option<String>, LinkError> {
    match Connection::open(index).await?.greet().await {
        Ok(cluster) => Ok(cluster),
        Err(AskError::NotV11 { .. }) => Ok(None),
        Err(AskError::Link(error)) => Err(error),
    }
}

/// Asks several the same. When one has answered, the others may still take [`OTHERS_MAY_TAKE`]: one that hangs does not keep
/// anybody waiting. Gives what came, each with its place.
pub(crate) async fn gather<T: Send + 'static>(
    asking: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    is_answer: impl Fn(&T) -> bool,
) -> Vec<(usize, T)> {
    let mut running = JoinSet::new();
    for (at, one) in asking.into_iter().enumerate() {
        running.spawn(async move { (at, one.await) });
    }
    let (mut gathered, mut until) = (Vec::new(), None);
    loop {
        let next = match until {
            None => running.join_next().await,
            Some(until) => timeout_at(until, running.join_next()).await.unwrap_or(None),
        };
        match next {
            None => break,
            Some(Ok((at, answer))) => {
                if until.is_none() && is_answer(&answer) {
                    until = Some((Instant::now() + OTHERS_MAY_TAKE).into());
                }
                gathered.push((at, answer));
            }
            // A panic of our own, which was shown when it happened.
            Some(Err(_)) => {}
        }
    }
    gathered.sort_by_key(|(at, _)| *at);
    gathered
}

/// The clusters with which somebody of ours speaks.
#[derive(Debug, Default)]
pub struct Seats(watch::Sender<BTreeSet<String>>);

/// The right to speak with a cluster; dropping it leaves that to another one.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    cluster: String,
}

impl Seats {
    fn take(self: &Arc<Self>, cluster: &str) -> Option<Seat> {
        let taken = self.0.send_if_modified(|taken| taken.insert(cluster.to_owned()));
        taken.then(|| Seat { seats: Arc::clone(self), cluster: cluster.to_owned() })
    }

    async fn until_free(&self, cluster: &str) {
        let mut taken = self.0.subscribe();
        // The sender is ours, so this cannot fail.
        let _ = taken.wait_for(|taken| !taken.contains(cluster)).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.0.send_if_modified(|taken| taken.remove(&self.cluster));
    }
}

/// Connects to an index to which nobody of ours speaks yet. Stands by as long as somebody does, and then goes over with jitter, so
/// that not all peers of a lost node come at once.
pub(crate) async fn seated(
    index: &IndexAddr,
    seats: &Arc<Seats>,
) -> Result<(Connection, Option<Seat>), AskError> {
    loop {
        let mut connection = Connection::open(index).await?;
        let Some(cluster) = connection.greet().await? else { return Ok((connection, None)) };
        if let Some(seat) = seats.take(&cluster) {
            return Ok((connection, Some(seat)));
        }
        drop(connection);
        seats.until_free(&cluster).await;
        sleep(GO_OVER.mul_f64(fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_once_and_are_bounded() {
        let index = |port| IndexAddr::plain("h", port);
        let indexes = Indexes::new(vec![index(1), index(2), index(1)]).unwrap();
        assert_eq!((indexes.to_string().as_str(), indexes.is_one()), ("h:1,h:2", false));
        assert!(Indexes::new(Vec::new()).is_none());
        assert!(Indexes::new((0..=INDEXES_MAX as u16).map(index).collect()).is_none());
    }

    #[tokio::test]
    async fn a_cluster_has_one_seat_until_it_is_left() {
        let seats = Arc::new(Seats::default());
        let seat = seats.take("a").unwrap();
        assert!(seats.take("a").is_none() && seats.take("b").is_some());
        let waiting = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.until_free("a").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(seat);
        waiting.await.unwrap();
        assert!(seats.take("a").is_some());
    }

    #[tokio::test]
    async fn one_that_hangs_does_not_keep_anybody_waiting() {
        let asked = |at: usize| async move {
            match at {
                1 => std::future::pending().await,
                at => at * 10,
            }
        };
        let began = Instant::now();
        assert_eq!(gather((0..3).map(asked), |answer| *answer == 20).await, [(0, 0), (2, 20)]);
        assert!(began.elapsed() >= OTHERS_MAY_TAKE);
        assert!(gather((0..0).map(asked), |_| true).await.is_empty());
    }
}
