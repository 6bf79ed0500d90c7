//! One line per command: who asked for what, and what became of it.
//!
//! To syslog (facility auth), and to a file where the keeper named one. A record that cannot be
//! written never stops a session. Refuses to write raw bytes of a client: commands are escaped and
//! cut, so that a line stays a line.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::{fs::OpenOptionsExt, net::UnixDatagram},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::fcntl::OFlag;

use crate::client::Client;

/// Most characters of a command in a record.
pub const MAX_COMMAND: usize = 512;
const SYSLOG: &[&str] = &["/dev/log", "/var/run/syslog"];
// Facility auth is 4 (RFC 5424, table 1); severities warning and informational.
const AUTH_WARNING: u8 = 4 * 8 + 4;
const AUTH_INFO: u8 = 4 * 8 + 6;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is about to run.
    Allowed,
    /// It is not run, because…
    Refused(&'a str),
    /// It was allowed but cannot run, because…
    Failed(&'a str),
}

/// Writes the record of one command to syslog and to `log`.
pub fn write(client: &Client, command: &[u8], outcome: Outcome<'_>, log: Option<&Path>) {
    let line = line(client, command, outcome);
    let priority = if outcome == Outcome::Allowed { AUTH_INFO } else { AUTH_WARNING };
    let pid = std::process::id();
    // Without a time of its own (RFC 3164, 4.3.2): the syslog daemon stamps what arrives here.
    send(&format!("<{priority}>codesync-shell[{pid}]: {line}"));
    if let Some(file) = log {
        append(file, &format!("{} codesync-shell[{pid}]: {line}\n", now()));
    }
}

/// The text of a record, without time.
pub fn line(client: &Client, command: &[u8], outcome: Outcome<'_>) -> String {
    let mut shown: String = command
        .iter()
        .take(MAX_COMMAND + 1)
        .flat_map(|byte| byte.escape_ascii())
        .map(char::from)
        .collect();
    if command.len() > MAX_COMMAND || shown.len() > MAX_COMMAND {
        shown.truncate(MAX_COMMAND);
        shown.push_str("...");
    }
    let (word, why) = match outcome {
        Outcome::Allowed => ("allowed", ""),
        Outcome::Refused(why) => ("refused", why),
        Outcome::Failed(why) => ("failed", why),
    };
    let Client { address, key } = client;
    let mut line = format!("{word} key={key} from=\"{address}\" command=\"{shown}\"");
    if !why.is_empty() {
        line.push_str(&format!(" reason=\"{}\"", why.escape_default()));
    }
    line
}

fn send(message: &str) {
    for socket in SYSLOG {
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

fn append(file: &Path, line: &str) {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(flags.bits())
        .open(file);
    if let Ok(mut opened) = opened
        && opened.metadata().is_ok_and(|found| found.is_file())
    {
        // One write, so that lines of concurrent sessions do not mix.
        let _ = opened.write_all(line.as_bytes());
    }
}

/// The time in UTC as in RFC 3339, by the civil calendar.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    utc(seconds)
}

fn utc(seconds: u64) -> String {
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { address: "192.0.2.7 4022".into(), key: "SHA256:abc".into() }
    }

    #[test]
    fn a_record_is_one_line_whatever_was_sent() {
        let line = line(&client(), b"a\nb\"c\x1b[2J\0", Outcome::Refused("no"));
        assert_eq!(
            line,
            "refused key=SHA256:abc from=\"192.0.2.7 4022\" \
             command=\"a\\nb\\\"c\\x1b[2J\\x00\" reason=\"no\""
        );
        let long = super::line(&client(), &[0xff; 1 << 20], Outcome::Allowed);
        assert!(long.len() < MAX_COMMAND + 100, "{}", long.len());
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        append(&link, "x\n");
        assert!(!file.exists());
        append(&file, "x\n");
        append(&file, "y\n");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\ny\n");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
