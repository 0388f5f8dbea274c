//! `p2pci share PATH…`

mod narrator;
mod page;

use std::sync::Arc;

use peer::gate::Gate;
use peer::link::IndexAddr;
use peer::registrar::{self, RegistrarConfig};
use peer::shares::{
    CacheFolder, Options, Prefix, Preview, PublishError, Published, Root, ShareTable, Skips, preview,
};
use peer::traffic::Traffic;
use peer::upload::http::Manners;
use proto::escape;
use proto::wire::get::writable;
use serde_json::{Map, Value, json};
use web::own::UploadPort;

use self::narrator::Narrator;
use self::page::Page;
use crate::cli::{Share, UseTls};
use crate::exit::{Code, Failure};
use crate::local_peer::{Door, Uploader, manners};
use crate::out::Out;
use crate::service;
use crate::settings::Rates;
use crate::signals;

/// Shares folders and files until it is stopped.
pub async fn run(mut args: Share, out: Out) -> Result<(), Failure> {
    if args.private.is_some() {
        // What is private is not to be read on the way.
        args.uploads.tls.get_or_insert(UseTls::Also);
    }
    let (roots, options) = (roots(&args), options(&args));
    if args.dry_run {
        let shown = tokio::task::spawn_blocking(move || preview(&roots, &options)).await?;
        show_preview(&shown.map_err(|error| refused(&error))?, out);
        return Ok(());
    }
    let shares = Arc::new(ShareTable::new());
    let narrator = Arc::new(Narrator::new(out, args.index.server.clone())?);
    let traffic = Arc::<Traffic>::default();
    let page = args.web.as_ref().map(|listen| Page::bind(listen, &shares, &traffic, &args.index.server));
    let page = page.transpose()?;
    let hears = page.as_ref().map(Page::hears);
    // Who hears of one index, and of everything else.
    let of = |index: &IndexAddr| match &hears {
        Some(hears) => hears.beside(index, narrator.of(index)),
        None => narrator.of(index),
    };
    let observer = of(args.index.server.first());
    let published = {
        let (shares, observer) = (Arc::clone(&shares), Arc::clone(&observer));
        tokio::task::spawn_blocking(move || shares.publish(&roots, &options, &observer)).await?
    };
    let published = published.map_err(|error| refused(&error))?;
    let limit = Rates::from(&args.limits).upload.counted_in(Arc::clone(&traffic));
    let gate = args.private.clone().map(|groups| Arc::new(Gate::new(groups)));
    let door = Door::new(&args.uploads, &args.index.trust.own)?;
    let manners = Manners { gate: gate.clone(), ..manners(args.uploads.host.as_deref(), limit, args.browse) };
    let heard = Arc::clone(&observer);
    let uploader = Uploader::start(door, manners, Arc::clone(&shares), heard)?;
    // Before the first line: whoever has read it may stop us.
    let end = signals::interrupted();
    let url = page.as_ref().map(Page::url);
    let (address, port) = (args.uploads.upload_listen, uploader.port);
    let uploads = UploadPort { address, port, fingerprint: uploader.fingerprint };
    show_published(&args, &published, &uploads, url.as_deref(), out);
    service::ready(&format!("{} files on port {port}", published.files));
    if let Some(page) = page {
        tokio::spawn(page.serve(uploads, uploader.stop_signal()));
    }

    let config = RegistrarConfig {
        indexes: args.index.server.clone(),
        host: args.uploads.host.clone(),
        upload_port: uploader.port,
        tls: uploader.fingerprint,
        gate,
        traffic,
    };
    let registering = registrar::run(config, shares, of, uploader.stop_signal());
    tokio::select! {
        registered = registering => registered.map_err(|error| Failure::new(Code::Usage, error.to_string()))?,
        () = end => {}
        () = service::keep_alive(|| ()) => {}
    }
    service::stopping();
    out.remark("Stopping: running uploads may end first");
    tokio::select! {
        () = uploader.stop() => {}
        () = signals::interrupted() => {}
    }
    narrator.finish();
    Ok(())
}

fn roots(args: &Share) -> Vec<Root> {
    let prefix = args.prefix.as_deref().map_or(Prefix::OwnName, Prefix::typed);
    args.paths.iter().map(|path| Root { path: path.clone(), prefix: prefix.clone() }).collect()
}

fn options(args: &Share) -> Options {
    Options {
        globs: args.glob.clone(),
        hidden: args.hidden,
        follow_links: args.follow_links,
        allow_root: args.allow_root,
        cache: args.state_dir.clone().map_or(CacheFolder::Default, CacheFolder::At),
        ..Options::default()
    }
}

fn refused(error: &PublishError) -> Failure {
    let code = match error {
        PublishError::Prefix(_) | PublishError::Glob(_) => Code::Usage,
        _ => Code::Failed,
    };
    Failure::new(code, error.to_string())
}

fn show_published(args: &Share, published: &Published, uploads: &UploadPort, url: Option<&str>, out: Out) {
    let Published { files, bytes, skipped } = published;
    let port = uploads.port.get();
    let paths: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    let plural = if *files == 1 { "" } else { "s" };
    let mut line = format!(
        "Sharing {files} file{plural} ({}) of {} on port {port}{}",
        indicatif::BinaryBytes(*bytes),
        escape::Line(paths.join(", ").as_bytes()),
        left_out(skipped)
    );
    let mut object = json!({
        "type": "sharing", "paths": paths, "files": files, "bytes": bytes, "skipped": counts(skipped), "port": port,
    });
    // Without --host it is the address towards the index, which is known only once there is a connection.
    if let Some(host) = &args.uploads.host {
        object["host"] = host.as_str().into();
    }
    if let Some(fingerprint) = &uploads.fingerprint {
        line.push_str(&format!("\nIts key for TLS: {fingerprint}"));
        object["fingerprint"] = fingerprint.to_string().into();
    }
    if let Some(url) = url {
        line.push_str(&format!("\nThis peer's page: {url}"));
        object["page"] = url.into();
    }
    out.result(line, &object);
}

fn show_preview(preview: &Preview, out: Out) {
    let Preview { files, bytes, largest, newest, skipped } = preview;
    let plural = if *files == 1 { "" } else { "s" };
    let mut lines =
        format!("Would share {files} file{plural} ({}){}", indicatif::BinaryBytes(*bytes), left_out(skipped));
    if let Some((name, size)) = largest {
        lines.push_str(&format!(
            "\n  largest: {} ({})",
            escape::Line(name.as_bytes()),
            indicatif::BinaryBytes(*size)
        ));
    }
    if let Some((name, modified)) = newest {
        let when = humantime::format_rfc3339_seconds(writable(*modified));
        lines.push_str(&format!("\n  newest:  {} ({when})", escape::Line(name.as_bytes())));
    }
    let named = |named: &Option<(String, u64)>| {
        named.as_ref().map(|(name, size)| json!({"name": name, "size": size}))
    };
    out.result(
        lines,
        &json!({
            "type": "would_share", "files": files, "bytes": bytes, "largest": named(largest),
            "newest": newest.as_ref().map(|(name, _)| name), "skipped": counts(skipped),
        }),
    );
}

/// What is not shared, in words: nothing is left out in silence.
fn left_out(skipped: &Skips) -> String {
    let parts: Vec<String> = skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if parts.is_empty() { String::new() } else { format!("; not shared: {}", parts.join(", ")) }
}

fn counts(skipped: &Skips) -> Value {
    Value::Object(
        skipped.iter().map(|(reason, count)| (reason.to_string(), (*count).into())).collect::<Map<_, _>>(),
    )
}
