//! A profile for people, on standard error: standard output is the script's.

use std::{fmt::Write as _, io::Write as _};

use super::{Profile, seen::Files};
use crate::logs::harmless;

/// So many lines of each list.
const SHOWN: usize = 20;

/// Prints it.
pub(super) fn print(profile: &Profile) {
    // Nothing can be said when stderr is gone.
    let _ = std::io::stderr().lock().write_all(text(profile).as_bytes());
}

fn text(profile: &Profile) -> String {
    let mut out = format!("\n{}: exit status {}\n", profile.name, profile.exit_status);
    row(&mut out, "wall time", &format!("{:.3} s", profile.wall_seconds));
    let start = match profile.start_seconds {
        Some(start) => format!("{start:.3} s: loader, interpreter, modules"),
        None => "not measured: it is started without modules".to_owned(),
    };
    row(&mut out, "  to begin", &start);
    row(&mut out, "user time", &format!("{:.3} s", profile.user_seconds));
    row(&mut out, "system time", &format!("{:.3} s", profile.system_seconds));
    let bound = if profile.peak_memory_is_a_bound { "at most " } else { "" };
    let kilobytes = u32::try_from(profile.peak_memory_bytes >> 10).unwrap_or(u32::MAX);
    let megabytes = f64::from(kilobytes) / 1024.0;
    row(&mut out, "peak memory", &format!("{bound}{megabytes:.1} MB, the largest process"));
    if let Some(modules) = &profile.modules {
        let said = format!("{} {}", modules.len(), modules.join(" "));
        row(&mut out, "modules", said.trim_end());
    }
    let Some(trace) = &profile.trace else {
        let why = profile.not_traced.as_deref().unwrap_or_default();
        row(&mut out, "processes", &format!("not measured: {why}"));
        row(&mut out, "files", &format!("not measured: {why}"));
        return out;
    };
    row(&mut out, "processes", &trace.processes.to_string());
    let times = |(name, n): (&String, &usize)| match n {
        1 => name.clone(),
        n => format!("{name} ({n} times)"),
    };
    let programs: Vec<String> = trace.programs.iter().map(times).collect();
    row(&mut out, "programs", &harmless(programs.join(", ").as_bytes()));
    list(&mut out, "files written", &trace.files_written);
    list(&mut out, "removed", &trace.files_removed);
    list(&mut out, "read, of tree", &trace.files_read);
    row(&mut out, "others read", &trace.files_read_elsewhere.to_string());
    out.push_str("  strace's share is in the times; --no-trace measures without it\n");
    out
}

fn row(out: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  {name:<14} {value}");
}

fn list(out: &mut String, name: &str, files: &Files) {
    row(out, name, &files.count.to_string());
    for path in files.paths.iter().take(SHOWN) {
        row(out, "", &harmless(path.as_bytes()));
    }
    let more = files.count.saturating_sub(SHOWN);
    if more > 0 {
        row(out, "", &format!("and {more} more"));
    }
}
