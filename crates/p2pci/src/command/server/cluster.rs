//! `p2pci server --store`: what a node needs to know before it takes part in a cluster.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::fs;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use index::store::{ClusterSettings, ClusterStatus, check};
use net::interfaces::reachable_addresses;
use net::tls::Connector;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::keys;
use crate::out::Out;
use crate::server_log::ServerLog;

/// How long the look-up of `--advertise` may take.
const RESOLVE: Duration = Duration::from_secs(5);

/// From what was typed; `None` without `--store`.
pub(super) async fn settings(args: &cli::Server) -> Result<Option<ClusterSettings>, Failure> {
    let Some(mut engine) = args.store.clone() else { return Ok(None) };
    if let Some(file) = &args.store_password_file {
        engine.password = Some(first_line(file)?);
    }
    let secure = secure(args, engine.is_secure)?;
    if let (None, None, Some(open)) =
        (&secure, &engine.password, engine.nodes.iter().find(|(host, _)| !is_here(host)))
    {
        let sentence = format!(
            "the engine at {} is off this machine and has no password, so anybody there could change the catalogue; give it one \
             (requirepass, and --store-password-file here), or speak TLS with it (rediss+cluster://)",
            open.0
        );
        return Err(Failure::new(Code::Usage, sentence));
    }
    let advertised = match &args.advertise {
        Some(host) => Some(address_of(host).await?),
        None => reachable_addresses().first().copied(),
    };
    Ok(Some(ClusterSettings { engine, secure, advertised, machine: machine() }))
}

/// Whom to believe that it is the engine; `None` in plain text.
fn secure(args: &cli::Server, is_secure: bool) -> Result<Option<Connector>, Failure> {
    match (is_secure, &args.store_ca) {
        (true, Some(authorities)) => {
            keys::engine_connector(authorities, args.store_cert.as_deref(), args.store_key.as_deref())
                .map(Some)
        }
        (true, None) => Err(Failure::new(
            Code::Usage,
            "an engine in TLS needs somebody to vouch for it: --store-ca FILE names the authorities (PEM)",
        )),
        (false, Some(_)) => Err(Failure::new(
            Code::Usage,
            "--store-ca is for TLS, and --store names plain text; rediss+cluster:// is in TLS",
        )),
        (false, None) => Ok(None),
    }
}

fn first_line(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(Code::Failed, format!("cannot read the password in {shown}: {error}"))
    })?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    match line.is_empty() {
        true => Err(Failure::new(Code::Failed, format!("there is no password in the first line of {shown}"))),
        false => Ok(line),
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn address_of(host: &str) -> Result<IpAddr, Failure> {
    let found = net::connect::addresses_of(host, 0, RESOLVE).await;
    let address = found.first().map(|address| address.ip().to_canonical());
    address
        .ok_or_else(|| Failure::new(Code::Usage, format!("--advertise: no address was found for '{host}'")))
}

/// This machine as a number: nodes with the same one share their loopback interface.
fn machine() -> u64 {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let network = fs::read_link("/proc/self/ns/net").ok();
    let mut hasher = DefaultHasher::new();
    match (boot, network) {
        (Some(boot), Some(network)) => (boot, network).hash(&mut hasher),
        // Nobody else is on a machine that cannot be told apart.
        _ => RandomState::new().hash_one(0).hash(&mut hasher),
    }
    hasher.finish()
}

/// `--check`: whether the engine is fit, and every reason why not.
pub(super) async fn tell_fitness(cluster: &ClusterSettings, out: Out) -> Result<(), Failure> {
    let fitness = check(&cluster.engine, cluster.secure.clone()).await;
    fitness.good.iter().for_each(|line| out.line(line));
    match fitness.bad.is_empty() {
        true => {
            out.line("The engine is fit");
            Ok(())
        }
        false => Err(Failure::new(
            Code::Failed,
            format!("the engine is not fit:\n    {}", fitness.bad.join("\n    ")),
        )),
    }
}

/// Tells when a node is cut off, and when it is back.
pub(super) fn tell_changes(status: Option<ClusterStatus>, shown: &mut Option<bool>, log: &ServerLog) {
    let Some(ClusterStatus { trouble, .. }) = status else { return };
    // The words may change while the trouble stays.
    let is_well = Some(trouble.is_none());
    if *shown != is_well {
        *shown = is_well;
        log.cluster(trouble);
    }
}
