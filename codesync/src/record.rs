//! One line per session of `serve` and `receive`: who, which ring, what release, how much, how long.
//!
//! To syslog, and to a file where the keeper named one; the file is the keeper's to rotate. A record
//! that cannot be written never stops a session. Refuses to write raw bytes of a client: what it said
//! is escaped and cut, so that a line stays a line.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixDatagram},
    path::Path,
    time::Instant,
};

use nix::fcntl::OFlag;

use crate::{Kind, Result};

/// Most characters of a reason in a line.
const REASON_MAX: usize = 200;
/// Most characters of the key and of the address in a line.
const CLIENT_MAX: usize = 80;
const SYSLOG: &[&str] = &["/dev/log", "/var/run/syslog"];
// Facility daemon is 3, severity informational 6 (RFC 5424, tables 1 and 2).
const PRIORITY: u8 = 3 * 8 + 6;

/// What one session was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visit {
    /// The ring that was asked for last.
    pub ring: Option<String>,
    /// The release that the client had, or the server before a push; 0 for none.
    pub previous: u64,
    /// The release that it was told of, or that was pushed.
    pub release: u64,
    /// Application bytes to the client.
    pub sent: u64,
    /// Application bytes from the client.
    pub received: u64,
    /// What was not there, if something was not.
    pub missing: Option<String>,
}

impl Visit {
    /// The word for what became of it, and why it was not well.
    fn outcome(&self, result: &Result<()>) -> (&'static str, Option<String>) {
        match result {
            Err(error) if error.kind() == Kind::Unreachable => ("cut", Some(error.to_string())),
            Err(error) if error.kind() == Kind::Busy => ("busy", Some(error.to_string())),
            Err(error) => ("refused", Some(error.to_string())),
            Ok(()) if self.ring.is_none() && self.missing.is_some() => {
                ("refused", self.missing.clone())
            }
            Ok(()) if self.release == self.previous => ("current", self.missing.clone()),
            Ok(()) => ("updated", self.missing.clone()),
        }
    }
}

/// Where the record of this session will go.
#[derive(Debug)]
pub struct Log {
    word: &'static str,
    key: String,
    address: String,
    began: Instant,
    file: Option<File>,
}

impl Log {
    /// Opens `file` now: a session that runs while the keeper rotates it ends in the old one. The
    /// line begins with `word`; key and address are those that codesync-shell hands over.
    pub fn open(word: &'static str, file: Option<&Path>) -> Self {
        let told = |name| std::env::var(name).unwrap_or_else(|_| "unknown".to_owned());
        Self {
            word,
            key: told("CODESYNC_KEY"),
            address: told("CODESYNC_CLIENT"),
            began: Instant::now(),
            file: file.and_then(open),
        }
    }

    /// Writes the line of `visit`, which ended with `result`.
    pub fn write(&mut self, visit: &Visit, result: &Result<()>) {
        let line = self.line(visit, result);
        let pid = std::process::id();
        send(SYSLOG, &format!("<{PRIORITY}>codesync[{pid}]: {line}"));
        if let Some(file) = &mut self.file {
            let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
            // One write, so that lines of concurrent sessions do not mix.
            let _ = file.write_all(format!("{now} codesync[{pid}]: {line}\n").as_bytes());
        }
    }

    fn line(&self, visit: &Visit, result: &Result<()>) -> String {
        let (outcome, why) = visit.outcome(result);
        let mut line = format!(
            "{} key={} from=\"{}\" ring={} previous={} release={} sent={} received={} seconds={:.3} outcome={outcome}",
            self.word,
            shown(&self.key, CLIENT_MAX),
            shown(&self.address, CLIENT_MAX),
            visit.ring.as_deref().unwrap_or("-"),
            visit.previous,
            visit.release,
            visit.sent,
            visit.received,
            self.began.elapsed().as_secs_f64(),
        );
        if let Some(why) = why {
            line.push_str(&format!(" reason=\"{}\"", shown(&why, REASON_MAX)));
        }
        line
    }
}

fn shown(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most + 1).flat_map(char::escape_default).collect();
    if shown.len() > most {
        shown.truncate(most);
        shown.push_str("...");
    }
    shown
}

fn open(path: &Path) -> Option<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(flags.bits());
    let file = options.open(path).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

fn send(sockets: &[&str], message: &str) {
    for socket in sockets {
        let sent = UnixDatagram::unbound().and_then(|datagram| {
            // A syslog daemon that hangs must not hang the library.
            datagram.set_nonblocking(true)?;
            datagram.send_to(message.as_bytes(), socket)
        });
        if sent.is_ok() {
            return;
        }
    }
}

/// Counts what passes.
#[derive(Debug)]
pub struct Counted<T> {
    inner: T,
    /// Bytes so far.
    pub bytes: u64,
}

impl<T> Counted<T> {
    /// Counts from 0.
    pub fn new(inner: T) -> Self {
        Self { inner, bytes: 0 }
    }
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn log(key: &str) -> Log {
        Log {
            word: "synced",
            key: key.to_owned(),
            address: "192.0.2.7 4022".to_owned(),
            began: Instant::now(),
            file: None,
        }
    }

    #[test]
    fn a_record_is_one_line_of_bounded_length_whatever_was_said() {
        let visit = Visit {
            ring: Some("stable".into()),
            previous: 9,
            release: 10,
            sent: 3235,
            received: 91,
            missing: None,
        };
        let line = log("SHA256:abc").line(&visit, &Ok(()));
        let (start, rest) = line.split_once(" seconds=").unwrap();
        assert_eq!(
            start,
            "synced key=SHA256:abc from=\"192.0.2.7 4022\" ring=stable previous=9 release=10 \
             sent=3235 received=91"
        );
        assert!(rest.ends_with(" outcome=updated"), "{rest}");

        let evil = "a\nb\"c\x1b[2J\u{202e}".repeat(1000);
        let result = Err(Error::refused(evil.clone()));
        let line = log(&evil).line(&Visit::default(), &result);
        assert!(line.is_ascii() && !line.chars().any(char::is_control), "{line}");
        assert!(line.len() < 600 && line.contains("outcome=refused"), "{}", line.len());
    }

    #[test]
    fn outcomes_have_their_words() {
        let word = |visit: &Visit, result| visit.outcome(&result).0;
        let current = Visit { ring: Some("r".into()), previous: 3, release: 3, ..Visit::default() };
        assert_eq!(word(&current, Ok(())), "current");
        assert_eq!(word(&current, Err(Error::new(Kind::Unreachable, "gone"))), "cut");
        assert_eq!(word(&current, Err(Error::new(Kind::Usage, "odd"))), "refused");
        let lost = Visit { missing: Some("there is no ring".into()), ..Visit::default() };
        assert_eq!(word(&lost, Ok(())), "refused");
    }

    #[test]
    fn a_line_reaches_syslog_and_the_file_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let socket = UnixDatagram::bind(path("log")).unwrap();
        send(&[path("none").to_str().unwrap(), path("log").to_str().unwrap()], "<30>x");
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"<30>x");

        let mut log = Log { file: open(&path("file")), ..log("k") };
        log.write(&Visit::default(), &Ok(()));
        log.write(&Visit::default(), &Ok(()));
        assert_eq!(std::fs::read_to_string(path("file")).unwrap().lines().count(), 2);
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        assert!(open(&path("link")).is_none());
    }
}
