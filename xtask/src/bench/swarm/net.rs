//! Hosts with a rate each: a network namespace for every host, a bridge between them, and a token bucket at both ends of each link.
//!
//! All of it is removed again when this is dropped, and what a killed run left behind is removed by the next one.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the names of our namespaces begin with; the number of the process follows.
const PREFIX: &str = "p2pci-swarm-";
/// The bridge's own address, where index and tracker run.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// The hosts.
#[derive(Debug)]
pub(crate) struct Net {
    names: Vec<String>,
}

impl Net {
    /// So many hosts and the hub between them; each host sends and receives so many bits a second.
    pub(crate) fn new(hosts: usize, rate: u64) -> anyhow::Result<Self> {
        remove_leftovers();
        let mut net = Self { names: Vec::new() };
        net.add("hub")?;
        net.on_hub("link add br0 type bridge")?;
        net.on_hub("link set br0 up")?;
        net.on_hub(&format!("address add {HUB}/16 dev br0"))?;
        for host in 0..hosts {
            net.add(&host.to_string())?;
            let name = net.name(host).to_owned();
            net.on_hub(&format!("link add v{host} type veth peer name eth0 netns {name}"))?;
            net.on_hub(&format!("link set v{host} master br0 up"))?;
            ip(&format!("-n {name} address add {}/16 dev eth0", Self::address(host)))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            net.limit(host, rate)?;
        }
        Ok(net)
    }

    /// Another rate for one host.
    pub(crate) fn limit(&self, host: usize, rate: u64) -> anyhow::Result<()> {
        self.limit_each_way(host, rate, rate)
    }

    /// The same with two rates, for sending and receiving.
    pub(crate) fn limit_each_way(&self, host: usize, up: u64, down: u64) -> anyhow::Result<()> {
        let bucket = |rate: u64| format!("root tbf rate {rate}bit burst 64kb latency 50ms");
        tc(&format!("-n {} qdisc replace dev eth0 {}", self.name(host), bucket(up)))?;
        tc(&format!("-n {} qdisc replace dev v{host} {}", self.hub(), bucket(down)))
    }

    pub(crate) fn address(host: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, u8::try_from(host + 1).unwrap_or(u8::MAX))
    }

    pub(crate) fn hub_address() -> Ipv4Addr {
        HUB
    }

    /// A command that runs on a host.
    pub(crate) fn on(&self, host: usize, program: &std::path::Path) -> Command {
        within(self.name(host), program)
    }

    /// A command that runs on the hub, where there is no limit.
    pub(crate) fn on_the_hub(&self, program: &std::path::Path) -> Command {
        within(self.hub(), program)
    }

    /// Does something on a host, such as connecting: a socket stays in the namespace in which it was made.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub(crate) fn enter<T: Send>(&self, host: usize, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        inside(self.name(host), work)
    }

    /// The same on the hub.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn enter_hub<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        inside(self.hub(), work)
    }

    /// Pulls a host's cable out: nothing comes through any more, and nobody is told.
    pub(crate) fn unplug(&self, host: usize) -> anyhow::Result<()> {
        self.on_hub(&format!("link set v{host} down"))
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self, host: usize) -> anyhow::Result<()> {
        self.on_hub(&format!("link set v{host} up"))
    }

    /// Bytes that a host has sent so far, headers included.
    pub(crate) fn sent(&self, host: usize) -> anyhow::Result<u64> {
        let mut cat = within(self.name(host), "cat".as_ref());
        let output = cat.arg("/sys/class/net/eth0/statistics/tx_bytes").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().with_context(|| format!("what a host sent: {text:?}"))
    }

    fn add(&mut self, name: &str) -> anyhow::Result<()> {
        let name = format!("{PREFIX}{}-{name}", std::process::id());
        ip(&format!("netns add {name}"))?;
        ip(&format!("-n {name} link set lo up"))?;
        self.names.push(name);
        Ok(())
    }

    fn hub(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    fn name(&self, host: usize) -> &str {
        self.names.get(host + 1).map_or("", String::as_str)
    }

    fn on_hub(&self, words: &str) -> anyhow::Result<()> {
        ip(&format!("-n {} {words}", self.hub()))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            // What is left of it says so the next time.
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// On a thread of its own, because a thread that has moved does not come back.
fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let place = fs::File::open(std::path::Path::new("/run/netns").join(namespace))?;
    let moved = move || {
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
        anyhow::Ok(work())
    };
    let done = std::thread::scope(|scope| scope.spawn(moved).join());
    done.map_err(|_| anyhow::anyhow!("what was done there panicked"))?
}

fn within(namespace: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program).stdin(Stdio::null());
    command
}

/// Removes the namespaces of runs whose process is gone.
fn remove_leftovers() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !std::path::Path::new("/proc").join(owner).exists()) {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    run("ip", words)
}

fn tc(words: &str) -> anyhow::Result<()> {
    run("tc", words)
}

fn run(program: &str, words: &str) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}; it is part of iproute2"))?;
    if !output.status.success() {
        bail!("{program} {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
