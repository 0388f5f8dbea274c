//! What was typed: the command line as plain data. What it means is decided in `settings.rs`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use index::store::EngineAddr;
use peer::indexes::Indexes;
use proto::access::groups::Groups;
use proto::access::rights::Rights;
use proto::limits::KEEP_FREE_PERCENT;
use proto::reach::Net;

use crate::settings::{ListenAddr, Ports, Rate, SeedTime, indexes, presence, ticket_time};

/// Peer-to-peer file sharing with a centralized index.
#[derive(Debug, Parser)]
#[command(name = "p2pci", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What was typed, and what the environment adds to it. Ends the program with a sentence if that cannot be understood.
    pub fn typed() -> Self {
        let command = Self::command().mut_subcommands(|command| command.mut_args(variables_as_usual));
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// Variables mean what they mean elsewhere: an empty one is none, and a switch is on for `1` and `yes` and off for `0` and `no`.
fn variables_as_usual(argument: Arg) -> Arg {
    let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let argument = if is_empty { argument.env(None::<&str>) } else { argument };
    match argument.get_action() {
        ArgAction::SetTrue => argument.value_parser(FalseyValueParser::new()),
        _ => argument,
    }
}

const AFTER_HELP: &str = "\
Try it alone:        p2pci demo
Three machines:      p2pci server
                     p2pci share PATH --server HOST
                     p2pci get TARGET --server HOST
Exit codes:          0 done, 1 failed, 2 wrong usage, 3 not found, 4 index unreachable,
                     5 several contents, 6 verification failed, 130 interrupted";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the index: peers register here what they have
    Server(Server),
    /// Run a peer with a menu: add, look up, list, download
    Client(Client),
    /// Share folders and files until stopped
    Share(Share),
    /// Download files from whoever has them: verified, from many peers at once, resumed where they stopped
    Get(Get),
    /// Show who has a file
    Lookup(Lookup),
    /// Show every file of the index
    List(List),
    /// Find files and titles by words: in any order, by their beginnings, with typing errors; the best first
    Search(Search),
    /// Show what comes, changes and goes at the index, until stopped
    Watch(Watch),
    /// Make, list and revoke the tokens of an index
    Token(Token),
    /// Watch an index and two peers do the whole job on this machine, every step checked
    Demo(Demo),
}

