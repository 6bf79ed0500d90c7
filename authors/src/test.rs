//! The tests of a tree, `*_test.sh` and `test_*.py`, run as the agent runs its scripts, on a
//! stubbed system.
//!
//! Owns how tests are found, kept apart, ended and reported; what a test may say stands in
//! docs/testing.md. Each test is a process of its own in a folder of its own, so nothing that one
//! does is seen by another. Never touches the tree.

mod file;
mod find;
mod junit;
mod orphans;
mod outcome;
mod process;
mod record;
mod room;
mod show;
mod tap;

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use loader::Namespace;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::Error;
use file::Setting;
use outcome::{FileReport, Summary};

/// Words of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: codesync test --tree . --filter network

Exit codes: 0 all passed, 1 a test failed, 2 usage or no test was found. How tests are written:
docs/testing.md.")]
pub struct Options {
    /// The tree: the folder that holds modules/, scripts/ and conf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// Only tests whose name (FILE::TEST) has TEXT in it
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// So many files at once [default: the number of processors]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// A test that takes longer is killed and has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// A line for each test
    #[arg(long, short)]
    pub verbose: bool,
    /// Prints TAP (Test Anything Protocol, version 13)
    #[arg(long, conflicts_with = "json")]
    pub tap: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    /// Writes a JUnit report as well
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Runs bash tests with this bash
    #[arg(long, value_name = "FILE")]
    pub bash: Option<PathBuf>,
    /// Runs Python tests with this Python
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,
    /// Becomes a script of the tree: for tests that run one
    #[arg(long, hide = true)]
    pub start: bool,
    /// Test files or folders [default: all of the tree]
    #[arg(value_name = "FILE")]
    pub paths: Vec<OsString>,
}

/// Does it.
pub fn run(options: &Options) -> Result<ExitCode, Error> {
    let tree = std::fs::canonicalize(&options.tree)
        .map_err(|e| Error::io("open the tree", &options.tree, e))?;
    if options.start {
        return start(&tree, &options.paths);
    }
    let found = find::find(&tree, &options.paths)?;
    let namespace = Namespace::working(&tree)?;
    let room = room::Room::new()?;
    let program = |given: &Option<PathBuf>| match given {
        Some(path) => {
            std::path::absolute(path).map(Some).map_err(|e| Error::io("find", path.clone(), e))
        }
        None => Ok(None),
    };
    let setting = Arc::new(Setting {
        namespace,
        tree,
        limit: Duration::from_secs(options.timeout),
        filter: options.filter.clone(),
        bash: program(&options.bash)?,
        python: program(&options.python)?,
        runner: std::env::current_exe().map_err(|e| Error::io("find", "this program", e))?,
        room,
    });
    let jobs = options.jobs.or(std::thread::available_parallelism().ok());
    let jobs = jobs.map_or(1, NonZeroUsize::get).min(256);
    let began = Instant::now();
    let mut out = show::Output::new(options);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(jobs.min(16))
        .enable_all()
        .build()
        .map_err(|e| Error::io("start", "threads for tests", e))?;
    orphans::adopt();
    let result = runtime.block_on(all(&setting, found, jobs, &mut out));
    orphans::end(None);
    let interrupted = result?;
    let summary = Summary::of(out.files(), began.elapsed().as_secs_f64(), interrupted);
    if summary.tests == 0 && !interrupted {
        let what = options
            .filter
            .as_ref()
            .map_or_else(String::new, |text| format!(" with {text:?} in its name"));
        return Err(Error::Usage(format!("no test{what} was found in {}", options.tree.display())));
    }
    out.end(&summary)?;
    if let Some(path) = &options.junit {
        let text = junit::report(out.files(), &summary);
        std::fs::write(path, text).map_err(|e| Error::io("write", path, e))?;
    }
    Ok(if summary.failed == 0 && !interrupted { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Runs the files; true when a signal ended that.
async fn all(
    setting: &Arc<Setting>,
    found: Vec<find::Found>,
    jobs: usize,
    out: &mut show::Output,
) -> Result<bool, Error> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(signal(kind).map_err(|e| Error::io("listen to", "signals", e))?);
    }
    let places = Arc::new(Semaphore::new(jobs));
    let mut tasks: JoinSet<(usize, Result<FileReport, Error>)> = JoinSet::new();
    out.begin(found.len());
    for (at, file) in found.into_iter().enumerate() {
        let (setting, places, stopped) = (setting.clone(), places.clone(), stopped.clone());
        tasks.spawn(async move {
            // Never closed; without it the file would only not wait for its turn.
            let _place = places.acquire_owned().await;
            (at, file::run(&setting, &file, &stopped).await)
        });
    }
    let mut interrupted = false;
    let [interrupt, terminate, hangup] = &mut signals[..] else { return Ok(false) };
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(Ok((at, report))) => out.file(at, report?)?,
                Some(Err(error)) => return Err(Error::io("run", "a test file", error.into())),
                None => return Ok(interrupted),
            },
            _ = interrupt.recv() => interrupted = true,
            _ = terminate.recv() => interrupted = true,
            _ = hangup.recv() => interrupted = true,
        }
        if interrupted {
            // Nobody listens when every file is done.
            let _ = stop.send(true);
        }
    }
}

/// Becomes a script of the tree, or a file outside of it.
fn start(tree: &Path, words: &[OsString]) -> Result<ExitCode, Error> {
    let Some((file, args)) = words.split_first() else {
        return Err(Error::Usage("ldi_exec PATH [ARG]…: no path was given".to_owned()));
    };
    let namespace = Namespace::working(tree)?;
    let path = Path::new(file);
    let inside = path.strip_prefix(tree).unwrap_or(path).to_str();
    let launch = match inside.filter(|inside| namespace.contains(inside)) {
        Some(inside) => namespace.script(inside, args)?,
        None => namespace.outside(path, args)?,
    };
    let program = launch.program.clone();
    Err(Error::io("start", program, launch.command().exec()))
}
