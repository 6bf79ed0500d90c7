//! Locks under `ROOT/var`: one holder of a name on this machine, and who it is.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use chrono::Utc;

use crate::{Failure, Result, error::code};

/// The lock of `name` under `ROOT/var`, with this process's id in it.
pub fn lock(root: &Path, name: &str) -> Result<File> {
    let folder = root.join("var");
    let path = folder.join(format!("lock.{name}"));
    fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        // On a read-only disk the last good library still runs: reading is enough to lock.
        .or_else(|error| File::open(&path).map_err(|_| error))
        .map_err(|e| Failure::io("open the lock", &path, &e))?;
    // Whoever only looks ([`is_held`]) holds it for a moment.
    let mut locked = file.try_lock();
    for _ in 0..3 {
        if matches!(locked, Err(TryLockError::WouldBlock)) {
            std::thread::sleep(Duration::from_millis(20));
            locked = file.try_lock();
        }
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only the sentence is poorer without it.
            let _ = Read::by_ref(&mut file).take(64).read_to_string(&mut holder);
            let who = match holder.split_ascii_whitespace().next() {
                Some(pid) => format!("process {pid}"),
                None => "another process".to_owned(),
            };
            let what = match name {
                "daemon" => "the daemon is already running".to_owned(),
                tier => format!("tier {tier} is already running"),
            };
            return Err(Failure::new(
                code::BUSY,
                format!("{what} ({who} holds {}); try again when it has ended", path.display()),
            ));
        }
        Err(TryLockError::Error(e)) => return Err(Failure::io("lock", &path, &e)),
    }
    let words = format!("{} {}\n", std::process::id(), Utc::now().to_rfc3339());
    let written = file.set_len(0).and_then(|()| file.write_all(words.as_bytes()));
    // A full disk must not stop a tier; the lock itself holds.
    drop(written);
    Ok(file)
}

/// Whether somebody holds the lock of `name`.
pub fn is_held(root: &Path, name: &str) -> bool {
    // Looking must not make the file.
    File::open(root.join("var").join(format!("lock.{name}")))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