/// `p2pci server`
#[derive(Debug, Args)]
pub struct Server {
    /// Where to listen: ADDR:PORT, ADDR or PORT; port 0 takes a free one [default: all interfaces, port 7734]
    #[arg(long, value_name = "ADDR:PORT", env = "P2PCI_LISTEN")]
    pub listen: Option<ListenAddr>,
    /// Serve every address, not only loopback, private, link-local and unique-local ones
    #[arg(long, env = "P2PCI_PUBLIC")]
    pub public: bool,
    /// Read requests exactly as the specification says
    #[arg(long, env = "P2PCI_STRICT")]
    pub strict: bool,
    /// Show for each request its dialect and every departure from the specification
    #[arg(long, env = "P2PCI_EXPLAIN")]
    pub explain: bool,
    /// Which host a record shows
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = RecordHost::Auto, env = "P2PCI_RECORD_HOST")]
    pub record_host: RecordHost,
    /// In which order the sources of a file are named
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::Load, env = "P2PCI_ORDER")]
    pub order: Order,
    /// Connections from one address (IPv4) or /64 (IPv6) at once
    #[arg(long, value_name = "N", default_value_t = proto::limits::CONNECTIONS_PER_ADDRESS, env = "P2PCI_MAX_PER_ADDRESS")]
    pub max_per_address: usize,
    /// LISTs that are answered at once; one more is refused
    #[arg(long, value_name = "N", default_value_t = proto::limits::LISTS_MAX, env = "P2PCI_MAX_LISTS")]
    pub max_lists: usize,
    /// Answer no searches, and save the memory for them: about 60 bytes a title
    #[arg(long, env = "P2PCI_NO_SEARCH")]
    pub no_search: bool,
    /// After which time at most the records of a peer go that is gone without a word: 5s to 12h
    #[arg(long, value_name = "DURATION", default_value = "130s", value_parser = presence, env = "P2PCI_PRESENCE")]
    pub presence: std::time::Duration,
    /// How long after its start the index says of a miss that the peer may only not be back yet
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration, env = "P2PCI_WARM_UP")]
    pub warm_up: std::time::Duration,
    /// Share one catalogue with other nodes through a Redis or Valkey Cluster: redis+cluster://HOST:PORT,…, in TLS
    /// rediss+cluster://…; a user and a password may stand before the first host, as USER:PASSWORD@
    #[arg(long, value_name = "URL", env = "P2PCI_STORE", hide_env_values = true)]
    pub store: Option<EngineAddr>,
    /// The password for --store, from the first line of this file
    #[arg(long, value_name = "FILE", requires = "store", env = "P2PCI_STORE_PASSWORD_FILE")]
    pub store_password_file: Option<PathBuf>,
    /// Believe an engine in TLS whose certificate these authorities vouch for: a file in PEM
    #[arg(long, value_name = "FILE", requires = "store", env = "P2PCI_STORE_CA")]
    pub store_ca: Option<PathBuf>,
    /// Our certificate for an engine that asks for one: a file in PEM
    #[arg(long, value_name = "FILE", requires_all = ["store", "store_key"], env = "P2PCI_STORE_CERT")]
    pub store_cert: Option<PathBuf>,
    /// The key of --store-cert: a file in PEM
    #[arg(long, value_name = "FILE", requires = "store_cert", env = "P2PCI_STORE_KEY")]
    pub store_key: Option<PathBuf>,
    /// With --store: at which address other machines reach peers that are on this one [default: the first address of an interface]
    #[arg(long, value_name = "HOST", requires = "store", env = "P2PCI_ADVERTISE")]
    pub advertise: Option<String>,
    /// With --store: only tell whether it is fit: exit code 0, or 1 with each reason
    #[arg(long, requires = "store", env = "P2PCI_CHECK")]
    pub check: bool,
    /// Speak no HTTP: no downloads by browser or curl, no API, no metrics
    #[arg(long, env = "P2PCI_NO_HTTP")]
    pub no_http: bool,
    /// Serve no dashboard; the rest of HTTP goes on
    #[arg(long, env = "P2PCI_NO_WEB")]
    pub no_web: bool,
    /// A further name under which HTTP is asked for here; addresses, names of local networks and this machine's own name always work
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "P2PCI_HTTP_HOST")]
    pub http_host: Vec<String>,
    /// Speak TLS, beside plain text or only; makes a key the first time, and says its fingerprint
    #[arg(long, value_name = "WHICH", value_enum, num_args = 0..=1, default_missing_value = "also", env = "P2PCI_TLS")]
    pub tls: Option<UseTls>,
    #[command(flatten)]
    pub own: OwnKey,
    /// Let in addresses of this network only, wherever they are: ADDRESS/BITS
    #[arg(long, value_name = "NET", value_delimiter = ',', env = "P2PCI_ALLOW_FROM")]
    pub allow_from: Vec<Net>,
    /// Let in no address of this network: ADDRESS/BITS
    #[arg(long, value_name = "NET", value_delimiter = ',', env = "P2PCI_DENY_FROM")]
    pub deny_from: Vec<Net>,
    /// A file with lines 'allow NET' and 'deny NET' that count as well; read again when it changes, and on SIGHUP
    #[arg(long, value_name = "FILE", env = "P2PCI_ADDRESS_LIST")]
    pub address_list: Option<PathBuf>,
    /// Only those may do something who have one of these tokens: the file that 'p2pci token' writes
    #[arg(long, value_name = "FILE", env = "P2PCI_TOKENS")]
    pub tokens: Option<PathBuf>,
    /// What those may do who have no token: list, get, add, or none
    #[arg(
        long,
        value_name = "RIGHTS",
        default_value = "none",
        requires = "tokens",
        env = "P2PCI_ANYONE_CAN"
    )]
    pub anyone_can: Rights,
    /// The key that signs what opens private files: made if it is not there, and the same file for all nodes of a cluster;
    /// without it there is a new key at each start
    #[arg(long, value_name = "FILE", requires = "tokens", env = "P2PCI_TICKET_KEY")]
    pub ticket_key: Option<PathBuf>,
    /// How long what opens a private file is good: 1s to 24h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ticket_time, requires = "tokens", env = "P2PCI_TICKET_TIME")]
    pub ticket_time: std::time::Duration,
    /// Let in only those with a certificate of these authorities, and so in TLS only: a file in PEM
    #[arg(long, value_name = "FILE", env = "P2PCI_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Keep the right to open any file and to connect anywhere, which the index gives up where the system has Landlock
    #[arg(long, env = "P2PCI_NO_SANDBOX")]
    pub no_sandbox: bool,
    /// Show neither connections nor requests
    #[arg(long, short, env = "P2PCI_QUIET")]
    pub quiet: bool,
    /// How lines are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, env = "P2PCI_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// `--record-host`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordHost {
    /// The claimed name where it is true, else an address that works
    Auto,
    /// The name as the peer claims it
    Claimed,
    /// The address that the index observed
    Observed,
}

