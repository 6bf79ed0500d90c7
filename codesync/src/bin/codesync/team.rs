//! `codesync key`, `delegate` and `undelegate`: teams and their keys.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use codesync::{
    Error, Kind, Result, disk,
    library::Library,
    publish::{self, Delegation, Lifetimes},
    sign::{Key, Passphrase, PublicKey},
};
use serde_json::{Value, json};

use crate::{
    cli::{KeysOption, LibraryOption, PassphraseOption},
    report::{print, print_json},
};

#[derive(Debug, Args)]
pub struct KeyOptions {
    /// The private key to make, such as web.pem; the public one is written beside it, as web.pub
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Encrypt it with a passphrase
    #[arg(long)]
    pub encrypt: bool,
    #[command(flatten)]
    pub passphrase: PassphraseOption,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DelegateOptions {
    #[command(flatten)]
    pub library: LibraryOption,
    #[command(flatten)]
    pub keys: KeysOption,
    /// The team
    #[arg(value_name = "NAME")]
    pub team: String,
    /// Paths that it may publish; `*`, `?` and `[…]` do not cross `/`
    #[arg(long, value_name = "GLOB", required = true, num_args = 1..)]
    pub paths: Vec<String>,
    /// Its public key; repeat for more, of which one must sign
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    /// A ring; repeat for more [default: all that have a release]
    #[arg(long = "ring", value_name = "NAME")]
    pub rings: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct UndelegateOptions {
    #[command(flatten)]
    pub library: LibraryOption,
    #[command(flatten)]
    pub keys: KeysOption,
    /// The team
    #[arg(value_name = "NAME")]
    pub team: String,
    /// A ring; repeat for more [default: all that know the team]
    #[arg(long = "ring", value_name = "NAME")]
    pub rings: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `key`.
pub fn key(options: &KeyOptions) -> Result<()> {
    let passphrase = Passphrase::new(options.passphrase.passphrase_file.as_deref());
    let public = options.file.with_extension("pub");
    if public == options.file || public.exists() {
        let what = format!("{} already exists, or is no name for a private key", public.display());
        return Err(Error::new(Kind::Usage, format!("{what}; choose another, such as web.pem")));
    }
    let key = Key::create(&options.file, options.encrypt.then_some(&passphrase))?.public_key();
    disk::replace(&public, key.pem().as_bytes(), 0o644)?;
    if options.json {
        return print_json(&json!({"private": options.file, "public": public, "id": key.id()}));
    }
    print(&format!(
        "Made the key {} in {}. Give {} to whoever delegates to you.\n",
        key.id(),
        options.file.display(),
        public.display()
    ))
}

/// `delegate`.
pub fn delegate(options: &DelegateOptions, now: DateTime<Utc>) -> Result<()> {
    let library = Library::open(&options.library.library)?;
    let keys = options.keys.open();
    let read = |path: &PathBuf| PublicKey::read(path, keys.passphrase());
    let theirs = options.key.iter().map(read).collect::<Result<Vec<_>>>()?;
    let team = &options.team;
    let mut done = Vec::new();
    for ring in rings(&library, &options.rings)? {
        let what = Delegation { team, paths: &options.paths, keys: &theirs };
        let lifetimes = Lifetimes::default();
        let release = publish::delegate(&library, &keys, &ring, what, lifetimes, now)?;
        done.push((ring, release));
    }
    let ids: Vec<&str> = theirs.iter().map(PublicKey::id).collect();
    if options.json {
        return print_json(&json!({
            "team": team, "paths": options.paths, "keys": ids, "rings": steps(&done),
        }));
    }
    for (ring, release) in &done {
        let paths = options.paths.join(" ");
        print(&format!("Release {release} of ring {ring} delegates {paths} to {team}.\n"))?;
    }
    print(&format!(
        "Its keys: {}. Whoever has one signs with: codesync publish --as {team} --tree DIR\n",
        ids.join(", ")
    ))
}

/// `undelegate`.
pub fn undelegate(options: &UndelegateOptions, now: DateTime<Utc>) -> Result<()> {
    let library = Library::open(&options.library.library)?;
    let keys = options.keys.open();
    let team = options.team.as_str();
    let all = options.rings.is_empty();
    let mut done = Vec::new();
    for ring in rings(&library, &options.rings)? {
        let top = library.published(&ring, library.versions(&ring)?.targets)?;
        if all && !top.is_some_and(|top| top.teams().iter().any(|one| one.name == team)) {
            continue;
        }
        let lifetimes = Lifetimes::default();
        let release = publish::undelegate(&library, &keys, (&ring, team), lifetimes, now)?;
        done.push((ring, release));
    }
    if done.is_empty() {
        return Err(Error::new(Kind::Usage, format!("no ring delegates anything to {team:?}")));
    }
    if options.json {
        return print_json(&json!({"team": team, "rings": steps(&done)}));
    }
    for (ring, release) in &done {
        print(&format!("Release {release} of ring {ring} is without the files of {team}.\n"))?;
    }
    Ok(())
}

fn steps(done: &[(String, u64)]) -> Vec<Value> {
    done.iter().map(|(ring, release)| json!({"ring": ring, "release": release})).collect()
}

/// The rings that were named, or all that have a release.
fn rings(library: &Library, named: &[String]) -> Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let mut rings = Vec::new();
    for ring in library.rings()? {
        if library.versions(&ring)?.targets > 0 {
            rings.push(ring);
        }
    }
    if rings.is_empty() {
        return Err(Error::new(Kind::Usage, "no ring has a release yet; publish one first"));
    }
    Ok(rings)
}
