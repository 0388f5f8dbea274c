//! `p2pci get TARGET…`

mod place;
mod progress;
mod resolve;
mod seeding;
mod unverified;
mod verified;
pub mod wanted;

use std::net::IpAddr;
use std::sync::OnceLock;

use peer::choice::{Choice, Content};
use peer::download::Timing;
use proto::escape;
use proto::reach::Reach;
use proto::value::file_name::FileName;
use proto::wire::v11::body::Variant;
use proto::wire::v11::request::Target;

use self::place::Place;
use self::seeding::Seeding;
use self::wanted::Wanted;
use crate::cli::Get;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::{Rates, all_typed};

/// What all fetches of one command have in common.
struct Context<'a> {
    args: &'a Get,
    out: Out,
    rates: Rates,
    /// Where sources may be; known when an index has answered.
    reach: OnceLock<Reach>,
    seeding: Seeding,
}

/// Fetches each target; gives back what serves it meanwhile. A target that fails does not keep the next ones from being fetched; the first failure is the command's.
pub async fn run(args: Get, out: Out) -> Result<Seeding, Failure> {
    let parse = |text: &String| {
        Wanted::parse(text, args.recursive).map_err(|sentence| Failure::new(Code::Usage, sentence))
    };
    crate::signals::survive_file_limits();
    let wanted: Vec<Wanted> = args.targets.iter().map(parse).collect::<Result<_, _>>()?;
    let several = wanted.len() > 1 || !matches!(wanted.as_slice(), [Wanted::One(_)]);
    place::check(args.output.as_deref(), several)?;
    if several && (args.sha256.is_some() || args.hash.is_some()) {
        return Err(Failure::new(Code::Usage, "--hash and --sha256 are about one file; name one TARGET"));
    }
    let context = Context {
        args: &args,
        out,
        rates: Rates::from(&args.limits),
        reach: OnceLock::new(),
        seeding: Seeding::default(),
    };
    let mut first = None;
    for wanted in &wanted {
        let fetched = match wanted {
            Wanted::One(target) => context.one(target).await,
            Wanted::Glob(glob) => context.many(resolve::matching(&context, glob).await?, false).await,
            Wanted::Folder(folder) => context.many(resolve::below(&context, folder).await?, true).await,
        };
        context.note_failure(fetched, &mut first);
    }
    first.map_or(Ok(()), Err)?;
    Ok(context.seeding)
}

