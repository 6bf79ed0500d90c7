//! `ROOT/logs/RUN.log`: what a run wrote, bounded, in the order in which it came.
//!
//! A text header, an empty line, then frames: a line `out N`, `err N` (N bytes and a line feed
//! follow) or `cut out N` (so many bytes of stdout were left out here). The first half of the
//! limit is written as it comes, so that a crash keeps it; the last half when the run ended.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

mod read;

pub use read::{Frame, Lines, Reader, harmless, lines, read};

/// Which pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    fn word(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    total: u64,
    head: usize,
    tail: VecDeque<u8>,
}

/// The log of one run while it is written.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    fault: Option<String>,
    half: usize,
    out: Kept,
    err: Kept,
}

impl Log {
    /// A log that keeps nothing but counts.
    pub fn none() -> Self {
        Self { file: None, fault: None, half: 0, out: Kept::default(), err: Kept::default() }
    }

    /// Starts the log of `run`, which keeps `limit` bytes of each pipe. A log that cannot be
    /// written does not stop the run; see [`Log::finish`].
    pub fn create(folder: &Path, run: &str, header: &[(&str, String)], limit: u64) -> Self {
        let mut log = Self::none();
        log.half = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        let started = || -> io::Result<File> {
            make_private(folder)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.join(format!("{run}.log")))?;
            let mut text = String::from("ldi-log: 1\n");
            for (key, value) in header {
                text.push_str(&format!("{key}: {}\n", value.replace(['\n', '\r'], " ")));
            }
            text.push('\n');
            file.write_all(text.as_bytes())?;
            Ok(file)
        };
        match started() {
            Ok(file) => log.file = Some(file),
            Err(error) => log.fault = Some(error.to_string()),
        }
        log
    }

    /// Takes what came out of a pipe.
    pub fn append(&mut self, stream: Stream, bytes: &[u8]) {
        let half = self.half;
        let kept = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        kept.total += bytes.len() as u64;
        if half == 0 {
            return;
        }
        let (head, rest) = bytes.split_at(bytes.len().min(half - kept.head));
        kept.head += head.len();
        let rest = &rest[rest.len().saturating_sub(half)..];
        let surplus = (kept.tail.len() + rest.len()).saturating_sub(half);
        kept.tail.drain(..surplus);
        kept.tail.extend(rest);
        if !head.is_empty() {
            self.write_frame(stream, head);
        }
    }

    fn write_frame(&mut self, stream: Stream, bytes: &[u8]) {
        let mut frame = format!("{} {}\n", stream.word(), bytes.len()).into_bytes();
        frame.extend_from_slice(bytes);
        frame.push(b'\n');
        self.write(&frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            self.fault = Some(error.to_string());
            self.file = None;
        }
    }

    /// Bytes that came out of a pipe.
    pub fn total(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Out => self.out.total,
            Stream::Err => self.err.total,
        }
    }

    /// Writes what was kept of the ends, and says why the log is not whole if it is not.
    pub fn finish(mut self) -> Option<String> {
        for stream in [Stream::Out, Stream::Err] {
            let kept = match stream {
                Stream::Out => std::mem::take(&mut self.out),
                Stream::Err => std::mem::take(&mut self.err),
            };
            let cut = kept.total - kept.head as u64 - kept.tail.len() as u64;
            if self.half > 0 && cut > 0 {
                self.write(format!("cut {} {cut}\n", stream.word()).as_bytes());
            }
            if !kept.tail.is_empty() {
                let tail: Vec<u8> = kept.tail.into();
                self.write_frame(stream, &tail);
            }
        }
        self.fault.map(|fault| format!("its log could not be written: {fault}"))
    }
}

/// Makes a folder that only its owner may look into.
fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes the oldest logs beyond `keep` files or `bytes` bytes; run names sort by time.
pub fn prune(folder: &Path, keep: usize, bytes: u64) -> io::Result<()> {
    let mut logs: Vec<(PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        // A run's name begins with its year; ldi.log is no run's.
        if name.first().is_some_and(u8::is_ascii_digit) && name.ends_with(b".log") {
            let size = path.symlink_metadata().map_or(0, |m| m.len());
            logs.push((path, size));
        }
    }
    logs.sort_by(|a, b| b.0.cmp(&a.0));
    let mut total = 0;
    for (at, (path, size)) in logs.iter().enumerate() {
        total += size;
        if at >= keep || total > bytes {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_back_in_order_with_the_cut_marked() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        let mut log = Log::create(&logs, "r1", &[("job", "a\nb".into())], 8);
        log.append(Stream::Out, b"abc");
        log.append(Stream::Err, b"\x1b[2J\n");
        log.append(Stream::Out, b"defgh");
        log.append(Stream::Out, b"ijklmnop");
        assert_eq!(log.total(Stream::Out), 16);
        assert_eq!(log.finish(), None);
        let (header, frames) = read(&logs, "r1").unwrap();
        assert_eq!(header, ["ldi-log: 1", "job: a b"]);
        assert_eq!(
            frames,
            [
                Frame::Bytes(Stream::Out, b"abc".to_vec()),
                Frame::Bytes(Stream::Err, b"\x1b[2J".to_vec()),
                Frame::Bytes(Stream::Out, b"d".to_vec()),
                Frame::Cut(Stream::Out, 8),
                Frame::Bytes(Stream::Out, b"mnop".to_vec()),
                Frame::Bytes(Stream::Err, b"\n".to_vec()),
            ]
        );
        let lines = lines(&frames);
        assert_eq!(lines[0], (Stream::Out, b"abcd".to_vec()));
        assert_eq!(harmless(&lines[2].1), "\\u{1b}[2J");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("logs"), "a file").unwrap();
        let mut log = Log::create(&dir.path().join("logs"), "r1", &[], 100);
        log.append(Stream::Out, b"x");
        assert!(log.finish().unwrap().contains("could not be written"));
    }

    #[test]
    fn the_newest_logs_stay() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..9 {
            fs::write(dir.path().join(format!("2026-{n}.log")), [0; 100]).unwrap();
        }
        prune(dir.path(), 5, 10_000).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
        prune(dir.path(), 5, 250).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["2026-7.log", "2026-8.log"]);
    }
}
