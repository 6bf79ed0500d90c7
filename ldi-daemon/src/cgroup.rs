//! Control groups (cgroups(7)): what belongs to this `ldi` as the kernel itself counts it, and what
//! a run may take.
//!
//! `ldi` moves itself into a group of its own before its first run, so that every process of every
//! run is born in it: what is still there when that `ldi` has gone away is left over, and is ended
//! by the next one. A run with limits gets a further group, in the unified hierarchy and in those
//! of version 1 whose limits are asked for; moving costs some milliseconds, so others get none.
//!
//! Everything is files; where they are missing or not ours to write, runs go on without, and say
//! which limit is not enforced. Never touches a group that no `ldi` made.

mod group;
mod places;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub use group::Group;
use group::put;
use places::Places;
use sha2::{Digest, Sha256};

use crate::{
    machine,
    parse::{Size, read_bounded},
    tiers::Ration,
};

/// Before the name of a group: then a hash of ROOT, the number and the start of the `ldi` that
/// made it, then, for a run's, the run.
const PREFIX: &str = "ldi.";

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Memory and swap.
    Memory,
    /// Share of processors.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's word.
    fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// The limit of `ration` as a job's key says it.
    fn wanted(self, ration: &Ration) -> Option<String> {
        match self {
            Self::Memory => ration.memory.map(|size| format!("memory = {size}")),
            Self::Cpu => ration.cpu.map(|percent| format!("cpu = {percent}")),
            Self::Pids => ration.processes.map(|n| format!("processes = {n}")),
        }
    }

    /// Writes the limit of `ration` into `folder`.
    fn limit(self, folder: &Path, ration: &Ration, version2: bool) -> io::Result<()> {
        const PERIOD: u64 = 100_000;
        let put = |file: &str, word: String| put(&folder.join(file), &word);
        match (self, ration) {
            (Self::Memory, Ration { memory: Some(size), .. }) if version2 => {
                // Swapped-out memory is memory too; and half a job is no job. Older kernels have
                // neither file.
                let _ = put("memory.swap.max", "0".to_owned());
                let _ = put("memory.oom.group", "1".to_owned());
                put("memory.max", size.0.to_string())
            }
            (Self::Memory, Ration { memory: Some(size), .. }) => {
                put("memory.limit_in_bytes", size.0.to_string())?;
                // There only where the kernel accounts swap.
                let _ = put("memory.memsw.limit_in_bytes", size.0.to_string());
                Ok(())
            }
            (Self::Cpu, Ration { cpu: Some(percent), .. }) => {
                let quota = u64::from(*percent) * PERIOD / 100;
                if version2 {
                    return put("cpu.max", format!("{quota} {PERIOD}"));
                }
                put("cpu.cfs_period_us", PERIOD.to_string())?;
                put("cpu.cfs_quota_us", quota.to_string())
            }
            (Self::Pids, Ration { processes: Some(n), .. }) => put("pids.max", n.to_string()),
            _ => Ok(()),
        }
    }
}

/// Where this process may make groups.
#[derive(Debug)]
struct Home {
    places: Places,
    /// The folder under which this process and its runs have theirs.
    base: Option<PathBuf>,
    /// Names this ROOT in the names of its groups.
    hash: String,
    /// The name of this process's own.
    name: String,
}

static HOME: OnceLock<Home> = OnceLock::new();
static ENTERED: OnceLock<()> = OnceLock::new();

/// One process serves one ROOT.
fn home(root: &Path) -> &'static Home {
    HOME.get_or_init(|| Home::find(root))
}

/// This process's place, once it is in a group of its own.
fn entered(root: &Path) -> &'static Home {
    let home = home(root);
    ENTERED.get_or_init(|| home.enter());
    home
}

/// Moves this process into a group of its own, beside what else it has to do: the kernel takes
/// some milliseconds for it. The first run waits for it.
pub fn settle(root: &Path) {
    let root = root.to_owned();
    // Without a thread the first run does it.
    let _ = std::thread::Builder::new().spawn(move || entered(&root));
}

