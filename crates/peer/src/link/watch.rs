//! Changes that an index of 1.1 tells by itself, over a connection made for that.
//!
//! Whoever keeps count of something opens a [`Watch`] first and looks at what is there then: what the look did not see is told.
//! After [`Change::Lost`] it looks again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::wire::v11::body::{lines, parse_line};
use proto::wire::v11::request::Ask;
use proto::wire::v11::watch::{Change, Scope};
use tokio::time::sleep;

use super::backoff::Backoff;
use super::v11::{AskError, Connection};
use super::{IndexAddr, LinkError};
use crate::indexes::{Seat, Seats, seated};
use crate::query::{QueryError, refused};

/// An open watch; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
    told: VecDeque<Change>,
}

impl Watch {
    /// Asks the index to tell changes. When this returns none is missed any more.
    ///
    /// # Errors
    /// [`QueryError`]; [`QueryError::TooOld`] from an index of 1.0, [`QueryError::Refused`] also from one of 1.1 without WATCH.
    pub async fn open(index: &IndexAddr, scope: &Scope) -> Result<Self, QueryError> {
        Self::over(Connection::open(index).await?, scope).await
    }

    /// The same at an index that nobody of ours watches yet; stands by as long as somebody does.
    pub(crate) async fn open_seated(
        index: &IndexAddr,
        scope: &Scope,
        seats: &Arc<Seats>,
    ) -> Result<(Self, Option<Seat>), QueryError> {
        match seated(index, seats).await {
            Ok((connection, seat)) => Ok((Self::over(connection, scope).await?, seat)),
            Err(AskError::NotV11 { .. }) => Err(QueryError::TooOld),
            Err(AskError::Link(error)) => Err(error.into()),
        }
    }

    async fn over(mut connection: Connection, scope: &Scope) -> Result<Self, QueryError> {
        match connection.ask(&Ask::Watch(scope.clone()), Duration::ZERO).await {
            Ok(told) => refused(&told)?,
            Err(AskError::NotV11 { .. }) => return Err(QueryError::TooOld),
            Err(AskError::Link(error)) => return Err(error.into()),
        }
        Ok(Self { connection, told: VecDeque::new() })
    }

    /// The next change, however long it takes. Safe to cancel.
    ///
    /// # Errors
    /// [`LinkError::Lost`] when the connection is gone.
    pub async fn next(&mut self) -> Result<Change, LinkError> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Ok(change);
            }
            let told = self.connection.unasked().await?;
            // Kinds of changes that a later version may add are left out.
            self.told.extend(lines(&told.body).filter_map(|(_, line)| parse_line(line).ok()));
        }
    }
}

/// What happens while an index is followed.
#[derive(Debug)]
pub enum Event {
    /// From now on changes are told; what happened since the last [`Self::Gone`] was not.
    Watching,
    /// A change.
    Change(Change),
    /// The connection is gone; it is made again by itself.
    Gone(LinkError),
}

/// Tells changes for as long as it runs, over as many connections as that takes.
///
/// # Errors
/// [`QueryError`] when the first connection cannot be made, or when the index refuses.
pub async fn follow(
    index: &IndexAddr,
    scope: &Scope,
    on: &mut (dyn FnMut(Event) + Send),
) -> Result<Infallible, QueryError> {
    let mut backoff = Backoff::default();
    let mut watch = Watch::open(index, scope).await?;
    loop {
        let since = Instant::now();
        on(Event::Watching);
        let gone = loop {
            match watch.next().await {
                Ok(change) => on(Event::Change(change)),
                Err(error) => break error,
            }
        };
        on(Event::Gone(gone));
        backoff.ended(since.elapsed());
        watch = loop {
            sleep(backoff.pause(fastrand::f64())).await;
            match Watch::open(index, scope).await {
                Ok(watch) => break watch,
                Err(QueryError::Link(_)) => backoff.ended(Duration::ZERO),
                Err(error) => return Err(error),
            }
        };
    }
}
