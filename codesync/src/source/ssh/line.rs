//! What an SSH session runs over: a TCP connection, or a program that relays (`sync.proxy_command`).
//!
//! The program gets one end of a pair of sockets as its standard input and output; it and whatever
//! it started end with the connection.

use std::{
    net::{Shutdown, TcpStream, ToSocketAddrs},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use ssh2::Session;

use super::Access;
use crate::{Error, Kind, Result};

pub(super) enum Line {
    Tcp(TcpStream),
    Relay { socket: UnixStream, program: Child },
}

impl Line {
    pub(super) fn open(host: &str, port: u16, settings: &Access<'_>) -> Result<Self> {
        match settings.proxy_command {
            [] => dial(host, port, settings.timeout).map(Self::Tcp),
            [program, words @ ..] => relay(program, words, host, port),
        }
    }

    /// Lets `session` speak over this line.
    pub(super) fn give(&self, session: &mut Session) -> Result<()> {
        let unusable =
            |error| Error::new(Kind::Unreachable, format!("cannot use the socket: {error}"));
        match self {
            Self::Tcp(socket) => session.set_tcp_stream(socket.try_clone().map_err(unusable)?),
            Self::Relay { socket, .. } => {
                session.set_tcp_stream(socket.try_clone().map_err(unusable)?);
            }
        }
        Ok(())
    }

    /// Without it, Linux delays acknowledgements by 40 ms in the middle of the handshake.
    pub(super) fn quick(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(socket) = self {
            let _ = socket2::SockRef::from(socket).set_tcp_quickack(true);
        }
    }

    /// Nothing more goes in either direction.
    pub(super) fn shut(&self) {
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Relay { socket, .. } => socket.shutdown(Shutdown::Both),
        };
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Relay { program, .. } = self {
            // It leads a group of its own, and is not waited for yet: the number is still its.
            if let Ok(group) = i32::try_from(program.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = program.wait();
        }
    }
}

fn relay(program: &str, words: &[String], host: &str, port: u16) -> Result<Line> {
    let failed = |error: std::io::Error| {
        Error::new(
            Kind::Config,
            format!("sync.proxy_command cannot be started: {program}: {error}"),
        )
    };
    let (socket, theirs) = UnixStream::pair().map_err(failed)?;
    let theirs = OwnedFd::from(theirs);
    let words = words.iter().map(|word| filled_in(word, host, port));
    let program = Command::new(program)
        .args(words)
        .stdin(theirs.try_clone().map_err(failed)?)
        .stdout(theirs)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Ok(Line::Relay { socket, program })
}

/// `word` with `%h` and `%p` replaced; another character after a `%` stays as it is.
fn filled_in(word: &str, host: &str, port: u16) -> String {
    let mut out = String::new();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('h') => out.push_str(host),
            Some('p') => out.push_str(&port.to_string()),
            Some('%') | None => out.push('%'),
            Some(other) => out.extend(['%', other]),
        }
    }
    out
}

fn dial(host: &str, port: u16, timeout: Duration) -> Result<TcpStream> {
    let unreachable =
        |why: String| Error::new(Kind::Unreachable, format!("cannot reach {host}:{port}: {why}"));
    let deadline = Instant::now() + timeout;
    let addresses =
        (host, port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_proxy_command() {
        for (word, filled) in
            [("%h:%p", "h.example:22"), ("100%%", "100%"), ("%x%", "%x%"), ("%%h", "%h"), ("", "")]
        {
            assert_eq!(filled_in(word, "h.example", 22), filled, "{word}");
        }
    }

    #[test]
    fn the_relay_ends_with_the_line() {
        let words = ["-c".to_owned(), "sleep 600 & echo $!; sleep 600".to_owned()];
        let line = relay("/bin/sh", &words, "h", 1).unwrap();
        let Line::Relay { socket, .. } = &line else { panic!() };
        let mut reader = std::io::BufReader::new(socket.try_clone().unwrap());
        let mut text = String::new();
        std::io::BufRead::read_line(&mut reader, &mut text).unwrap();
        let grandchild = Pid::from_raw(text.trim().parse().unwrap());
        assert!(nix::sys::signal::kill(grandchild, None).is_ok());
        drop(line);
        // Its end of the socket closes once nobody of the group is left.
        socket_ends(reader);
        let error = relay("/nonexistent", &[], "h", 1).err().unwrap();
        assert_eq!(error.kind(), Kind::Config);
    }

    fn socket_ends(mut reader: impl std::io::Read) {
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    }
}