impl Home {
    fn find(root: &Path) -> Self {
        let read = |path: &str| {
            let bytes = read_bounded(Path::new(path), 4 << 20).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let places = Places::parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        let this = nix::unistd::getpid().as_raw();
        let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let hash = hex::encode(&hash[..4]);
        let name = format!("{PREFIX}{hash}.{this}.{}", machine::started(this).unwrap_or(0));
        // The freezer can hold a fork bomb still while its processes are ended.
        let version1 = ["freezer", "pids", "memory", "cpu"];
        let tracker = places
            .unified
            .as_ref()
            .or_else(|| version1.iter().find_map(|word| places.version1.get(*word)));
        let base = tracker.map(|place| {
            // An update of `ldi` goes on as the same process, in the same group.
            let above = place.own.parent().filter(|_| place.own.ends_with(&name));
            above.unwrap_or(&place.own).to_owned()
        });
        Self { places, base, hash, name }
    }

    /// Moves this process into its own group, and allows limited groups beside it: only groups
    /// without processes of their own may have them. What is not permitted is left; the first
    /// limited run says so.
    fn enter(&self) {
        let Some(base) = &self.base else { return };
        let own = base.join(&self.name);
        if make(&own).is_err() || put(&own.join(group::PROCS), "0").is_err() {
            group::remove(&own);
            return;
        }
        for controller in Controller::ALL {
            let _ = put(&base.join("cgroup.subtree_control"), &format!("+{}", controller.word()));
        }
    }

    /// The group of a run, as far as it can be had.
    fn limited(&self, run: &str, ration: Ration) -> (Option<Group>, Vec<String>) {
        match self.group(run, ration) {
            Ok((group, missing)) => (Some(group), missing),
            Err(why) => {
                let wanted = Controller::ALL.iter().filter_map(|c| c.wanted(&ration));
                (None, wanted.map(|w| format!("{w} is not enforced here: {why}")).collect())
            }
        }
    }

    /// Whether limited groups can be made below the base.
    fn has(&self, controller: Controller) -> bool {
        let Some(base) = &self.base else { return false };
        let enabled = read_bounded(&base.join("cgroup.subtree_control"), 4096).unwrap_or_default();
        enabled.split(|b| b.is_ascii_whitespace()).any(|word| word == controller.word().as_bytes())
    }

    fn group(&self, run: &str, ration: Ration) -> Result<(Group, Vec<String>), String> {
        let name = format!("{}.{run}", self.name);
        let tracker = self.base.as_ref().ok_or("the system has no control groups")?.join(&name);
        make(&tracker)?;
        let mut group = Group { tracker, limited: Vec::new(), ration };
        let mut missing = Vec::new();
        for controller in Controller::ALL {
            let Some(wanted) = controller.wanted(&ration) else { continue };
            let version1 = self.places.version1.get(controller.word());
            let limited = match version1 {
                Some(place) => {
                    let folder = place.own.join(&name);
                    make(&folder).map(|()| folder)
                }
                None if self.has(controller) => Ok(group.tracker.clone()),
                None => Err("this process's own control group allows no limits below it".into()),
            };
            let limited = limited.and_then(|folder| {
                let set = controller.limit(&folder, &ration, version1.is_none());
                // Kept also when it failed: what was made is removed.
                group.limited.push((controller, folder));
                set.map_err(|e| e.to_string())
            });
            if let Err(why) = limited {
                missing.push(format!("{wanted} is not enforced here: {why}"));
            }
        }
        Ok((group, missing))
    }
}

fn make(folder: &Path) -> Result<(), String> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("{} cannot be made: {e}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The group of a new run, when it has limits, and which of them are not enforced here and why.
pub fn group(root: &Path, run: &str, ration: Ration) -> (Option<Group>, Vec<String>) {
    let home = entered(root);
    if ration == Ration::default() { (None, Vec::new()) } else { home.limited(run, ration) }
}

/// Which limits would not be enforced for a run that was started by this process, and why.
pub fn missing(root: &Path) -> Vec<String> {
    let all = Ration { memory: Some(Size(1 << 40)), cpu: Some(100), processes: Some(1000) };
    home(root).limited("check", all).1
}

/// Ends what every `ldi` of `root` that went away left in its groups; tells how many processes that were.
/// Looks beside this process's own group, or, when it is known that there is something,
/// `everywhere`.
pub fn end_leftovers(root: &Path, everywhere: bool) -> usize {
    let home = home(root);
    let places = || home.places.version1.values().chain(&home.places.unified);
    let mut tops: Vec<&Path> = if everywhere {
        places().map(|place| place.mount.as_path()).collect()
    } else {
        home.base.iter().map(PathBuf::as_path).chain(places().map(|p| p.own.as_path())).collect()
    };
    tops.sort_unstable();
    tops.dedup();
    let mut folders: Vec<PathBuf> = Vec::new();
    for top in tops {
        for folder in group::below(top, if everywhere { 100_000 } else { 1 }) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            match maker(&name) {
                Some((_, pid, start)) if machine::started(pid) == Some(start) => {}
                Some((hash, ..)) if hash == home.hash => folders.push(folder),
                // Another ROOT's: its own `ldi` ends what is in it. An empty one is nobody's.
                Some(_) => group::remove(&folder),
                None => {}
            }
        }
    }
    // In each hierarchy that it had, one and the same process is a member once.
    let mut members: Vec<i32> = folders.iter().flat_map(|folder| group::members(folder)).collect();
    members.sort_unstable();
    members.dedup();
    for folder in &folders {
        group::end(folder);
    }
    members.len()
}

/// The hash of ROOT, the number and the start of the process in the name of a group; `None` when no
/// `ldi` made it.
fn maker(name: &str) -> Option<(&str, i32, u64)> {
    let mut words = name.strip_prefix(PREFIX)?.splitn(4, '.');
    Some((words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
