//! Lets time pass, and does to the machines what the scenario says.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use net::machine::enter;
use proto::transfer::blocks::TreeHasher;
use tokio::runtime::{Builder, Runtime};

use super::disk::Disk;
use super::host::{self, Known, Teller, Told};
use super::judge::Judge;
use super::machine::{End, OwnMachine};
use super::network::{HostId, Link, Network};
use super::scenario::{Does, Fault, Scenario};
use crate::ground;

/// From the calm on until the index must know everybody who is there, and nobody else: presence, and the longest pause between two tries.
const SETTLES: Duration = Duration::from_secs(200);
/// From the calm on until everything that is not done is a fault.
const ENDLESS: Duration = Duration::from_secs(1200);
/// Between two looks at whether all is done.
const LOOKS: Duration = Duration::from_secs(5);
/// After an end at a chosen moment the machine comes back so soon.
const COMES_BACK: Duration = Duration::from_secs(1);
/// Steps in one moment from which on something goes round in a circle.
const STEPS_MAX: u32 = 200_000;

/// What became of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong with it, one sentence for each.
    pub faults: Vec<String>,
    /// A number made of everything that happened: the same world gives the same one.
    pub trace: String,
    /// What came over the network, and steps of processes.
    pub events: u64,
    /// Things that went wrong as the scenario says.
    pub happened: u32,
    /// Time that passed in it.
    pub took: Duration,
    /// Downloads that failed and were tried again.
    pub failed: u32,
    /// What happened, a line for each: seconds, and what.
    pub log: Vec<String>,
}

/// A machine and what runs on it.
struct Machine {
    own: Arc<OwnMachine>,
    process: Option<Runtime>,
    /// When it wants to go on.
    next: Option<Duration>,
    /// When it comes back.
    back_at: Option<Duration>,
    has_run: bool,
}

/// What machines tell, in its order.
type Heard = Arc<Mutex<Vec<(HostId, Told)>>>;

struct World<'a> {
    scenario: &'a Scenario,
    contents: Arc<[Known]>,
    network: Network,
    machines: Vec<Machine>,
    heard: Heard,
    judge: Judge,
    coming: std::iter::Peekable<std::slice::Iter<'a, (Duration, Fault)>>,
    is_calm: bool,
    looks_at: Duration,
    steps: u64,
    happened: u32,
}

