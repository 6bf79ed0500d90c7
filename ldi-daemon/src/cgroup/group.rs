//! The control group of one run: its limits, its members, its end.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Controller;
use crate::{parse::read_bounded, tiers::Ration};

/// A group of processes that none of its members leaves by forking: one folder, or one in each
/// hierarchy that is needed. Removed when dropped, if it is empty by then.
#[derive(Debug)]
pub struct Group {
    /// The folder that tells who belongs to it.
    pub(super) tracker: PathBuf,
    /// Folders that carry a limit; the tracker may be among them.
    pub(super) limited: Vec<(Controller, PathBuf)>,
    pub(super) ration: Ration,
}

impl Group {
    /// The files that a process writes `0` to, to become a member.
    pub fn doors(&self) -> Vec<PathBuf> {
        let mut folders = vec![&self.tracker];
        for (_, folder) in &self.limited {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.into_iter().map(|folder| folder.join(PROCS)).collect()
    }

    /// Every living member.
    pub fn members(&self) -> Vec<i32> {
        members(&self.tracker)
    }

    /// Ends every member, also one that forks meanwhile.
    pub fn kill(&self) {
        kill_all(&self.tracker);
    }

    /// What the limits did: one sentence, when they did anything. To be asked before the end.
    pub fn verdict(&self) -> Option<String> {
        let mut said = Vec::new();
        for (controller, folder) in &self.limited {
            match (controller, self.ration) {
                (Controller::Memory, Ration { memory: Some(size), .. }) if ran_out(folder) => {
                    said.push(format!("it took more memory than memory = {size}"));
                }
                (Controller::Pids, Ration { processes: Some(n), .. })
                    if counted(&folder.join("pids.events"), "max") > 0 =>
                {
                    said.push(format!("it wanted more processes than processes = {n}"));
                }
                _ => {}
            }
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (_, folder) in &self.limited {
            remove(folder);
        }
        remove(&self.tracker);
    }
}

pub(super) const PROCS: &str = "cgroup.procs";

/// Whether the kernel ended a process of `folder` for its memory.
fn ran_out(folder: &Path) -> bool {
    // Version 2, then version 1.
    counted(&folder.join("memory.events"), "oom_kill") > 0
        || counted(&folder.join("memory.oom_control"), "oom_kill") > 0
}

/// The number beside `word` in a file of words and numbers; 0 where there is none.
fn counted(file: &Path, word: &str) -> u64 {
    let text = read_bounded(file, 1 << 16).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok())
        .unwrap_or(0)
}

/// Writes a word into a file of the hierarchy, which must be there.
pub(super) fn put(file: &Path, word: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(word.as_bytes())
}

/// A group and the groups inside it, down from at most `most` of them.
pub(super) fn below(folder: &Path, most: usize) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut at = 0;
    while at < all.len().min(most) {
        let inside = fs::read_dir(&all[at]).into_iter().flatten().flatten();
        let folders = inside.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        let folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        all.extend(folders);
        at += 1;
    }
    all
}

/// More groups than a job makes inside its own.
const NESTED: usize = 1000;

/// Every living process of a group and of those inside it; 0 is one of another namespace.
fn listed(folder: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for folder in below(folder, NESTED) {
        let text = read_bounded(&folder.join(PROCS), 16 << 20).unwrap_or_default();
        found.extend(String::from_utf8_lossy(&text).lines().filter_map(|l| l.parse::<i32>().ok()));
    }
    found
}

/// Every living process of a group and of those inside it.
pub(super) fn members(folder: &Path) -> Vec<i32> {
    let mut found = listed(folder);
    found.retain(|pid| *pid > 0);
    found
}

/// Ends a group whose maker is gone: its processes, then itself.
pub(super) fn end(folder: &Path) {
    if listed(folder).contains(&0) {
        // Its maker lives where we cannot see it.
        return;
    }
    // A process that was ended leaves its group a moment later; where nothing holds them still,
    // others were forked meanwhile.
    for _ in 0..100 {
        kill_all(folder);
        remove(folder);
        if !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends every process of a group and of those inside it.
fn kill_all(folder: &Path) {
    if put(&folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    // Before Linux 5.14: nobody forks while all are frozen.
    let switches = [("cgroup.freeze", "1", "0"), ("freezer.state", "FROZEN", "THAWED")];
    let switch = switches.iter().find(|(file, freeze, _)| put(&folder.join(file), freeze).is_ok());
    for pid in members(folder) {
        // Already gone is what we want.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    if let Some((file, _, thaw)) = switch {
        let _ = put(&folder.join(file), thaw);
    }
}

/// Removes an empty group; one with members stays for [`super::end_leftovers`].
pub(super) fn remove(folder: &Path) {
    for folder in below(folder, NESTED).iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}
