//! What a test leaves behind outside of its process group.
//!
//! On Linux this process adopts every orphan below it, so they are its children: a look at those is
//! all that a test costs which left nothing behind. Whose an orphan is, its environment tells.
//! Never ends anything but descendants.

/// Makes this process the parent of every orphan below it, where the system can do that.
#[cfg(target_os = "linux")]
pub fn adopt() {
    // Without it orphans are left to the system, as elsewhere.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Elsewhere orphans are the system's; groups are ended all the same.
#[cfg(not(target_os = "linux"))]
pub fn adopt() {}

#[cfg(not(target_os = "linux"))]
pub fn end(_run: Option<&str>) {}

/// Ends the orphans whose environment has LDI_RUN=`run`; all of them without a `run`, which is for
/// the end, when no test is left.
#[cfg(target_os = "linux")]
pub fn end(run: Option<&str>) {
    use nix::{
        sys::{
            signal::{Signal, kill},
            wait::{WaitPidFlag, waitpid},
        },
        unistd::Pid,
    };
    let mark = run.map(|run| format!("LDI_RUN={run}"));
    // An orphan that ends leaves its children to us: again until there are none. Bounded, for one
    // that cannot be ended or forks all the time must not hold up the run.
    for _ in 0..50 {
        let mut found = false;
        for pid in children() {
            let theirs = mark.as_ref().is_none_or(|mark| marked(pid, mark.as_bytes()));
            if theirs {
                found = true;
                let pid = Pid::from_raw(pid);
                // Already gone is what we want.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
        if !found {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The children of this process; those of each thread stand apart.
#[cfg(target_os = "linux")]
fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

#[cfg(target_os = "linux")]
fn marked(pid: i32, mark: &[u8]) -> bool {
    use std::{fs::File, io::Read};
    let mut environ = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(1 << 20).read_to_end(&mut environ));
    read.is_ok() && environ.split(|b| *b == 0).any(|variable| variable == mark)
}
