//! WATCH: changes, sent as they happen until the connection ends.
//!
//! It is the last request of its connection that is answered while the other side still speaks, so nothing of it interleaves with
//! other answers. No lock is held while something is sent.

use net::stream::WriteError;
use proto::access::rights::Right;
use proto::limits::{V11_BODY_HELD, WATCH_PAUSE};
use proto::wire::request::Request;
use proto::wire::v11::answer::{Answer, Status};
use proto::wire::v11::body::write_line;
use proto::wire::v11::watch::{Change, Scope};
use tokio::time::sleep;

use super::Desk;
use crate::outlet::Outlet;
use crate::store::{News, Watch};
use crate::variants;

impl Desk {
    /// Tells changes until the requester stops sending, loses its token, or the index stops.
    pub(super) async fn watch(
        &self,
        scope: &Scope,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let watch = match self.shared.store.watch(scope) {
            Ok(watch) => watch,
            Err(error) => return self.refuse_v11(request, &error.to_string(), outlet).await,
        };
        self.note_v11(request, Status::Ok, 0);
        // Whoever reads this misses nothing from now on.
        write_news(&[], outlet);
        outlet.flush().await?;
        let needed = match scope {
            Scope::All { .. } => Right::List,
            Scope::One(_) => Right::Get,
        };
        // Whoever loses the right hears nothing more.
        while self.goes_on(watch.news(), outlet).await && self.allows(needed).is_ok() {
            self.tell_news_of(&watch, outlet).await?;
            if !self.goes_on(sleep(WATCH_PAUSE), outlet).await {
                break;
            }
        }
        Ok(())
    }

    /// Waits for something, unless the requester goes, loses its token, or the index stops before.
    async fn goes_on(&self, something: impl Future<Output = ()>, outlet: &Outlet) -> bool {
        tokio::select! {
            () = something => true,
            () = outlet.stream.ended() => false,
            () = self.stop.stopped() => false,
            () = self.lost() => false,
        }
    }

    async fn tell_news_of(&self, watch: &Watch<'_>, outlet: &mut Outlet) -> Result<(), WriteError> {
        let mut body = Vec::new();
        for news in watch.take() {
            if let News::Added(entry) | News::Changed(entry) | News::Removed(entry) = &news
                && !self.view.sees(&entry.peer)
            {
                continue;
            }
            write_line(&self.change(&news), &mut body);
            if body.len() >= V11_BODY_HELD {
                write_news(&body, outlet);
                outlet.flush().await?;
                body.clear();
            }
        }
        if !body.is_empty() {
            write_news(&body, outlet);
            outlet.flush().await?;
        }
        Ok(())
    }

    fn change(&self, news: &News) -> Change {
        let record = |entry| variants::record_line(entry, &self.view);
        match news {
            News::Added(entry) => Change::Added(record(entry)),
            News::Changed(entry) => Change::Changed(record(entry)),
            News::Removed(entry) => Change::Removed(record(entry)),
            News::Lost => Change::Lost,
        }
    }
}

fn write_news(body: &[u8], outlet: &mut Outlet) {
    Answer::plain(Status::Ok, body).write(outlet.held());
}
