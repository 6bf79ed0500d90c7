//! Where a client fetches from. A source is a carrier: nothing that it says is believed.

use std::io::Write;

use crate::{
    Error, Kind, Result,
    manifest::{File, Hash},
    trust::{Target, Versions},
};

mod file;
mod remote;
mod ssh;

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
    /// Metadata newer than `have`, by file name.
    fn refresh(&mut self, ring: &str, have: Versions) -> Result<Vec<(String, Vec<u8>)>>;

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

    /// An rsync delta from what `signature` describes to the content of `file`; `None` when this
    /// source makes none.
    fn delta(&mut self, file: &File, signature: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Bytes so far.
    fn traffic(&self) -> Traffic;
}

/// How to reach sources over SSH.
#[derive(Debug, Clone)]
pub struct SshSettings<'a> {
    /// Private key.
    pub identity: Option<&'a std::path::Path>,
    /// Pinned host keys.
    pub known_hosts: Option<&'a std::path::Path>,
    /// Limit for connecting, and for any silence after that.
    pub timeout: std::time::Duration,
}

/// Where a source is: the parsed form of `ssh://user@host[:port]/path` or `file:///path`.
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
}

impl Address {
    /// Parses a source's URL.
    pub fn parse(url: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Kind::Config,
                format!(
                    "{url:?} is not a source: {why}; write ssh://user@host[:port]/path or file:///path"
                ),
            )
        };
        if let Some(path) = url.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(bad("the path must be absolute"));
            }
            return Ok(Address::File(path.into()));
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
pub fn connect(address: &Address, settings: &SshSettings<'_>) -> Result<Box<dyn Source>> {
    Ok(match address {
        Address::File(folder) => Box::new(file::FileSource::open(folder)?),
        Address::Ssh { user, host, port, path } => {
            Box::new(ssh::connect(user, host, *port, path, settings)?)
        }
    })
}

/// Opens `codesync receive` at `address`, which must be `ssh://`, to push to it.
pub fn receiver(
    address: &Address,
    settings: &SshSettings<'_>,
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
pub fn bare(address: &Address, settings: &SshSettings<'_>) -> Result<()> {
    match address {
        Address::File(_) => Ok(()),
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
        ] {
            assert_eq!(Address::parse(url).unwrap(), address, "{url}");
        }
        for url in [
            "",
            "http://x/",
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
