//! The programs that are measured, each started on its host and ended again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::net::Net;
use super::torrent;
use crate::parts;

/// What the file is called.
const NAME: &str = "film.bin";
/// How often it is looked at whether a file is there.
const POLL: Duration = Duration::from_millis(3);
/// The longest start.
const START: Duration = Duration::from_secs(20);
/// The longest run.
const RUN: Duration = Duration::from_secs(150);

/// Set when the user wants an end; then everything is removed in order.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Where everything is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) p2pci: PathBuf,
    /// A folder of this run, removed afterwards.
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    /// Where fetched parts of Debian are.
    pub(super) parts: PathBuf,
}

/// A system that distributes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    P2pci,
    Aria2,
    Nginx,
}

/// Programs that run; dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Running(Vec<Child>);

impl Running {
    fn start(&mut self, command: &mut Command) -> anyhow::Result<()> {
        self.0.push(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
        Ok(())
    }

    /// Kills the one that was started last but so many.
    pub(super) fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        let child = self.0.get_mut(at).context("no such program")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Place {
    /// Makes the file that is distributed, and a folder for each host.
    pub(super) fn prepare(&self, hosts: usize) -> anyhow::Result<()> {
        for host in 0..hosts {
            fs::create_dir_all(self.of(host))?;
        }
        fs::create_dir_all(self.seeds())?;
        let mut bytes = vec![0; usize::try_from(self.bytes)?];
        fastrand::Rng::with_seed(4).fill(&mut bytes);
        fs::write(self.seeds().join(NAME), bytes)?;
        Ok(())
    }

    pub(super) fn of(&self, host: usize) -> PathBuf {
        self.folder.join(host.to_string())
    }

    fn seeds(&self) -> PathBuf {
        self.folder.join("seed")
    }

    fn log(&self, name: &str) -> anyhow::Result<Stdio> {
        Ok(File::create(self.folder.join(format!("{name}.log")))?.into())
    }

    /// A program of somebody else, on one of the hosts, or on the hub.
    fn other(&self, net: &Net, host: Option<usize>, name: &str) -> anyhow::Result<Command> {
        let program = parts::provide(name, &self.parts)?;
        let mut command = match host {
            Some(host) => net.on(host, &program),
            None => net.on_the_hub(&program),
        };
        command.envs(parts::environment(&self.parts)?);
        Ok(command)
    }

    /// The file that a downloader has when it is done, and whether it is there.
    pub(super) fn is_done(&self, host: usize, system: System) -> bool {
        let file = self.of(host).join(NAME);
        match system {
            System::P2pci => file.exists(),
            System::Aria2 => self.of(host).join("done").exists(),
            System::Nginx => self.of(host).join("done").exists(),
        }
    }

    /// Compares what a downloader has with what was sent; removes it.
    pub(super) fn check(&self, host: usize) -> anyhow::Result<()> {
        let (got, sent) = (fs::read(self.of(host).join(NAME))?, fs::read(self.seeds().join(NAME))?);
        ensure!(got == sent, "the file of host {host} differs");
        Ok(())
    }

    /// Removes what downloaders left.
    pub(super) fn tidy(&self, hosts: usize) -> anyhow::Result<()> {
        for host in 0..hosts {
            fs::remove_dir_all(self.of(host))?;
            fs::create_dir_all(self.of(host))?;
        }
        Ok(())
    }

    /// Starts what is there before anybody downloads: index or tracker on the hub, and these hosts as seeds.
    pub(super) fn serve(&self, system: System, net: &Net, seeds: &[usize]) -> anyhow::Result<Running> {
        let mut running = Running::default();
        let hub = Net::hub_address().to_string();
        match system {
            System::P2pci => {
                let mut index = net.on_the_hub(&self.p2pci);
                running.start(
                    index
                        .args(["server", "--listen", &hub, "--quiet"])
                        .stdout(self.log("index")?)
                        .stderr(Stdio::null()),
                )?;
                for seed in seeds {
                    let mut share = net.on(*seed, &self.p2pci);
                    share.arg("share").arg(self.seeds()).args(["--as", "/", "--json", "--server", &hub]);
                    share.arg("--state-dir").arg(self.folder.join(format!("state{seed}")));
                    running.start(share.stdout(self.log(&format!("share{seed}"))?).stderr(Stdio::null()))?;
                }
                wait("the seeds to be registered", START, || {
                    let mut lookup = net.on_the_hub(&self.p2pci);
                    let output = lookup.args(["lookup", NAME, "--server", &hub, "--json"]).output();
                    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                    text.is_ok_and(|text| {
                        text.contains("\"hash\":\"")
                            && seeds.iter().all(|seed| text.contains(&Net::address(*seed).to_string()))
                    })
                })?;
            }
            System::Aria2 => self.serve_aria2(net, seeds, &hub, &mut running)?,
            System::Nginx => {
                let config = self.folder.join("nginx.conf");
                // One process: a worker of its own would outlive a master that is killed.
                fs::write(
                    &config,
                    format!(
                        "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.err;\nevents {{}}\nhttp {{ access_log off; sendfile on; \
                     server {{ listen 8080; root {1}; }} }}\n",
                        self.folder.display(),
                        self.seeds().display()
                    ),
                )?;
                let mut nginx = self.other(net, Some(seeds[0]), "nginx")?;
                running.start(nginx.arg("-c").arg(&config).stderr(self.log("nginx")?))?;
                wait("nginx", START, || self.folder.join("nginx.pid").exists())?;
            }
        }
        Ok(running)
    }

    fn serve_aria2(
        &self,
        net: &Net,
        seeds: &[usize],
        hub: &str,
        running: &mut Running,
    ) -> anyhow::Result<()> {
        let torrent = self.torrent();
        let hash =
            torrent::write(&self.seeds().join(NAME), &format!("http://{hub}:6969/announce"), &torrent)?;
        let list = self.folder.join("whitelist");
        fs::write(&list, format!("{hash}\n"))?;
        let mut tracker = self.other(net, None, "opentracker")?;
        tracker
            .args(["-i", hub, "-p", "6969", "-P", "6969"])
            .arg("-d")
            .arg(&self.folder)
            .arg("-w")
            .arg("whitelist");
        running.start(tracker.stdout(self.log("opentracker")?).stderr(self.log("opentracker-err")?))?;
        for seed in seeds {
            let mut aria2 = self.aria2(net, *seed, &self.seeds())?;
            running.start(aria2.args(["--check-integrity=true", "--seed-ratio=0.0"]))?;
        }
        // It checks the file first, and then announces itself.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    fn torrent(&self) -> PathBuf {
        self.folder.join("film.torrent")
    }

    fn aria2(&self, net: &Net, host: usize, folder: &Path) -> anyhow::Result<Command> {
        let mut aria2 = self.other(net, Some(host), "aria2c")?;
        aria2.arg("--dir").arg(folder).args([
            "--no-conf=true",
            "--enable-dht=false",
            "--bt-enable-lpd=false",
            "--listen-port=6881",
            "--file-allocation=none",
            "--console-log-level=warn",
        ]);
        aria2.arg(self.torrent()).stdout(self.log(&format!("aria2-{host}"))?).stderr(Stdio::null());
        Ok(aria2)
    }

    /// Starts a downloader.
    pub(super) fn fetch(
        &self,
        system: System,
        net: &Net,
        host: usize,
        running: &mut Running,
    ) -> anyhow::Result<()> {
        let folder = self.of(host);
        match system {
            System::P2pci => {
                let mut get = net.on(host, &self.p2pci);
                // No receipts for the shares of whoever measures.
                get.env("XDG_CACHE_HOME", self.folder.join("caches"));
                get.args(["get", NAME, "--seed-time", "forever", "--json", "--server"]);
                get.arg(Net::hub_address().to_string()).arg("-o").arg(folder.join(NAME));
                let log = self.log(&format!("get{host}"))?;
                running.start(get.stdout(log).stderr(self.log(&format!("get{host}-err"))?))
            }
            System::Aria2 => {
                let hook = folder.join("hook");
                fs::write(&hook, format!("#!/bin/sh\n: > {}/done\n", folder.display()))?;
                fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
                let mut aria2 = self.aria2(net, host, &folder)?;
                running.start(
                    aria2
                        .arg("--seed-ratio=0.0")
                        .arg(format!("--on-bt-download-complete={}", hook.display())),
                )
            }
            System::Nginx => {
                let mut shell = net.on(host, "sh".as_ref());
                let url = format!("http://{}:8080/{NAME}", Net::address(0));
                let script = format!("curl -sfo {0}/{NAME} {url} && : > {0}/done", folder.display());
                running.start(shell.args(["-c", &script]))
            }
        }
    }

    /// Waits until each of these downloaders is done; the time of each after `began`.
    pub(super) fn wait(
        &self,
        system: System,
        hosts: &[usize],
        began: Instant,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut times = vec![None; hosts.len()];
        wait("everybody to be done", RUN, || {
            for (time, host) in times.iter_mut().zip(hosts) {
                if time.is_none() && self.is_done(*host, system) {
                    *time = Some(began.elapsed());
                }
            }
            times.iter().all(Option::is_some)
        })?;
        Ok(times.into_iter().flatten().collect())
    }
}

impl Place {
    /// When each of these downloaders got its file, after `began`: also when that was some time ago.
    pub(super) fn ends(&self, hosts: &[usize], began: Instant) -> anyhow::Result<Vec<Duration>> {
        self.wait(System::P2pci, hosts, began)?;
        let start = std::time::SystemTime::now() - began.elapsed();
        let end = |host: &usize| {
            // A name changes the folder.
            let changed = fs::metadata(self.of(*host))?.modified()?;
            Ok(changed.duration_since(start).unwrap_or_default())
        };
        hosts.iter().map(end).collect()
    }
}

/// Looks until it is so; an error when it takes too long, or when the user wants an end.
fn wait(what: &str, bound: Duration, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        if INTERRUPTED.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        ensure!(began.elapsed() < bound, "waited {} s for {what}", bound.as_secs());
        std::thread::sleep(POLL);
    }
    Ok(())
}
