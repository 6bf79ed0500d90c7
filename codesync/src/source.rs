//! Where a client fetches from. A source is a carrier: nothing that it says is believed.

use std::{collections::HashMap, io::Write, path::Path, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    Error, Kind, Result,
    manifest::{File, Hash},
    trust::{Target, Trust, Versions},
};

mod file;
pub mod https;
mod remote;
mod ssh;

pub use https::Https;
pub use remote::Remote;

/// Bytes that went over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Read from the source.
    pub received: u64,
    /// Written to the source.
    pub sent: u64,
}

/// A carrier of a library.
///
/// Whatever is returned or written was bounded by what was asked, and is otherwise unchecked.
/// An error of kind [`Kind::Unreachable`] may pass; others are final for this source.
pub trait Source {
    /// Metadata newer than `have`, by file name: what this carrier can say in one round trip, which
    /// may be nothing. What is still missing is then asked for with [`Source::metadata`].
    fn refresh(&mut self, ring: &str, have: Versions) -> Result<Vec<(String, Vec<u8>)>>;

    /// One metadata file, such as `3.root.json`, of at most `limit` bytes; `None` when this carrier
    /// does not have it. The name is safe in a path and in a URL.
    fn metadata(&mut self, _ring: &str, _file: &str, _limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Writes `target` from byte `offset` on to `out`: never more than its signed length.
    fn target(
        &mut self,
        ring: &str,
        target: &Target,
        offset: u64,
        out: &mut dyn Write,
    ) -> Result<()>;

    /// Hands the contents of `files` to `sink`, in order: pieces, then an empty one at the end of
    /// each.
    fn objects(
        &mut self,
        files: &[&File],
        sink: &mut dyn FnMut(&File, &[u8]) -> Result<()>,
    ) -> Result<()>;

    /// Writes the content of `file` from byte `offset` on to `out`: never more than its signed size.
    fn object(&mut self, file: &File, offset: u64, out: &mut dyn Write) -> Result<()>;

    /// An rsync delta from what `signature` describes to the content of `file`; `None` when this
    /// source makes none.
    fn delta(&mut self, file: &File, signature: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Bytes so far.
    fn traffic(&self) -> Traffic;
}

/// Brings `trust` up to date with `source`: what it says in one round trip first, then a file at a
/// time, each verified before the next is asked for.
pub fn refresh(
    source: &mut dyn Source,
    trust: &mut Trust,
    ring: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut answer: HashMap<String, Vec<u8>> =
        source.refresh(ring, trust.versions())?.into_iter().collect();
    trust.update(
        &mut |file, limit| match answer.remove(file) {
            Some(bytes) => Ok(Some(bytes)),
            None => source.metadata(ring, file, limit),
        },
        now,
    )
}

/// How to reach sources: what this machine shows them, and by what it knows them.
#[derive(Debug, Clone)]
pub struct Access<'a> {
    /// Private SSH key.
    pub identity: Option<&'a Path>,
    /// Pinned SSH host keys.
    pub known_hosts: Option<&'a Path>,
    /// Limit for connecting, and for any silence after that.
    pub timeout: Duration,
    /// Certificates (PEM) of authorities that https sources are known by, beside the system's.
    pub ca_file: Option<&'a Path>,
    /// This machine's certificate (PEM) for https sources that ask for one.
    pub client_certificate: Option<&'a Path>,
    /// Its private key (PEM).
    pub client_key: Option<&'a Path>,
    /// A program and its arguments, of which `%h` and `%p` are the host and port of an ssh source
    /// and `%%` is `%`; its standard input and output are the connection. No shell is involved.
    /// Empty: connect directly.
    pub proxy_command: &'a [String],
}

impl Default for Access<'_> {
    fn default() -> Self {
        Self {
            identity: None,
            known_hosts: None,
            timeout: Duration::from_secs(20),
            ca_file: None,
            client_certificate: None,
            client_key: None,
            proxy_command: &[],
        }
    }
}

/// Where a source is: the parsed form of `ssh://user@host[:port]/path`, `https://host[:port]/path`
/// or `file:///path`. `http://` is for this machine's own addresses only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A library on this machine, or on a mounted disk.
    File(std::path::PathBuf),
    /// `codesync serve` behind an SSH account.
    Ssh {
        /// Account.
        user: String,
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// The library's folder there; may be empty where the account has one library only.
        path: String,
    },
    /// A library's folder on a web server.
    Https {
        /// Without a `/` at the end.
        url: String,
    },
}

