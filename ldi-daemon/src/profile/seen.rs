//! What strace's lines say: `PID TIME CALL(…) = RESULT` become processes, programs and files.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// So many names of each list are kept; all are counted.
const MAX_PATHS: usize = 1000;

/// Files by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Files {
    /// Different ones; of those beyond what is kept, each time.
    pub(super) count: usize,
    /// Their paths, by name.
    pub(super) paths: BTreeSet<String>,
}

impl Files {
    fn add(&mut self, path: String) {
        if self.paths.len() < MAX_PATHS {
            self.paths.insert(path);
            self.count = self.paths.len();
        } else if !self.paths.contains(&path) {
            self.count += 1;
        }
    }
}

/// What was seen of a run.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Trace {
    /// Until the script's interpreter was started.
    #[serde(skip)]
    pub(super) before: Duration,
    /// Processes, the script's own included.
    pub(super) processes: usize,
    /// Programs that were started, how often.
    pub(super) programs: BTreeMap<String, usize>,
    /// Opened for writing, created, or renamed to.
    pub(super) files_written: Files,
    /// Removed, or renamed to another name.
    pub(super) files_removed: Files,
    /// Of the tree, opened for reading only.
    pub(super) files_read: Files,
    /// Not of the tree, opened for reading only; how often.
    pub(super) files_read_elsewhere: usize,
}

/// What the lines said so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    first: Option<Duration>,
    trace: Trace,
    /// Read, with how often, until it is known what belongs to the tree.
    read: BTreeMap<String, usize>,
    read_more: usize,
    /// The beginning of calls that another process's line interrupted, by process.
    unfinished: BTreeMap<String, String>,
}

impl Seen {
    /// `PID TIME CALL(…) = RESULT`, or a half of it.
    pub(super) fn line(&mut self, line: &str) {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else { return };
        let Some((time, call)) = rest.trim_start().split_once(' ') else { return };
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            self.unfinished.insert(pid.to_owned(), begun.to_owned());
            return;
        }
        let whole = match call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            Some((_, end)) => self.unfinished.remove(pid).unwrap_or_default() + end,
            None => call.to_owned(),
        };
        if self.first.is_none() {
            self.first = time.parse().ok().and_then(|t| Duration::try_from_secs_f64(t).ok());
        }
        self.call(&whole);
    }

    fn call(&mut self, text: &str) -> Option<()> {
        let (name, rest) = text.split_once('(')?;
        let (args, result) = rest.rsplit_once(") = ")?;
        if !result.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let args = args.trim_end();
        match name {
            "execve" | "execveat" => {
                let path = paths(args).into_iter().next()?;
                let programs = &mut self.trace.programs;
                if programs.len() < MAX_PATHS || programs.contains_key(&path) {
                    *programs.entry(path).or_default() += 1;
                }
            }
            "clone" | "clone3" | "fork" | "vfork" if !args.contains("CLONE_THREAD") => {
                self.trace.processes += 1;
            }
            "creat" | "open" | "openat" | "openat2" => {
                let shown = result.split_once('<').and_then(|(_, p)| p.rsplit_once('>'));
                let path =
                    shown.map(|(p, _)| unescaped(p)).or_else(|| paths(args).into_iter().next())?;
                let flags = args.rsplit_once('"').map_or("", |(_, flags)| flags);
                let has = |words: &[&str]| words.iter().any(|word| flags.contains(word));
                if !path.starts_with('/') || has(&["O_DIRECTORY", "O_PATH"]) {
                    return None;
                }
                if name == "creat" || has(&["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]) {
                    if !(path.starts_with("/dev/") || path.starts_with("/proc/")) {
                        self.trace.files_written.add(path);
                    }
                } else if self.read.len() < 10 * MAX_PATHS || self.read.contains_key(&path) {
                    *self.read.entry(path).or_default() += 1;
                } else {
                    self.read_more += 1;
                }
            }
            "unlink" | "unlinkat" if !args.contains("AT_REMOVEDIR") => {
                self.trace.files_removed.add(paths(args).into_iter().next()?);
            }
            "rename" | "renameat" | "renameat2" => {
                let mut both = paths(args).into_iter();
                let (from, to) = (both.next()?, both.next()?);
                self.trace.files_removed.add(from);
                self.trace.files_written.add(to);
            }
            _ => {}
        }
        Some(())
    }

    pub(super) fn into_trace(self, tree: &str, started: SystemTime) -> Trace {
        let mut trace = self.trace;
        trace.processes += 1;
        trace.files_read_elsewhere = self.read_more;
        for (path, times) in self.read {
            match path.strip_prefix(tree) {
                Some(inside) => trace.files_read.add(inside.to_owned()),
                None => trace.files_read_elsewhere += times,
            }
        }
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        trace.before = self.first.unwrap_or_default().saturating_sub(started);
        trace
    }
}

