//! Hashing and writing on several threads, while the next contents are still being decoded.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use super::cores;
use crate::{
    Error, Kind, Result,
    manifest::{Hash, sha256},
};

/// Writes a new file with its mode.
pub(super) fn write(path: &Path, content: &[u8], executable: bool, sync: bool) -> Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    let fail = |error: std::io::Error| Error::io("write", path, &error);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(fail)?;
    file.write_all(content).map_err(fail)?;
    // The umask may have taken bits away. Asking costs a fraction of setting, which is journaled.
    let kept = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    if kept != mode {
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    if sync {
        file.sync_all().map_err(fail)?;
    }
    Ok(())
}

pub(super) struct Job {
    /// For messages.
    pub(super) name: String,
    pub(super) sha256: Hash,
    /// Where it goes, and whether it is executable there.
    pub(super) paths: Vec<(PathBuf, bool)>,
    pub(super) content: Vec<u8>,
    /// Sync each file.
    pub(super) singly: bool,
}

/// Threads that hash and write while the next contents are still being decoded.
pub(super) struct Writers {
    queue: SyncSender<Job>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Writers {
    pub(super) fn start() -> Self {
        let (queue, receiver) = sync_channel::<Job>(64);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..cores())
            .map(|_| {
                let receiver = Arc::clone(&receiver);
                std::thread::spawn(move || run(&receiver))
            })
            .collect();
        Self { queue, threads }
    }

    pub(super) fn send(&self, write: Job) -> Result<()> {
        self.queue
            .send(write)
            .map_err(|_| Error::new(Kind::Io, "writing the release failed; see the first error"))
    }

    pub(super) fn finish(self) -> Result<()> {
        drop(self.queue);
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| {
                Err(Error::new(Kind::Io, "writing the release failed unexpectedly"))
            });
            result = result.and(ended);
        }
        result
    }
}

fn run(queue: &Mutex<Receiver<Job>>) -> Result<()> {
    let mut result = Ok(());
    loop {
        let next = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return result,
        };
        let Ok(next) = next else { return result };
        // After a failure the queue is still emptied, or the sender would wait for ever.
        if result.is_ok() {
            result = place(&next);
        }
    }
}

fn place(next: &Job) -> Result<()> {
    if sha256(&next.content) != next.sha256 {
        return Err(Error::refused(format!(
            "the content of {} is not the one that was signed",
            next.name
        )));
    }
    for (path, executable) in &next.paths {
        write(path, &next.content, *executable, next.singly)?;
    }
    Ok(())
}