impl Address {
    /// Parses a source's URL.
    pub fn parse(url: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Kind::Config,
                format!(
                    "{url:?} is not a source: {why}; write ssh://user@host[:port]/path, https://host[:port]/path or file:///path"
                ),
            )
        };
        if let Some(path) = url.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(bad("the path must be absolute"));
            }
            return Ok(Address::File(path.into()));
        }
        if url.starts_with("https://") || url.starts_with("http://") {
            return https::parse(url).map(|url| Address::Https { url }).map_err(bad);
        }
        let rest = url.strip_prefix("ssh://").ok_or_else(|| bad("its scheme is not known"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.split_once('@').ok_or_else(|| bad("it names no user"))?;
        let (host, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| bad("a `]` is missing"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match host.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| bad("the port is not a number"))?,
            None => 22,
        };
        let word = |text: &str| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:%".contains(&b))
                && !text.is_empty()
                && !text.starts_with('-')
        };
        if !word(user) || !word(host) || port == 0 {
            return Err(bad("user or host is not a plain word"));
        }
        // The path becomes part of a command line on the server.
        if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b)) {
            return Err(bad("the path has more than letters, digits and / . _ - +"));
        }
        Ok(Address::Ssh {
            user: user.to_owned(),
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// Connects to the source at `address`.
pub fn connect(address: &Address, settings: &Access<'_>) -> Result<Box<dyn Source>> {
    Ok(match address {
        Address::File(folder) => Box::new(file::FileSource::open(folder)?),
        Address::Ssh { user, host, port, path } => {
            Box::new(ssh::connect(user, host, *port, path, settings)?)
        }
        Address::Https { url } => Box::new(Https::library(url, settings)?),
    })
}

/// Opens `codesync receive` at `address`, which must be `ssh://`, to push to it.
pub fn receiver(
    address: &Address,
    settings: &Access<'_>,
) -> Result<Remote<impl std::io::Read + std::io::Write + use<>>> {
    match address {
        Address::Ssh { user, host, port, path } => {
            ssh::command(user, host, *port, ("receive", path), settings)
        }
        _ => Err(Error::new(
            Kind::Usage,
            "a push goes to ssh://user@host[:port]/path; to a library on this machine, publish directly",
        )),
    }
}

/// Opens the connection of [`connect`] and runs `true` instead of asking anything: the floor that
/// a benchmark compares with.
pub fn bare(address: &Address, settings: &Access<'_>) -> Result<()> {
    match address {
        Address::File(_) | Address::Https { .. } => Ok(()),
        Address::Ssh { user, host, port, .. } => ssh::bare(user, host, *port, settings),
    }
}

pub(crate) fn hash_name(hash: &Hash) -> String {
    hex::encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let ssh = |user: &str, host: &str, port, path: &str| Address::Ssh {
            user: user.into(),
            host: host.into(),
            port,
            path: path.into(),
        };
        for (url, address) in [
            (
                "ssh://util@code.example.com/srv/codesync",
                ssh("util", "code.example.com", 22, "/srv/codesync"),
            ),
            ("ssh://util@[::1]:2222/", ssh("util", "::1", 2222, "")),
            ("ssh://u@h:1", ssh("u", "h", 1, "")),
            ("file:///srv/x", Address::File("/srv/x".into())),
            (
                "https://mirror.example.com/codesync/",
                Address::Https { url: "https://mirror.example.com/codesync".into() },
            ),
            ("http://127.0.0.1:8080", Address::Https { url: "http://127.0.0.1:8080".into() }),
            ("http://[::1]:80/a", Address::Https { url: "http://[::1]/a".into() }),
        ] {
            assert_eq!(Address::parse(url).unwrap(), address, "{url}");
        }
        for url in [
            "",
            "http://x/",
            "http://127.0.0.1.example.com/",
            "https://",
            "https://user:secret@h/",
            "https://h/a?b",
            "https://h/a#b",
            "ssh://host/x",
            "ssh://u@/x",
            "ssh://u@h:x/",
            "ssh://u@h:0/",
            "ssh://-u@h/",
            "ssh://u@-oProxyCommand=x/",
            "ssh://u@h/$(id)",
            "ssh://u@h/a b",
            "ssh://u@h/a;b",
            "file://x",
        ] {
            assert_eq!(Address::parse(url).unwrap_err().kind(), Kind::Config, "{url}");
        }
    }
}