/// The quoted paths among `args`, each with the folder that it is relative to, where that is named:
/// `AT_FDCWD</tmp>, "a"` is `/tmp/a`.
fn paths(args: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = args;
    while let Some((before, quoted)) = rest.split_once('"') {
        let mut end = 0;
        let bytes = quoted.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let path = unescaped(quoted.get(..end).unwrap_or_default());
        let folder = before.trim_end_matches([',', ' ']).strip_suffix('>');
        let folder = folder.and_then(|f| f.rsplit_once('<')).map(|(_, folder)| unescaped(folder));
        found.push(match folder {
            Some(folder) if !path.starts_with('/') => format!("{folder}/{path}"),
            _ => path,
        });
        rest = quoted.get(end + 1..).unwrap_or_default();
    }
    found
}

/// As strace writes names: `\\`, `\"`, `\n` and octal numbers.
fn unescaped(text: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(next @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(next - b'0');
                            bytes.next();
                        }
                        _ => break,
                    }
                }
                out.push(u8::try_from(value).unwrap_or(b'?'));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"7 1000.500000 execve("/usr/bin/bash", ["bash"], 0x7ff /* 35 vars */) = 0
7 1000.6 openat(AT_FDCWD</x>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
7 1000.6 openat(AT_FDCWD</x>, "conf/n.conf", O_RDONLY) = 3</tree/conf/n.conf>
7 1000.7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7) = 9
7 1000.7 openat(AT_FDCWD</tmp>, "pr \303\274.rel", O_WRONLY|O_CREAT|O_TRUNC, 0666 <unfinished ...>
9 1000.7 execve("/usr/bin/cat", ["cat", "a"], 0x5 /* 3 vars */) = 0
7 1000.8 <... openat resumed>) = 3</tmp/pr \303\274.rel>
9 1000.8 openat(AT_FDCWD</x>, "/none", O_RDONLY) = -1 ENOENT (No such file or directory)
9 1000.8 openat(AT_FDCWD</x>, "/dev/null", O_WRONLY|O_CREAT, 0666) = 3</dev/null>
9 1000.8 openat(AT_FDCWD</x>, "/x", O_RDONLY|O_DIRECTORY) = 3</x>
7 1000.9 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 10
7 1000.9 renameat2(AT_FDCWD</tmp>, "a \"b\"", AT_FDCWD</var>, "c", RENAME_NOREPLACE) = 0
7 1000.9 unlinkat(AT_FDCWD</tmp>, "gone", 0) = 0
7 1000.9 unlinkat(AT_FDCWD</tmp>, "folder", AT_REMOVEDIR) = 0
7 1000.9 unlink("/abs") = 0
nonsense
7 1001.0 exit_group(0
"#;

    #[test]
    fn lines_become_processes_programs_and_files() {
        let mut seen = Seen::default();
        LINES.lines().for_each(|line| seen.line(line));
        let trace = seen.into_trace("/tree/", UNIX_EPOCH + Duration::from_secs(1000));
        assert_eq!(trace.before, Duration::from_millis(500));
        assert_eq!(trace.processes, 2);
        let programs = [("/usr/bin/bash".to_owned(), 1), ("/usr/bin/cat".to_owned(), 1)];
        assert_eq!(trace.programs, BTreeMap::from(programs));
        let names = |files: &Files| files.paths.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&trace.files_written), ["/tmp/pr ü.rel", "/var/c"]);
        assert_eq!(names(&trace.files_removed), ["/abs", "/tmp/a \"b\"", "/tmp/gone"]);
        assert_eq!(names(&trace.files_read), ["conf/n.conf"]);
        assert_eq!(trace.files_read_elsewhere, 1);
    }
}