/// `--order`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Those first to whom few were sent lately, near ones before far ones; at most 200
    Load,
    /// In the order in which they joined
    Added,
}

/// `--log-format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Where the index is.
#[derive(Debug, Args)]
pub struct ServerFlag {
    /// The index; several with commas between them are used together, and any of them may be gone
    #[arg(long, value_name = "[tls://]HOST[:PORT][#FINGERPRINT],…", env = "P2PCI_SERVER", default_value = "localhost", value_parser = indexes)]
    pub server: Indexes,
    #[command(flatten)]
    pub trust: Trust,
}

/// Whom to believe, and who to be, where the index is spoken to in TLS.
#[derive(Debug, Args)]
pub struct Trust {
    /// Believe what these authorities vouch for, where the index has no fingerprint: a file in PEM
    #[arg(long, value_name = "FILE", env = "P2PCI_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// The file with the token to show to the index; the variable P2PCI_TOKEN has the token itself
    #[arg(long, value_name = "FILE", env = "P2PCI_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    #[command(flatten)]
    pub own: OwnKey,
}

/// The key that this side has in TLS.
#[derive(Debug, Clone, Args)]
pub struct OwnKey {
    /// The certificate to show, and those that vouch for it: a file in PEM
    #[arg(long, value_name = "FILE", env = "P2PCI_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key: a file in PEM
    #[arg(long, value_name = "FILE", env = "P2PCI_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Where the key is kept that --tls makes [default: $XDG_STATE_HOME/p2pci, else ~/.local/state/p2pci]
    #[arg(long, value_name = "DIR", env = "P2PCI_TLS_DIR")]
    pub tls_dir: Option<PathBuf>,
}

/// `--tls`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UseTls {
    /// Beside plain text
    Also,
    /// Nobody is served in plain text
    Only,
}

/// How a peer offers its uploads.
#[derive(Debug, Args)]
pub struct Uploads {
    /// The name under which the index knows this peer [default: its address towards the index]
    #[arg(long, value_name = "NAME", env = "P2PCI_HOST")]
    pub host: Option<String>,
    /// The upload port, or a range of which the first free one is taken [default: a free port]
    #[arg(long, value_name = "N|A-B", env = "P2PCI_UPLOAD_PORT")]
    pub upload_port: Option<Ports>,
    /// The address on which uploads are served [default: all interfaces]
    #[arg(long, value_name = "ADDR", env = "P2PCI_UPLOAD_LISTEN")]
    pub upload_listen: Option<IpAddr>,
    /// Serve uploads to every address, not only loopback, private, link-local and unique-local ones
    #[arg(long, env = "P2PCI_PUBLIC")]
    pub public: bool,
    /// Serve uploads in TLS, beside plain text or only; makes a key the first time
    #[arg(long, value_name = "WHICH", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "also", env = "P2PCI_TLS")]
    pub tls: Option<UseTls>,
    /// Serve uploads only to those with a certificate of these authorities, and so in TLS only: a file in PEM
    #[arg(long, value_name = "FILE", env = "P2PCI_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
}

/// How fast a process may move files.
#[derive(Debug, Args)]
pub struct Limits {
    /// How fast uploads may go, all together: bytes a second, with K, M or G by 1024
    #[arg(long, value_name = "RATE", env = "P2PCI_UPLOAD_LIMIT")]
    pub upload_limit: Option<Rate>,
    /// How fast downloads may go, all together: bytes a second, with K, M or G by 1024
    #[arg(long, value_name = "RATE", env = "P2PCI_DOWNLOAD_LIMIT")]
    pub download_limit: Option<Rate>,
    /// Neither limit holds for loopback and the subnets of this machine
    #[arg(long, env = "P2PCI_LAN_EXEMPT")]
    pub lan_exempt: bool,
}