impl Context<'_> {
    /// The indexes were reached at these addresses: their sources are connected to where one of them could be itself.
    fn reached(&self, indexes: &[IpAddr]) {
        if !indexes.is_empty() {
            // The first answer decides: an index that moves meanwhile gains nothing.
            let _ = self.reach.set(Reach::of_indexes(indexes, &self.args.allow_net));
        }
    }

    /// On which terms sources are asked.
    fn timing(&self) -> Timing {
        // Without an index it was the user who named the source.
        Timing { reach: self.reach.get().copied().unwrap_or(Reach::ANYWHERE), ..Timing::default() }
    }

    /// Fetches what one target means.
    async fn one(&self, target: &Target) -> Result<(), Failure> {
        let choice = match &self.args.from {
            Some(from) => resolve::at_peer(target, &from.0)?,
            None => resolve::at_index(self, target).await?,
        };
        let own_name = match (target, &choice) {
            (Target::Rfc(number), _) => proto::rfc_text::file_name_of(*number),
            // What was typed, and not what the index says instead.
            (Target::File(name), _) => name.clone(),
            (Target::Hash(hash), Choice::Verified(content)) => {
                let name = content.name.as_deref().filter(|name| FileName::parse(name.as_bytes()).is_ok());
                name.map_or_else(|| hash.to_string(), str::to_owned)
            }
            (Target::Hash(hash), _) => hash.to_string(),
        };
        let place = Place::of_one(self.args.output.as_deref(), &own_name);
        self.fetch(target, choice, place).await
    }

    /// Fetches files that a list named; `layout` keeps their folders. Those with a hash come together, then those that are waited for.
    async fn many(&self, found: Vec<(String, Choice)>, layout: bool) -> Result<(), Failure> {
        let names = found.iter().map(|(name, _)| name.as_str());
        let places = place::of_many(self.args.output.as_deref(), names, layout)?;
        let mut first = None;
        let (mut together, mut waiting) = (Vec::new(), Vec::new());
        for ((name, choice), place) in found.into_iter().zip(places) {
            match (choice, place) {
                (Choice::Verified(content), Place::File(path)) if !content.sources.is_empty() => {
                    together.push((content, path));
                }
                (Choice::Hashing { .. }, place) => waiting.push((Target::File(name), place)),
                (choice, place) => {
                    let fetched = self.fetch(&Target::File(name), choice, place).await;
                    self.note_failure(fetched, &mut first);
                }
            }
        }
        let failures = verified::fetch_contents(self, &together).await?;
        failures.into_iter().for_each(|failure| self.note_failure(Err(failure), &mut first));
        for (target, place) in waiting {
            let fetched = self.once_hashed(&target, place).await;
            self.note_failure(fetched, &mut first);
        }
        first.map_or(Ok(()), Err)
    }

    /// Fetches what was being hashed when it was listed.
    async fn once_hashed(&self, target: &Target, place: Place) -> Result<(), Failure> {
        let choice = resolve::at_index(self, target).await?;
        self.fetch(target, choice, place).await
    }

    async fn fetch(&self, target: &Target, choice: Choice, place: Place) -> Result<(), Failure> {
        match choice {
            Choice::Verified(content) => self.fetch_verified(&content, place).await,
            Choice::Unverified(_) if self.args.sha256.is_some() => {
                let sentence = "only peers of 1.0 have it, and --sha256 needs one that speaks 1.1; fetch it without, and compare";
                Err(Failure::new(Code::Failed, sentence))
            }
            Choice::Unverified(sources) => match target {
                Target::Rfc(number) => unverified::fetch_number(self, *number, &sources, place).await,
                Target::File(_) | Target::Hash(_) => Err(self.nobody(target)),
            },
            Choice::Several(variants) => Err(several(&variants)),
            Choice::Names(names) => Err(Failure::new(
                Code::SeveralContents,
                format!(
                    "{target} is the last part of {} names; say which: {}",
                    names.len(),
                    names.join("  ")
                ),
            )),
            // It was waited for by whoever resolved the target.
            Choice::Hashing { name, .. } => Err(Failure::new(
                Code::Failed,
                format!("{name} is still being hashed where it is shared; try again"),
            )),
            Choice::Nobody => Err(self.nobody(target)),
        }
    }

    async fn fetch_verified(&self, content: &Content, place: Place) -> Result<(), Failure> {
        match content.sources.is_empty() && content.partial.is_empty() {
            true => Err(Failure::new(
                Code::NotFound,
                format!("nobody has all of {} at the moment; try again", content.hash),
            )),
            false => verified::fetch_content(self, content, place).await,
        }
    }

    fn nobody(&self, target: &Target) -> Failure {
        let index = all_typed(&self.args.index.server);
        Failure::new(
            Code::NotFound,
            format!("no peer of {index} has {target}; 'p2pci list' shows what there is"),
        )
    }

    /// Remembers the first failure, which ends the command; later ones are told at once.
    fn note_failure(&self, result: Result<(), Failure>, first: &mut Option<Failure>) {
        match (result, first.as_ref()) {
            (Ok(()), _) => {}
            (Err(failure), None) => *first = Some(failure),
            (Err(failure), Some(_)) => {
                self.out.note(format_args!("p2pci: {}", escape::Line(failure.message.as_bytes())));
            }
        }
    }
}

/// Several contents under one name: what tells them apart, and how to choose.
fn several(variants: &[Variant]) -> Failure {
    let mut message =
        format!("{} contents are published under this name; --hash HEX chooses one:", variants.len());
    for variant in variants {
        let hash = variant.hash.map(|hash| hash.to_string()).unwrap_or_default();
        let hosts: Vec<String> =
            variant.sources.iter().take(3).map(|s| format!("{}:{}", s.host, s.port)).collect();
        let more = if variant.sources_in_all > hosts.len() { ", …" } else { "" };
        let size = variant.size.unwrap_or_default();
        message.push_str(&format!("\n    {hash}  {size} bytes  from {}{more}", hosts.join(", ")));
    }
    Failure::new(Code::SeveralContents, message)
}
