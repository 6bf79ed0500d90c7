//! What strace sees: processes, programs, files.
//!
//! strace is the one way without rights and without `unsafe`. `-D` leaves the script our own child,
//! whose usage and exit status stay its own. `--seccomp-bpf` would make it cheaper, but what the
//! script leaves in the background would find its calls refused once strace is gone.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use loader::Launch;
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::{
    seen::{Seen, Trace},
    silent,
};
use crate::{Failure, Result};

const CALLS: &str = "trace=?execve,?execveat,?clone,?clone3,?fork,?vfork,?open,?openat,?openat2,\
    ?creat,?unlink,?unlinkat,?rename,?renameat,?renameat2";
/// A longer line is no file's name.
const MAX_LINE: usize = 64 << 10;
/// How long strace may take to say its last words; a daemon that the script left goes on.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A strace that works here.
#[derive(Debug)]
pub(super) struct Tracer {
    program: PathBuf,
}

/// A run that is traced.
#[derive(Debug)]
pub(super) struct Tracing {
    reader: JoinHandle<Seen>,
    ended: Arc<AtomicBool>,
    started: SystemTime,
    _folder: TempDir,
}

impl Tracer {
    /// The one of this machine, tried; else why there is none.
    pub(super) fn find() -> Result<Self, String> {
        let folders = ["/usr/bin", "/bin", "/usr/local/bin"];
        let program =
            folders.map(|f| Path::new(f).join("strace")).into_iter().find(|p| p.is_file());
        let Some(program) = program else {
            return Err("strace is not installed (Linux)".to_owned());
        };
        let mut command = Command::new(&program);
        command.args(words()).args(["-o", "/dev/null", "/bin/sh", "-c", ":"]);
        match silent(&mut command).status() {
            Ok(status) if status.success() => Ok(Self { program }),
            _ => Err("strace does not work here: it may be too old (before 4.22) or not permitted"
                .to_owned()),
        }
    }

    /// `launch`, traced.
    pub(super) fn before(&self, launch: Launch) -> Result<(Launch, Tracing)> {
        let folder = tempfile::tempdir()
            .map_err(|e| Failure::io("make", Path::new("a folder for strace"), &e))?;
        let fifo = folder.path().join("trace");
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|e| Failure::io("make", &fifo, &e.into()))?;
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(&fifo)
            .map_err(|e| Failure::io("open", &fifo, &e))?;
        let ended = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let ended = ended.clone();
            move || follow(pipe, &ended)
        });
        let mut args: Vec<OsString> = words().map(OsString::from).collect();
        args.extend(["-o".into(), fifo.into(), "--".into(), launch.program.into()]);
        args.extend(launch.args);
        let program = self.program.clone();
        let launch = Launch { program, arg0: None, args, ..launch };
        Ok((launch, Tracing { reader, ended, started: SystemTime::now(), _folder: folder }))
    }
}

fn words() -> impl Iterator<Item = &'static str> {
    ["-D", "-f", "-qq", "-y", "-ttt", "-e", "signal=none", "-e", CALLS].into_iter()
}

impl Tracing {
    /// What was seen, once the script has ended; `tree` is the tree that it is of.
    pub(super) fn end(self, tree: &Path) -> Trace {
        self.ended.store(true, Ordering::Relaxed);
        // A reader that panicked has seen nothing.
        let seen = self.reader.join().unwrap_or_default();
        let tree = std::fs::canonicalize(tree).unwrap_or_else(|_| tree.to_owned());
        seen.into_trace(&format!("{}/", tree.display()), self.started)
    }
}

/// Reads lines until strace has ended.
fn follow(mut pipe: File, ended: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let (mut buffer, mut line) = (vec![0; 1 << 16], Vec::new());
    let mut last_words: Option<Instant> = None;
    loop {
        if last_words.is_none() && ended.load(Ordering::Relaxed) {
            last_words = Some(Instant::now());
        }
        match pipe.read(&mut buffer) {
            Ok(n) if n > 0 => {
                for byte in &buffer[..n] {
                    if *byte == b'\n' {
                        seen.line(&String::from_utf8_lossy(&line));
                        line.clear();
                    } else if line.len() < MAX_LINE {
                        line.push(*byte);
                    }
                }
                continue;
            }
            // Nobody has it open: not yet, or not any more.
            Ok(_) if last_words.is_some() => return seen,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return seen,
        }
        if last_words.is_some_and(|since| since.elapsed() > LAST_WORDS) {
            return seen;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
