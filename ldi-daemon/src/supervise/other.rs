//! Who belongs to a run where there is neither a subreaper nor /proc: its process group.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Nothing to do here.
pub fn adopt_orphans() -> Result<(), String> {
    Ok(())
}

/// A process of this one's own that belongs to no run.
#[derive(Debug)]
pub struct Aside(());

/// Starts such a process, which no run can be taken for: runs are process groups here.
pub fn aside<C>(
    start: impl FnOnce() -> std::io::Result<C>,
    _id: impl FnOnce(&C) -> Option<u32>,
) -> std::io::Result<(C, Aside)> {
    Ok((start()?, Aside(())))
}

/// The processes of one run.
#[derive(Debug)]
pub struct Family {
    main: i32,
}

impl Family {
    /// Of the run whose main process has just been started.
    pub fn new(main: i32, _run: &str) -> Self {
        Self { main }
    }

    /// The main process was waited for.
    pub fn main_ended(&self) {}

    /// The group, while it has members.
    pub fn members(&self) -> Vec<i32> {
        match killpg(Pid::from_raw(self.main), None) {
            Ok(()) => vec![self.main],
            Err(_) => Vec::new(),
        }
    }

    /// Sends `signal` to the group, and names it.
    pub fn signal(&self, signal: Signal) -> Vec<i32> {
        // A group without members is what we want.
        let _ = killpg(Pid::from_raw(self.main), signal);
        vec![self.main]
    }
}

/// Leftovers of a dead `ldi` cannot be told from others here.
pub fn end_leftovers(_run: &str) -> usize {
    0
}
