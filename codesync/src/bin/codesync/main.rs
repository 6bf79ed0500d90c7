//! `codesync`: publishes a signed code library and hands it out.

mod bar;
mod cli;
mod diff;
mod lint;
mod mirror;
mod pages;
mod report;
mod session;
mod team;
mod upkeep;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use codesync::{
    Result,
    library::Library,
    publish::{self, Lifetimes, Place},
    sign::{Keys, Passphrase},
};

use cli::{Cli, Command, Commands, RootCommand};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (code, error) = match cli.command {
        Commands::Library(command) => match run(*command) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (error.kind().exit_code(), error.to_string()),
        },
        Commands::Authors(command) => match authors::run(&command, &lint::path_faults) {
            Ok(code) => return code,
            Err(error) => (error.exit_code(), error.to_string()),
        },
    };
    let _ = writeln!(std::io::stderr(), "codesync: {error}");
    ExitCode::from(code)
}

fn run(command: Command) -> Result<()> {
    let now = chrono::Utc::now();
    match command {
        Command::Init { library, keys, rings, root_keys, root_threshold, encrypt, json } => {
            let keys = keys.open().encrypting(&encrypt);
            let rings = if rings.is_empty() { vec!["stable".to_owned()] } else { rings };
            publish::init(&library.library, &keys, &rings, (root_keys, root_threshold), now)?;
            report::init(&library.library, &keys, &rings, json)
        }
        Command::Publish { library, keys, tree, ring, team, note, force, rehash, cache, json } => {
            let library = Library::open(&library.library)?;
            let keys = keys.open();
            let began = std::time::Instant::now();
            let cache = cache.or_else(bar::cache_folder);
            let bar = bar::Publishing::new();
            let gate = lint::Gate { tree: &tree, team: team.is_some(), force: force.as_deref() };
            let tree = publish::Tree {
                folder: &tree,
                cache: cache.as_deref(),
                rehash,
                progress: &|step| bar.show(step),
                check: &|news| {
                    bar.clear();
                    gate.check(news)
                },
            };
            let place = Place { ring: &ring, team: team.as_deref() };
            let lifetimes = Lifetimes::default();
            let done = publish::publish(&library, &keys, tree, place, &note, lifetimes, now);
            bar.clear();
            report::published(&done?, began.elapsed(), json)
        }
        Command::Promote { library, keys, from, to, team, json } => {
            let library = Library::open(&library.library)?;
            let keys = keys.open();
            let began = std::time::Instant::now();
            let rings = (from.as_str(), Place { ring: &to, team: team.as_deref() });
            let done = publish::promote(&library, &keys, rings, Lifetimes::default(), now)?;
            report::published(&done, began.elapsed(), json)
        }
        Command::Rollback { library, keys, ring, to, team, json } => {
            let library = Library::open(&library.library)?;
            let keys = keys.open();
            let began = std::time::Instant::now();
            let place = Place { ring: &ring, team: team.as_deref() };
            let done = publish::rollback(&library, &keys, place, to, Lifetimes::default(), now)?;
            report::published(&done, began.elapsed(), json)
        }
        Command::Refresh { library, keys, ring, expires_in, json } => {
            let library = Library::open(&library.library)?;
            let keys = keys.open();
            let mut lifetimes = Lifetimes::default();
            if let Some(days) = expires_in {
                lifetimes.timestamp = days;
            }
            let rings = if ring.is_empty() { library.rings()? } else { ring };
            let mut done = Vec::new();
            for ring in &rings {
                // Named by nobody, an empty ring is nothing to complain about.
                if library.versions(ring)?.targets == 0 && rings.len() > 1 {
                    continue;
                }
                let versions = publish::refresh(&library, &keys, ring, lifetimes, now)?;
                done.push((ring.clone(), versions));
            }
            report::refreshed(&done, now + chrono::TimeDelta::days(lifetimes.timestamp), json)
        }
        Command::Rotate { library, keys, role, json } => {
            let library = Library::open(&library.library)?;
            let keys = keys.open();
            let done = publish::rotate(&library, &keys, role, Lifetimes::default(), now)?;
            report::rotated(&keys, Some(role), done, json)
        }
        Command::Key(options) => team::key(&options),
        Command::Delegate(options) => team::delegate(&options, now),
        Command::Undelegate(options) => team::undelegate(&options, now),
        Command::Root(command) => root(command, now),
        Command::Log { library, ring, limit, json } => {
            report::log(&Library::open(&library.library)?, &ring, limit, json)
        }
        Command::Show { library, ring, release, json } => {
            report::show(&Library::open(&library.library)?, &ring, release, json)
        }
        Command::Diff { library, ring, from, to, names, json } => {
            diff::diff(&Library::open(&library.library)?, &ring, (from, to), names, json)
        }
        Command::Mirror(options) => mirror::mirror(&options, now),
        Command::Doctor { library, keys, json } => {
            let keys = keys.as_deref().map(Keys::new);
            upkeep::doctor(&Library::open(&library.library)?, keys.as_ref(), now, json)
        }
        Command::Gc { library, keep, dry_run, json } => {
            upkeep::gc(&Library::open(&library.library)?, keep, dry_run, json)
        }
        Command::Push { library, url, ring, identity, known_hosts, keys, passphrase, json } => {
            let file = passphrase.passphrase_file;
            let keys = keys.map(|keys| Keys::new(&keys).with_passphrase(file.as_deref()));
            let way = upkeep::Way { url, identity, known_hosts, keys };
            upkeep::push(&Library::open(&library.library)?, &way, &ring, json)
        }
        Command::Receive { library, log } => session::receive(&library.library, &log, now),
        Command::Serve { library, log } => {
            codesync::serve::run(&library.library, log.log.as_deref())
        }
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { to } => pages::man(to.as_deref()),
    }
}

fn root(command: RootCommand, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let lifetimes = Lifetimes::default();
    match command {
        RootCommand::Renew { library, keys, json } => {
            let (library, keys) = (Library::open(&library.library)?, keys.open());
            let done = publish::rotate(&library, &keys, None, lifetimes, now)?;
            report::rotated(&keys, None, done, json)
        }
        RootCommand::Export { keys, file } => {
            let version = publish::root::export(&keys.open(), &file)?;
            report::exported(version, &file)
        }
        RootCommand::Sign { key, passphrase, file } => {
            let passphrase = Passphrase::new(passphrase.passphrase_file.as_deref());
            let (out, signed) = publish::root::sign(&key, &passphrase, &file)?;
            report::signed(&out, &signed)
        }
        RootCommand::Import { library, keys, signatures, json } => {
            let (library, keys) = (Library::open(&library.library)?, keys.open());
            let done = publish::root::import(&library, &keys, &signatures, lifetimes, now)?;
            report::rotated(&keys, None, done, json)
        }
    }
}
