//! What each request takes, and what is said to whoever may not.

use std::sync::Arc;
use std::task::{Context, Poll};

use net::stream::WriteError;
use proto::access::Denied;
use proto::access::credential::Credential;
use proto::access::groups::Groups;
use proto::access::rights::Right;
use proto::value::digest::Digest;
use proto::wire::refusal::Reason;
use proto::wire::request::{Request, Verb};
use proto::wire::v11::answer::Status;
use proto::wire::v11::request::Ask;
use proto::wire::v11::watch::Scope;

use super::Desk;
use super::v11::Reply;
use crate::guard::Losing;
use crate::outlet::Outlet;

const NO_TOKEN: Reason = Reason::NotServedHere("this takes a token, which only programs of 1.1 can show");

impl Desk {
    /// Whether requests are looked at by a guard at all.
    pub(super) fn is_guarded(&self) -> bool {
        self.shared.guard.is_some()
    }

    /// Whether a member of a group is at the other end.
    pub(super) fn is_of_member(&self) -> bool {
        self.view.pass.as_ref().is_some_and(|pass| pass.grant().group.is_some())
    }

    /// Whether this session may do something.
    pub(super) fn allows(&self, needed: Right) -> Result<(), Denied> {
        match &self.shared.guard {
            None => Ok(()),
            Some(guard) => guard.allow(self.view.pass.as_deref(), needed),
        }
    }

    /// Answers a request that is not allowed; `None` where it is.
    pub(super) async fn refuse_unless_allowed(
        &self,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Option<Result<(), WriteError>> {
        let denied = self.allows(needed(&request.verb)?).err()?;
        if matches!(request.verb, Verb::V11(Ask::Add { .. })) && self.allows(Right::Get).is_ok() {
            // Copies of what it fetched are told by whoever may fetch; each line is looked at.
            return None;
        }
        match request.verb {
            Verb::V11(_) => Some(self.reply(request, Reply::denied(&denied), outlet).await),
            _ => {
                self.refuse_request(NO_TOKEN, request, outlet);
                Some(Ok(()))
            }
        }
    }

    /// The connection shows a token. Records may have been added by any that it has shown before, so the loss of each of those is
    /// waited for as well, at most as many as there are tokens.
    pub(super) fn show(&mut self, shown: &Credential, is_private: bool) -> Result<(), Denied> {
        if let Some(guard) = self.shared.guard.clone() {
            self.view.pass = None;
            let pass = guard.admit(shown, self.source.ip(), is_private)?;
            let losing = &mut self.unasked().losing;
            if !losing.iter().any(|known| known.is_of(&pass)) {
                losing.push(Losing::new(guard, Arc::clone(&pass)));
            }
            self.view.pass = Some(pass);
        }
        Ok(())
    }

    /// That a token which was shown is none any more.
    pub(crate) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Denied> {
        for losing in self.unasked.iter_mut().flat_map(|unasked| &mut unasked.losing) {
            if let Poll::Ready(denied) = losing.poll(context) {
                return Poll::Ready(denied);
            }
        }
        Poll::Pending
    }

    /// The same for whoever waits within an answer.
    pub(super) async fn lost(&self) {
        match (&self.shared.guard, &self.view.pass) {
            (Some(guard), Some(pass)) => _ = guard.lost(pass).await,
            _ => std::future::pending().await,
        }
    }

    /// Whether files may be private here.
    pub(super) fn ticket_key(&self) -> Option<Digest> {
        Some(self.shared.guard.as_ref()?.ticket_key())
    }

    /// Whether this session may say of something that it is private to these groups: who may publish, and members of each. Others
    /// would be shown the tickets of those whom they draw to themselves.
    pub(super) fn may_name(&self, groups: &Groups) -> bool {
        let grant = self.view.pass.as_ref().map(|pass| pass.grant());
        let is_member = |group| grant.is_some_and(|grant| grant.opens(std::slice::from_ref(group)));
        self.allows(Right::Add).is_ok() || groups.names().iter().all(is_member)
    }

    /// Whether a file of this name may be published, or said to be a copy.
    pub(super) fn allows_file(&self, name: &str, is_copy: bool) -> Result<(), String> {
        if is_copy {
            return Ok(());
        }
        self.allows(Right::Add).map_err(|denied| denied.to_string())?;
        let prefix = self.view.pass.as_ref().and_then(|pass| pass.grant().prefix.as_deref());
        match prefix {
            Some(prefix) if !name.starts_with(prefix) => {
                Err(format!("this token publishes only names that begin with '{prefix}'"))
            }
            _ => Ok(()),
        }
    }
}

impl Reply {
    pub(super) fn denied(denied: &Denied) -> Self {
        let status = match denied.code() {
            401 => Status::Unauthorized,
            403 => Status::Forbidden,
            _ => Status::TooManyRequests,
        };
        Self::refusal(status, &denied.to_string())
    }
}

/// What a request takes; `None` for what everybody may ask.
fn needed(verb: &Verb<'_>) -> Option<Right> {
    match verb {
        Verb::Add(_) => Some(Right::Add),
        Verb::Lookup(_) => Some(Right::Get),
        Verb::List(_) => Some(Right::List),
        Verb::Get(_) | Verb::V11(Ask::Ping { .. } | Ask::Remove { .. }) => None,
        Verb::V11(ask) => Some(match ask {
            Ask::Add { .. } | Ask::Wants => Right::Add,
            Ask::Lookup { .. } | Ask::Watch(Scope::One(_)) => Right::Get,
            _ => Right::List,
        }),
    }
}
