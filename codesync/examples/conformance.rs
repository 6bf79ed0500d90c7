//! The client side of TUF as the public conformance suite drives it: the same trust, https source
//! and downloads that a sync uses, over any repository.
//!
//!     conformance --metadata-dir D init ROOT
//!     conformance --metadata-dir D --metadata-url U refresh
//!     conformance --metadata-dir D --metadata-url U --target-name N
//!         --target-base-url T --target-dir X download
//!
//! Exit code 0, or 1 and a sentence.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use codesync::{
    Error, Kind, Result, disk,
    fetch::{Downloads, Wanted},
    source::{Access, Https, Source, refresh},
    trust::{ROOT_MAX, Trust, encode},
};

#[derive(Parser)]
struct Cli {
    #[arg(long)]
    metadata_dir: PathBuf,
    #[arg(long)]
    metadata_url: Option<String>,
    #[arg(long)]
    target_name: Vec<String>,
    #[arg(long)]
    target_base_url: Option<String>,
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init { root: PathBuf },
    Refresh,
    Download,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            eprint!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let pinned = cli.metadata_dir.join("pinned");
    if let Command::Init { root } = &cli.command {
        let bytes = disk::read_bounded(root, ROOT_MAX)?
            .ok_or_else(|| wrong(&format!("{} does not exist", root.display())))?;
        disk::replace(&pinned, &bytes, 0o644)?;
        return disk::replace(&cli.metadata_dir.join("root.json"), &bytes, 0o644);
    }
    let metadata = cli.metadata_url.as_deref().ok_or_else(|| wrong("--metadata-url is missing"))?;
    let targets = cli.target_base_url.as_deref().unwrap_or(metadata);
    let now = chrono::Utc::now();
    let mut trust = Trust::open(&cli.metadata_dir, &pinned, None)?;
    let mut source = Https::repository(metadata, targets, &Access::default())?;
    refresh(&mut source, &mut trust, "", now)?;
    if matches!(cli.command, Command::Refresh) {
        return Ok(());
    }
    let folder = cli.target_dir.as_deref().ok_or_else(|| wrong("--target-dir is missing"))?;
    for name in &cli.target_name {
        let target = trust
            .find_target(name, &mut |file, limit| source.metadata("", file, limit), now)?
            .ok_or_else(|| Error::refused(format!("no role names the target {name:?}")))?;
        let place = folder.join(encode(name));
        if is_there(&place, &target.sha256)? {
            continue;
        }
        let mut downloads = Downloads::new(&folder.join(".partial"), None)?;
        let mut content = downloads.fetch(&mut source, Wanted::Target("", &target), &|_| ())?;
        let fail = |error: std::io::Error| Error::io("write", &place, &error);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
        std::io::copy(&mut content, &mut file).map_err(fail)?;
        file.persist(&place).map_err(|error| fail(error.error))?;
        downloads.finish()?;
        fs::remove_dir(folder.join(".partial")).map_err(fail)?;
    }
    Ok(())
}

/// Whether the file that was fetched before still is the one that is signed now.
fn is_there(place: &Path, sha256: &[u8; 32]) -> Result<bool> {
    let there = disk::read_bounded(place, 1 << 30)?;
    Ok(there.is_some_and(|bytes| codesync::manifest::sha256(&bytes) == *sha256))
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Usage, what)
}