/// `p2pci client`
#[derive(Debug, Args)]
pub struct Client {
    /// The index, as the original takes it: goes before --server
    #[arg(value_name = "SERVER", value_parser = indexes)]
    pub first: Option<Indexes>,
    #[command(flatten)]
    pub index: ServerFlag,
    /// The folder of this peer's files; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "rfc", env = "P2PCI_DIR")]
    pub dir: PathBuf,
    /// Leave the adding of the folder's files to the menu
    #[arg(long, env = "P2PCI_NO_ANNOUNCE")]
    pub no_announce: bool,
    #[command(flatten)]
    pub uploads: Uploads,
    #[command(flatten)]
    pub limits: Limits,
}

/// `p2pci share`
#[derive(Debug, Args)]
pub struct Share {
    /// Folders and files: everything below them is shared, and what changes there
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// What names begin with, instead of the folder's own name; / is nothing
    #[arg(long = "as", value_name = "PREFIX", env = "P2PCI_AS")]
    pub prefix: Option<String>,
    /// Share only what matches, in the syntax of gitignore; '!GLOB' leaves out. The last match counts
    #[arg(long, short, value_name = "GLOB", env = "P2PCI_GLOB")]
    pub glob: Vec<String>,
    /// Share hidden files as well
    #[arg(long, env = "P2PCI_HIDDEN")]
    pub hidden: bool,
    /// Follow links that lead to something beneath the shared folder
    #[arg(long, env = "P2PCI_FOLLOW_LINKS")]
    pub follow_links: bool,
    /// Share a home folder or / all the same
    #[arg(long, env = "P2PCI_ALLOW_ROOT")]
    pub allow_root: bool,
    /// Show what would be public, and share nothing
    #[arg(long, short = 'n', env = "P2PCI_DRY_RUN")]
    pub dry_run: bool,
    /// Show what is shared as pages, one for each folder, to browsers on the upload port
    #[arg(long, env = "P2PCI_BROWSE")]
    pub browse: bool,
    /// Serve a page that shows what this peer shares and who takes it, on this address; without one on a free port of loopback
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:0", env = "P2PCI_WEB")]
    pub web: Option<ListenAddr>,
    /// Only members of these groups may fetch it, with tickets of the index; in TLS (--tls)
    #[arg(long, value_name = "GROUP,…", value_parser = crate::settings::groups, env = "P2PCI_PRIVATE")]
    pub private: Option<Groups>,
    /// Where hashes are kept [default: $XDG_CACHE_HOME/p2pci, else ~/.cache/p2pci]
    #[arg(long, value_name = "DIR", env = "P2PCI_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub index: ServerFlag,
    #[command(flatten)]
    pub uploads: Uploads,
    #[command(flatten)]
    pub limits: Limits,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci get`
#[derive(Debug, Args)]
pub struct Get {
    /// What to fetch: 64 hexadecimal digits are a hash, digits an RFC's number, else it is a name (all of it, or its last part
    /// where that is unique), or a glob: * ? [a-z] {a,b}. A ./ before it makes a name of anything
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
    /// Each TARGET is a folder: fetch everything below it, with its layout
    #[arg(long, short, env = "P2PCI_RECURSIVE")]
    pub recursive: bool,
    /// Where to put it: a file, a folder with a final / (made if it is not there), or - for standard output [default: here,
    /// under its own name]
    #[arg(long, short, value_name = "FILE|DIR/|-", env = "P2PCI_OUTPUT")]
    pub output: Option<PathBuf>,
    /// Which content, where several are published under one name
    #[arg(long, value_name = "HEX", env = "P2PCI_HASH")]
    pub hash: Option<proto::value::digest::Digest>,
    /// The file's SHA-256 from elsewhere; a file with another one is not kept
    #[arg(long, value_name = "HEX", env = "P2PCI_SHA256")]
    pub sha256: Option<crate::sha256::Sha256Digest>,
    /// Ask this peer, not the index: for a number or a hash
    #[arg(long, value_name = "[tls://]HOST:PORT[#FINGERPRINT]", env = "P2PCI_FROM")]
    pub from: Option<crate::settings::From>,
    /// Replace a file of another content
    #[arg(long, env = "P2PCI_FORCE")]
    pub force: bool,
    /// Connect to sources in this network as well, although the index is in another one: ADDRESS/BITS
    #[arg(long, value_name = "NET", value_delimiter = ',', env = "P2PCI_ALLOW_NET")]
    pub allow_net: Vec<Net>,
    /// Leave so many percent of the disk free
    #[arg(long, value_name = "PERCENT", default_value_t = KEEP_FREE_PERCENT, value_parser = clap::value_parser!(u8).range(0..=100), env = "P2PCI_KEEP_FREE")]
    pub keep_free: u8,
    /// How long to go on serving what was fetched: a time, or forever [default: until running uploads end, at most 30 s]
    #[arg(long, value_name = "DURATION|forever", env = "P2PCI_SEED_TIME")]
    pub seed_time: Option<SeedTime>,
    /// Fetch only, and serve nothing to others
    #[arg(long, env = "P2PCI_NO_UPLOAD", conflicts_with = "seed_time")]
    pub no_upload: bool,
    #[command(flatten)]
    pub uploads: Uploads,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub index: ServerFlag,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci lookup`
#[derive(Debug, Args)]
pub struct Lookup {
    /// A hash, an RFC's number or a name, as for get
    #[arg(value_name = "TARGET")]
    pub target: String,
    #[command(flatten)]
    pub index: ServerFlag,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci list`
#[derive(Debug, Args)]
pub struct List {
    /// Only files whose name, last part of the name, title or rfcN.txt matches: * ? [a-z] {a,b}, in any case
    #[arg(value_name = "GLOB")]
    pub glob: Option<String>,
    #[command(flatten)]
    pub index: ServerFlag,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci search`
#[derive(Debug, Args)]
pub struct Search {
    /// Words that all must be found, in any order; size:>10M, kind:pdf and is:complete may stand among them
    #[arg(value_name = "WORDS", required_unless_present = "kind")]
    pub words: Vec<String>,
    /// Only files of this size: '>10M', '<1G' or 1M..1G, with K, M, G or T by 1024
    #[arg(long, value_name = "LIMITS", env = "P2PCI_SIZE")]
    pub size: Vec<String>,
    /// Only files whose name has this ending
    #[arg(long, value_name = "ENDING", env = "P2PCI_KIND")]
    pub kind: Option<String>,
    /// Only files that some source has all of
    #[arg(long, env = "P2PCI_COMPLETE")]
    pub complete: bool,
    /// How many are shown at most, up to 1000
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = crate::settings::search_limit, env = "P2PCI_LIMIT")]
    pub limit: usize,
    #[command(flatten)]
    pub index: ServerFlag,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this: a file, a glob or a number as for get, or a folder with a final /
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    #[command(flatten)]
    pub index: ServerFlag,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci token`
#[derive(Debug, Args)]
pub struct Token {
    /// What to do.
    #[command(subcommand)]
    pub what: TokenCommand,
}

/// The commands of `p2pci token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and write it on standard output: the only time that it is seen
    New(NewToken),
    /// Show what there is, without the tokens themselves
    List(TokenList),
    /// Take a token back: a running index hears of it within a second
    Revoke(RevokeToken),
}

