//! A server behind a door, and clients from many loopback addresses: the vocabulary of the accept tests.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use bytes::BytesMut;
use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy, serve};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::lists::AddressLists;
use net::stop::{Stopper, stop_pair};
use net::stream::Stream;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod limits;
mod opening;
mod stopping;
mod tls;

const LIMIT: Duration = Duration::from_secs(20);
fn policy() -> Policy {
    Policy {
        public: false,
        connections_max: 100,
        per_address_max: 100,
        refusal: b"400 Bad Request\r\n",
        drain: LIMIT,
        lists: AddressLists::default(),
        tls: None,
    }
}

struct Ear(UnboundedSender<AcceptNotice>);

impl AcceptObserver for Ear {
    fn notice(&self, notice: AcceptNotice) {
        // A test that no longer listens has ended.
        let _ = self.0.send(notice);
    }
}

struct Server {
    address: SocketAddr,
    notices: UnboundedReceiver<AcceptNotice>,
    stopper: Stopper,
    serving: JoinHandle<()>,
}

impl Server {
    fn start<H, F>(policy: Policy, handler: H) -> Self
    where
        H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let all = ListenSpec { address: Some(Ipv4Addr::UNSPECIFIED.into()), ports: PortChoice::Any };
        let listeners = Listeners::bind(all).unwrap();
        let address = (Ipv4Addr::LOCALHOST, listeners.port()).into();
        let (sender, notices) = unbounded_channel();
        let (stopper, stop) = stop_pair();
        let serving = tokio::spawn(serve(listeners, policy, Arc::new(Ear(sender)), handler, stop));
        Self { address, notices, stopper, serving }
    }

    async fn connect(&self) -> Stream {
        self.connect_from(1).await
    }

    /// From 127.0.0.`last`.
    async fn connect_from(&self, last: u8) -> Stream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        Stream::plain(timeout(LIMIT, socket.connect(self.address)).await.unwrap().unwrap())
    }

    async fn notice(&mut self) -> AcceptNotice {
        timeout(LIMIT, self.notices.recv()).await.unwrap().unwrap()
    }

    /// The next notice that is no `Connected`.
    async fn other_notice(&mut self) -> AcceptNotice {
        loop {
            match self.notice().await {
                AcceptNotice::Connected { .. } => {}
                notice => return notice,
            }
        }
    }
}

async fn say(stream: &mut Stream, words: &[u8]) {
    stream.write_all(words, LIMIT).await.unwrap();
}

/// Waits for exactly these words.
async fn hear(stream: &mut Stream, words: &[u8]) {
    let mut heard = BytesMut::new();
    while heard.len() < words.len() {
        assert_ne!(timeout(LIMIT, stream.read(&mut heard)).await.unwrap().unwrap(), 0, "{heard:?}");
    }
    assert_eq!(heard, words);
}

/// Waits for the end, whatever comes before it.
async fn hear_out(stream: &mut Stream) -> BytesMut {
    let mut heard = BytesMut::new();
    while timeout(LIMIT, stream.read(&mut heard)).await.unwrap().unwrap_or(0) > 0 {}
    heard
}

/// Answers the first bytes with themselves and holds the connection until the other side closes it.
async fn echo(mut incoming: Incoming) {
    let first = incoming.first.split();
    if incoming.stream.write_all(&first, LIMIT).await.is_ok() {
        while incoming.stream.read(&mut incoming.first).await.is_ok_and(|count| count > 0) {}
    }
}
