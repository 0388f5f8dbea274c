//! Whether an engine is fit for this: asked before it is relied on, not while it is used.

use net::tls::Connector;
use redis::Value;

use super::address::EngineAddr;
use super::buckets::{META, slot_of};
use super::engine::{Engine, EngineError};

/// Oldest version that knows sharded channels.
const OLDEST: u32 = 7;
/// Percent of its memory above which a master has no room for what comes.
const FULL_PERCENT: u64 = 80;

/// What was found: what is good, and every reason why it is not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitness {
    /// In words, a line each.
    pub good: Vec<String>,
    /// In words; none means that it is fit.
    pub bad: Vec<String>,
}

/// Looks at every node of an engine.
pub async fn check(address: &EngineAddr, secure: Option<Connector>) -> Fitness {
    let (engine, _pushes) = Engine::new(address.clone(), secure);
    let mut fitness = Fitness::default();
    if let Err(error) = look(&engine, &mut fitness).await {
        fitness.bad.push(error.to_string());
    }
    fitness
}

async fn look(engine: &Engine, fitness: &mut Fitness) -> Result<(), EngineError> {
    let masters = engine.masters().await?;
    let mut keys = 0;
    for master in &masters {
        let shown = format!("{}:{}", master.0, master.1);
        let info = match engine.ask_node(master, &redis::cmd("INFO")).await {
            Ok(info) => info,
            Err(error) => {
                fitness.bad.push(format!("{shown}: {error}"));
                continue;
            }
        };
        let mut policy = redis::cmd("CONFIG");
        policy.arg("GET").arg("maxmemory-policy");
        let policy = engine.ask_node(master, &policy).await.ok().and_then(|answer| second(&answer));
        judge(&shown, &in_words(&info), policy.as_deref(), fitness);
        if let Ok(Value::Int(count)) = engine.ask_node(master, &redis::cmd("DBSIZE")).await {
            keys += count;
        }
    }
    let mut get = redis::cmd("HGET");
    get.arg(META).arg("cluster");
    match (engine.ask(slot_of(META), &get).await?, keys) {
        (Value::BulkString(name), _) => {
            fitness.good.push(format!("it is cluster {}", String::from_utf8_lossy(&name).escape_debug()));
        }
        (_, 0) => fitness.good.push("it is empty; the first node claims it".to_owned()),
        (_, keys) => fitness.bad.push(format!("it holds {keys} keys of something else")),
    }
    fitness.good.push(format!("{} masters have all slots", masters.len()));
    Ok(())
}

/// What one master says of itself.
fn judge(shown: &str, info: &str, policy: Option<&str>, fitness: &mut Fitness) {
    let said = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let number = |name: &str| said(name).and_then(|text| text.parse::<u64>().ok());
    let version = said("valkey_version").or(said("redis_version")).unwrap_or("0");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
    if major < OLDEST {
        fitness.bad.push(format!("{shown}: version {version} is older than {OLDEST}"));
    }
    match policy {
        None => fitness.bad.push(format!("{shown}: its eviction policy may not be read")),
        Some("noeviction") => {}
        Some(other) => fitness
            .bad
            .push(format!("{shown}: maxmemory-policy is {other}; set noeviction, or records vanish")),
    }
    let (used, most) = (number("used_memory").unwrap_or(0), number("maxmemory").unwrap_or(0));
    if most > 0 && used * 100 > most * FULL_PERCENT {
        fitness.bad.push(format!("{shown}: {used} of {most} bytes of memory are in use"));
    }
    let replicas: Vec<&str> = info.lines().filter(|line| is_replica(line)).collect();
    if replicas.is_empty() {
        fitness
            .bad
            .push(format!("{shown}: it has no replica; when it is gone its part is gone until it is back"));
    }
    let behind = replicas.iter().filter(|line| !line.contains("state=online")).count();
    if behind > 0 {
        fitness.bad.push(format!(
            "{shown}: {behind} of {} replicas have not finished their first copy",
            replicas.len()
        ));
    }
    let in_sync = replicas.len() - behind;
    fitness
        .good
        .push(format!("{shown}: version {version}, {} of memory, {in_sync} replicas in sync", bytes(used)));
}

/// `slave0:ip=…,port=…,state=online,…`
fn is_replica(line: &str) -> bool {
    let numbered = line.strip_prefix("slave").and_then(|rest| rest.split_once(':'));
    numbered.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn bytes(count: u64) -> String {
    format!("{:.1} MiB", count as f64 / (1024.0 * 1024.0))
}

fn in_words(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

/// The value of a setting, in either form of the answer.
fn second(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(parts) => parts.get(1).map(in_words),
        Value::Map(pairs) => pairs.first().map(|(_, value)| in_words(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "redis_version:7.0.15\r\nused_memory:1048576\r\nmaxmemory:0\r\nslave0:ip=h,port=1,state=online,offset=1\r\nslave_read_only:1\r\n";

    fn judged(info: &str, policy: Option<&str>) -> Vec<String> {
        let mut fitness = Fitness::default();
        judge("h:1", info, policy, &mut fitness);
        fitness.bad
    }

    #[test]
    fn each_reason_is_told() {
        assert!(judged(SOUND, Some("noeviction")).is_empty());
        let cases = [
            (SOUND.replace("7.0.15", "6.2.1"), Some("noeviction"), "older than 7"),
            (SOUND.to_owned(), Some("allkeys-lru"), "noeviction"),
            (SOUND.to_owned(), None, "may not be read"),
            (SOUND.replace("maxmemory:0", "maxmemory:1100000"), Some("noeviction"), "in use"),
            (SOUND.replace("slave0", "x"), Some("noeviction"), "no replica"),
            (SOUND.replace("online", "wait_bgsave"), Some("noeviction"), "first copy"),
        ];
        for (info, policy, reason) in cases {
            let bad = judged(&info, policy);
            assert!(bad.len() == 1 && bad[0].contains(reason), "{reason}: {bad:?}");
        }
    }
}