/// Lets a world run until all is done, or must be. Its files are made below a folder. One at a time in a process; its trace is the same again only as the
/// first one there.
///
/// # Errors
/// What the real disk says.
pub fn run(scenario: &Scenario, folder: &Path) -> io::Result<Report> {
    let _ground = ground::begin(scenario.seed);
    let mut world = World::new(scenario, folder)?;
    while !world.is_over()? {
        world.go_on()?;
    }
    world.report()
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, folder: &Path) -> io::Result<Self> {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let contents: Arc<[Known]> =
            scenario.contents.iter().zip(0..).map(|(size, number)| known(number, *size, &mut rng)).collect();
        // One more looks at the index in the end.
        let looker = Link { up: 1e9, down: 1e9, delay: Duration::from_millis(1), loss: 0 };
        let links = scenario.hosts.iter().map(|host| host.link).chain([looker]);
        let network = Network::new(scenario.seed, links);
        let mut machines = Vec::new();
        let nothing = Does::Shares { contents: Vec::new(), lies: false };
        let kinds = scenario.hosts.iter().map(|host| (&host.does, host.slowest_disk));
        for (host, (does, slowest)) in kinds.chain([(&nothing, Duration::ZERO)]).enumerate() {
            let place = folder.join(format!("machine-{host}"));
            fs::create_dir(&place)?;
            fill(does, &contents, &place, &mut rng)?;
            let disk = Disk::new(place)?;
            let own = Arc::new(OwnMachine::new(host, network.clone(), disk, slowest, scenario.seed));
            machines.push(Machine { own, process: None, next: None, back_at: None, has_run: false });
        }
        let judge = Judge::new(scenario, Arc::clone(&contents));
        let mut world = Self {
            scenario,
            contents,
            network,
            machines,
            heard: Heard::default(),
            judge,
            coming: scenario.faults.iter().peekable(),
            is_calm: false,
            looks_at: Duration::ZERO,
            steps: 0,
            happened: 0,
        };
        (0..scenario.hosts.len()).for_each(|host| world.start(host));
        Ok(world)
    }

    /// Starts the process of a machine.
    fn start(&mut self, host: HostId) {
        let machine = &mut self.machines[host];
        let again = std::mem::replace(&mut machine.has_run, true);
        let does = match &self.scenario.hosts[host].does {
            Does::Fetches { content, .. } if again => {
                Does::Fetches { content: *content, starts: Duration::ZERO }
            }
            does => does.clone(),
        };
        let teller = Teller::new(&self.heard, host, Arc::clone(&machine.own));
        let process = host::run(does, Arc::clone(&self.contents), machine.own.folder(), teller);
        machine.back_at = None;
        machine.process = Some(spawn(&machine.own, process));
        machine.next = Some(ground::now());
        self.network.note(&format!("start {host}"));
    }

    /// Everything that can be done now, and then the next moment.
    fn go_on(&mut self) -> io::Result<()> {
        self.do_all()?;
        let now = ground::now();
        let of_machines = self.machines.iter().flat_map(|machine| [machine.next, machine.back_at]).flatten();
        let calm = (!self.is_calm).then_some(self.scenario.calm_at);
        let others = [self.network.next(), self.coming.peek().map(|(at, _)| *at), calm, Some(self.looks_at)];
        let next = of_machines.chain(others.into_iter().flatten()).min().unwrap_or(now);
        ground::pass_until(next);
        self.network.deliver();
        self.bring_back();
        while let Some((_, fault)) = self.coming.next_if(|(at, _)| *at <= ground::now()) {
            self.suffer(*fault)?;
        }
        if !self.is_calm && ground::now() >= self.scenario.calm_at {
            self.is_calm = true;
            self.machines.iter().for_each(|machine| machine.own.end_in(None));
        }
        Ok(())
    }

    /// Lets each process go on that has something to do, until none has.
    fn do_all(&mut self) -> io::Result<()> {
        for _ in 0..STEPS_MAX {
            let now = ground::now();
            let mut ready: BTreeSet<HostId> = self.network.take_woken();
            let due = |machine: &Machine| machine.next.is_some_and(|next| next <= now);
            ready.extend((0..self.machines.len()).filter(|host| due(&self.machines[*host])));
            if ready.is_empty() {
                return Ok(());
            }
            for host in ready {
                self.step(host)?;
            }
        }
        self.judge.complain(format!("something goes round in a circle at {:?}", ground::now()));
        self.machines.iter_mut().for_each(|machine| machine.next = None);
        Ok(())
    }

    fn step(&mut self, host: HostId) -> io::Result<()> {
        let machine = &mut self.machines[host];
        let Some(process) = &machine.process else {
            machine.next = None;
            return Ok(());
        };
        self.steps += 1;
        enter(Some(Arc::<OwnMachine>::clone(&machine.own)));
        let wait = ground::step(process);
        enter(None);
        machine.next = wait.map(|wait| ground::now() + wait);
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        for (host, told) in heard {
            self.network.note(&format!("{host} {told:?}"));
            self.judge.hear(host, &told, &self.machines[host].own.folder())?;
        }
        if self.machines[host].own.is_dead() {
            self.clear_up(host, ground::now() + COMES_BACK)?;
        }
        Ok(())
    }

    fn suffer(&mut self, fault: Fault) -> io::Result<()> {
        self.happened += 1;
        self.network.note(&format!("{fault:?}"));
        let now = ground::now();
        match fault {
            Fault::Kill { host, at_sync, away } => self.end_run(host, End::Kill, at_sync, now + away),
            Fault::PowerLoss { host, at_sync, away } => {
                self.end_run(host, End::PowerLoss, at_sync, now + away)
            }
            Fault::Cut { between, lasts } => {
                self.network.cut(between, (now + lasts).min(self.scenario.calm_at));
                Ok(())
            }
            Fault::Jump { seconds } => {
                ground::jump(seconds);
                Ok(())
            }
        }
    }

    /// The run of a machine ends, now or when it makes something durable.
    fn end_run(&mut self, host: HostId, how: End, at_sync: Option<u32>, back_at: Duration) -> io::Result<()> {
        let machine = &mut self.machines[host];
        if machine.process.is_none() {
            return Ok(());
        }
        if let Some(syncs) = at_sync {
            machine.own.end_in(Some((syncs, how)));
            return Ok(());
        }
        machine.own.end(how)?;
        self.clear_up(host, back_at)
    }

    /// The end has come. The system closes what a process had open, if it still can.
    fn clear_up(&mut self, host: HostId, back_at: Duration) -> io::Result<()> {
        let machine = &mut self.machines[host];
        drop(machine.process.take());
        machine.own.clear_up()?;
        (machine.next, machine.back_at) = (None, Some(back_at.min(self.scenario.calm_at.max(ground::now()))));
        self.network.note(&format!("end {host}"));
        self.judge.ended(host, &self.machines[host].own.folder())
    }

    fn bring_back(&mut self) {
        for host in 0..self.machines.len() {
            if self.machines[host].back_at.is_some_and(|at| at <= ground::now()) {
                self.network.regain_power(host);
                self.start(host);
            }
        }
    }

    /// Looks now and then. In the end everybody is there who should be, and nobody else.
    fn is_over(&mut self) -> io::Result<bool> {
        let now = ground::now();
        if now < self.looks_at {
            return Ok(false);
        }
        self.looks_at = now + LOOKS;
        self.judge.look(&self.network);
        if self.judge.has_complaints() || now > self.scenario.calm_at + ENDLESS {
            self.judge.complain_of_what_is_not_done();
            return Ok(true);
        }
        if now < self.scenario.calm_at + SETTLES || !self.judge.is_all_fetched() {
            return Ok(false);
        }
        let listed = self.list()?;
        Ok(self.judge.is_as_expected(listed))
    }

    /// What the index says to somebody who asks now.
    fn list(&mut self) -> io::Result<Result<host::Listed, String>> {
        let looker = self.machines.len() - 1;
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        let machine = &mut self.machines[looker];
        machine.process = Some(spawn(&machine.own, async move {
            let listed = host::list().await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
        }));
        machine.next = Some(ground::now());
        loop {
            self.go_on()?;
            let listed = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(listed) = listed {
                let machine = &mut self.machines[looker];
                (machine.process, machine.next) = (None, None);
                return Ok(listed);
            }
            if ground::now() > self.scenario.calm_at + ENDLESS + SETTLES {
                return Ok(Err("the index does not answer".to_owned()));
            }
        }
    }

    fn report(mut self) -> io::Result<Report> {
        for host in 0..self.scenario.hosts.len() {
            self.judge.look_at_disk(host, &self.machines[host].own.folder())?;
        }
        // Whoever ends now has nothing more to say.
        self.machines.iter_mut().for_each(|machine| drop(machine.process.take()));
        Ok(Report {
            failed: self.judge.failed(),
            faults: self.judge.into_faults(),
            trace: self.network.trace(),
            log: self.network.with(|state| std::mem::take(&mut state.log)),
            events: self.steps + self.network.with(|state| state.handled),
            happened: self.happened,
            took: ground::now(),
        })
    }
}

/// A process on a machine.
fn spawn(machine: &Arc<OwnMachine>, process: impl Future<Output = ()> + Send + 'static) -> Runtime {
    enter(Some(Arc::<OwnMachine>::clone(machine)));
    let runtime =
        Builder::new_current_thread().enable_all().build().expect("the system has room for a runtime");
    runtime.spawn(process);
    enter(None);
    runtime
}

fn known(number: usize, size: u64, rng: &mut Rng) -> Known {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    rng.fill(&mut bytes);
    let mut hasher = TreeHasher::new();
    hasher.update(&bytes);
    let (hash, list) = hasher.finish();
    Known { name: format!("content-{number}"), bytes, hash, list }
}

/// What is on a machine's disk before the world begins.
fn fill(does: &Does, contents: &[Known], place: &Path, rng: &mut Rng) -> io::Result<()> {
    let Does::Shares { contents: numbers, lies } = does else { return Ok(()) };
    for known in numbers.iter().filter_map(|number| contents.get(*number)) {
        let mut bytes = known.bytes.clone();
        if *lies {
            let at = rng.usize(0..bytes.len());
            bytes[at] ^= 1;
        }
        fs::write(place.join(&known.name), bytes)?;
    }
    Ok(())
}
