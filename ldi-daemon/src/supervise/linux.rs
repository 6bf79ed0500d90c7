//! Who belongs to a run, on Linux: the tree below its main process, and the orphans of that tree,
//! which the kernel hands to this process because it is a subreaper (prctl(2)).
//!
//! A job that left nothing behind costs one system call; only otherwise /proc is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

use crate::parse::read_bounded;

/// Main processes of the runs of this process, by process id. A main process is its own
/// supervisor's to wait for and never touched by others.
static MAINS: Mutex<BTreeMap<i32, String>> = Mutex::new(BTreeMap::new());

/// Processes of this one's own that belong to no run; see [`aside`].
static OTHERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A process of this one's own that belongs to no run: no run's end touches it while this lives.
#[derive(Debug)]
pub struct Aside(i32);

/// Starts such a process; `id` tells its number.
pub fn aside<C>(
    start: impl FnOnce() -> std::io::Result<C>,
    id: impl FnOnce(&C) -> Option<u32>,
) -> std::io::Result<(C, Aside)> {
    // Held while it starts: nobody who looks for members sees it unknown.
    let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let child = start()?;
    let pid = id(&child).and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
    others.insert(pid);
    Ok((child, Aside(pid)))
}

impl Drop for Aside {
    fn drop(&mut self) {
        OTHERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn mains() -> std::sync::MutexGuard<'static, BTreeMap<i32, String>> {
    MAINS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process the parent of every orphan below it.
pub fn adopt_orphans() -> Result<(), String> {
    nix::sys::prctl::set_child_subreaper(true)
        .map_err(|e| format!("cannot become a subreaper: {e}; jobs may leave processes behind"))
}

/// The processes of one run.
#[derive(Debug)]
pub struct Family {
    main: i32,
    run: String,
    main_lives: std::cell::Cell<bool>,
}

impl Family {
    /// Of the run whose main process has just been started.
    pub fn new(main: i32, run: &str) -> Self {
        mains().insert(main, run.to_owned());
        Self { main, run: run.to_owned(), main_lives: std::cell::Cell::new(true) }
    }

    /// The main process was waited for: its number may be another's from now on.
    pub fn main_ended(&self) {
        self.main_lives.set(false);
    }

    /// Every living member.
    pub fn members(&self) -> Vec<i32> {
        let any = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::All, any) == Err(nix::errno::Errno::ECHILD) {
            return Vec::new();
        }
        let mains = mains();
        let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        let all = snapshot();
        let this = i32::try_from(std::process::id()).unwrap_or(0);
        let mut members = Vec::new();
        for child in all.iter().filter(|p| p.parent == this) {
            if child.pid == self.main && self.main_lives.get() {
                collect(child.pid, &all, &mut members);
                continue;
            }
            let is_main = child.pid != self.main && mains.contains_key(&child.pid);
            if !is_main && !others.contains(&child.pid) && !reap(child) && self.owns(child, &mains)
            {
                collect(child.pid, &all, &mut members);
            }
        }
        members
    }

    /// Whether an orphan came from this run: by its marker, its group or session, or because no
    /// other run could have left it.
    fn owns(&self, orphan: &Process, mains: &BTreeMap<i32, String>) -> bool {
        if let Some(marker) = marker(orphan.pid) {
            if marker == self.run {
                return true;
            }
            if mains.values().any(|run| *run == marker) {
                return false;
            }
        }
        let ids = [orphan.group, orphan.session];
        if ids.contains(&self.main) {
            return true;
        }
        if ids.iter().any(|id| mains.contains_key(id)) {
            return false;
        }
        mains.keys().all(|main| *main == self.main)
    }

    /// Sends `signal` to every member, and names them.
    pub fn signal(&self, signal: Signal) -> Vec<i32> {
        if self.main_lives.get() {
            // The group at once, so that it cannot fork its way out one by one.
            let _ = nix::sys::signal::killpg(Pid::from_raw(self.main), signal);
        }
        let members = self.members();
        for member in &members {
            let in_group = self.main_lives.get()
                && process(*member).is_none_or(|process| process.group == self.main);
            if !in_group {
                let _ = kill(Pid::from_raw(*member), signal);
            }
        }
        members
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        mains().remove(&self.main);
    }
}

#[derive(Debug)]
struct Process {
    pid: i32,
    state: char,
    parent: i32,
    group: i32,
    session: i32,
}

/// Waits for an orphan that has already ended; true when it is gone.
fn reap(orphan: &Process) -> bool {
    orphan.state == 'Z'
        && !matches!(
            waitpid(Pid::from_raw(orphan.pid), Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive)
        )
}

/// `pid` and everything below it that has not ended.
fn collect(pid: i32, all: &[Process], into: &mut Vec<i32>) {
    // A deep chain of forks must not become a deep recursion here.
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        let lives = all.iter().any(|p| p.pid == pid && p.state != 'Z');
        if lives && !into.contains(&pid) {
            into.push(pid);
        }
        open.extend(all.iter().filter(|p| p.parent == pid && p.pid != pid).map(|p| p.pid));
    }
}

fn snapshot() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let bytes = read_bounded(Path::new(&format!("/proc/{pid}/stat")), 4096).ok()?;
    // The command name may hold spaces and parentheses; the fields follow its last one.
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Process { pid, state, parent: number()?, group: number()?, session: number()? })
}

fn marker(pid: i32) -> Option<String> {
    let environ = read_bounded(Path::new(&format!("/proc/{pid}/environ")), 1 << 20).ok()?;
    let found = environ.split(|b| *b == 0).find_map(|v| v.strip_prefix(b"LDI_RUN="))?;
    Some(String::from_utf8_lossy(found).into_owned())
}

/// Ends what a run of a dead `ldi` left running: every process with its marker. Used once, when
/// the journal is recovered.
pub fn end_leftovers(run: &str) -> usize {
    let mut ended = 0;
    // The second and third pass find what was forked during the one before.
    for _ in 0..3 {
        let Ok(entries) = fs::read_dir("/proc") else { break };
        let mut found = 0;
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else {
                continue;
            };
            if marker(pid).as_deref() == Some(run) && process(pid).is_some_and(|p| p.state != 'Z') {
                found += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
            }
        }
        ended += found;
        if found == 0 {
            break;
        }
    }
    ended
}
