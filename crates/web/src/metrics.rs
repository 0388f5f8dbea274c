//! Figures for monitoring, in the text format of OpenMetrics, and two paths that say whether the index is well.
//!
//! A small fixed set of names with bounded labels, whatever the number of peers (threat W7). `docs/operations.md` explains them.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use index::meter::{Kind, STEPS, Totals};
use index::store::ClusterStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::site::Shared;

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Of the fine steps of the meter every so many become one bucket: a factor of four.
const STEPS_A_BUCKET: usize = 8;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

/// A node of a cluster is ready when it knows what the others have.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.server.cluster().and_then(|cluster| cluster.trouble) {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut registry = Registry::with_prefix("p2pci");
    registry.register_collector(Box::new(Look::at(&shared)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The figures at one moment.
#[derive(Debug)]
struct Look {
    peers: usize,
    records: usize,
    viewers: usize,
    started: f64,
    totals: Totals,
    answers: [u64; 5],
    cluster: Option<ClusterStatus>,
}

impl Look {
    fn at(shared: &Shared) -> Self {
        let status = shared.server.status();
        let now = SystemTime::now();
        let started = now.checked_sub(status.since.elapsed()).unwrap_or(now);
        Self {
            peers: status.peers,
            records: status.records,
            viewers: shared.feed.viewers(),
            started: started.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            totals: shared.server.totals(),
            answers: shared.door.answers.so_far(),
            cluster: shared.server.cluster(),
        }
    }

    fn histogram(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let last = STEPS - 1;
        let bucket = |steps: &[u64], first: usize| {
            let end = first + STEPS_A_BUCKET - 1;
            let bound = if end >= last { f64::MAX } else { Totals::longest_of_step(end).as_secs_f64() };
            (bound, steps.iter().sum::<u64>())
        };
        let chunks = self.totals.turns.chunks(STEPS_A_BUCKET).enumerate();
        let buckets: Vec<(f64, u64)> = chunks.map(|(at, steps)| bucket(steps, at * STEPS_A_BUCKET)).collect();
        let count = self.totals.turns.iter().sum();
        let sum = self.totals.turns_us as f64 / 1e6;
        let help = "From reading requests to having written their answers, of one turn in 16";
        let unit = Unit::Seconds;
        let mut metric = encoder.encode_descriptor("turn", help, Some(&unit), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl Collector for Look {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        gauge(&mut encoder, "peers", "Connections that have joined and not left", self.peers as f64)?;
        gauge(&mut encoder, "records", "Records in the directory", self.records as f64)?;
        gauge(&mut encoder, "event_streams", "Viewers of the event stream", self.viewers as f64)?;
        gauge(&mut encoder, "start_time_seconds", "When the index was started, since 1970", self.started)?;
        if let Some(cluster) = &self.cluster {
            of_cluster(&mut encoder, cluster)?;
        }
        let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
        let requests = kinds.zip(self.totals.requests);
        counters(&mut encoder, "requests", "Requests in P2P-CI by what they ask for", "kind", requests)?;
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.answers);
        counters(&mut encoder, "http_answers", "Answers in HTTP by their status", "class", classes)?;
        self.histogram(&mut encoder)
    }
}

/// Only of an index that is a node of one.
fn of_cluster(encoder: &mut DescriptorEncoder<'_>, cluster: &ClusterStatus) -> fmt::Result {
    let ready = if cluster.trouble.is_none() { 1.0 } else { 0.0 };
    gauge(encoder, "cluster_ready", "Whether the node knows what the others have", ready)?;
    gauge(encoder, "cluster_nodes", "Other nodes that are there", cluster.nodes as f64)?;
    let help = "Records of which the engine has still to be told";
    gauge(encoder, "cluster_waiting", help, cluster.waiting as f64)?;
    let help = "Parts of the catalogue that were read as a whole";
    gauge(encoder, "cluster_parts_read", help, cluster.read as f64)?;
    let help = "Entries at the engine that are no records";
    gauge(encoder, "cluster_left_out", help, cluster.left_out as f64)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let labels = [(label, value)];
        ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