/// Where the tokens are.
#[derive(Debug, Args)]
pub struct TokenFile {
    /// The file that 'p2pci server --tokens' reads; made if it is not there
    #[arg(long, value_name = "FILE", env = "P2PCI_TOKENS")]
    pub tokens: PathBuf,
}

/// `p2pci token new`
#[derive(Debug, Args)]
pub struct NewToken {
    /// What it is for: list, get, add or admin, with commas between them
    #[arg(long, value_name = "RIGHTS", default_value = "list,get")]
    pub can: Rights,
    /// Whose private files it leads to
    #[arg(long, value_name = "GROUP", value_parser = crate::settings::group)]
    pub group: Option<String>,
    /// What the names of files must begin with that are published by it
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// For how long it is good, such as 12h or 90d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub expires: Option<std::time::Duration>,
    #[command(flatten)]
    pub file: TokenFile,
}

/// `p2pci token list`
#[derive(Debug, Args)]
pub struct TokenList {
    #[command(flatten)]
    pub file: TokenFile,
    /// JSON Lines instead of text
    #[arg(long, env = "P2PCI_JSON")]
    pub json: bool,
}

/// `p2pci token revoke`
#[derive(Debug, Args)]
pub struct RevokeToken {
    /// Which one, as 'p2pci token list' calls it
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub file: TokenFile,
}

/// `p2pci demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Take the rfcN.txt of this folder instead of the samples
    #[arg(long, value_name = "DIR", env = "P2PCI_DEMO_DIR")]
    pub dir: Option<PathBuf>,
}
