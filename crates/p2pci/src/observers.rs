//! Everybody who hears what happens at the index.

use std::sync::Arc;

use index::notice::{Notice, Observer};
use web::feed::Feed;

use crate::server_log::ServerLog;

/// The log, and the dashboard where there is one.
pub struct Observers {
    /// What the terminal shows.
    pub log: Arc<ServerLog>,
    /// What browsers show.
    pub feed: Option<Arc<Feed>>,
}

impl Observer for Observers {
    fn notice(&self, notice: &Notice<'_>) {
        self.log.notice(notice);
        if let Some(feed) = &self.feed {
            feed.notice(notice);
        }
    }

    fn wants_requests(&self) -> bool {
        self.log.wants_requests() || self.feed.as_ref().is_some_and(|feed| feed.wants_requests())
    }
}
