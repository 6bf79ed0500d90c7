//! Who belongs to a run: those in its control group, and those that descend from its main process.
//!
//! The kernel ends a group at once, also one that forks all the time; descent finds what left the
//! group, and is all there is for a run without limits.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::family::Family;
use crate::cgroup::Group;

/// The processes of one run.
#[derive(Debug)]
pub(super) struct Kin {
    family: Family,
    group: Option<Group>,
}

impl Kin {
    /// Of the run whose main process has just been started.
    pub(super) fn new(main: i32, run: &str, group: Option<Group>) -> Self {
        Self { family: Family::new(main, run), group }
    }

    /// The main process was waited for.
    pub(super) fn main_ended(&self) {
        self.family.main_ended();
    }

    /// Every living member.
    pub(super) fn members(&self) -> Vec<i32> {
        let mut all = self.in_group();
        all.extend(self.family.members());
        all.sort_unstable();
        all.dedup();
        all
    }

    fn in_group(&self) -> Vec<i32> {
        self.group.as_ref().map_or_else(Vec::new, Group::members)
    }

    /// Sends `signal` to every member.
    pub(super) fn signal(&self, signal: Signal) {
        if let (Some(group), Signal::SIGKILL) = (&self.group, signal) {
            group.kill();
        }
        let reached = self.family.signal(signal);
        for pid in self.in_group().into_iter().filter(|pid| !reached.contains(pid)) {
            // Already gone is what we want.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// What the group's limits did.
    pub(super) fn verdict(&self) -> Option<String> {
        self.group.as_ref()?.verdict()
    }
}
