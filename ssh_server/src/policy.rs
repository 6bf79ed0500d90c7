//! What one key may have run: the pure decision about a client's command.
//!
//! Three commands exist: `codesync serve`, `codesync receive` (publishers) and the sending side of
//! a stock rsync. Refuses everything else, by not recognising it.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use crate::{
    rsync::{self, RsyncRequest},
    words::{self, BadWords},
};

/// What the key's own options, written by the keeper of the server, allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The library's folder: absolute and clean, see [`Policy::new`].
    library: PathBuf,
    /// Whether `codesync receive` is allowed.
    pub publish: bool,
    /// Whether old clients may pull with rsync.
    pub rsync: bool,
}

impl Policy {
    /// A read-only policy for `library`, which must be absolute, UTF-8 and without `.` or `..`.
    pub fn new(library: &Path) -> Option<Self> {
        let clean = library.is_absolute()
            && library.parent().is_some()
            && library.to_str().is_some()
            && library
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // Collecting drops doubled and trailing slashes, so that texts can be compared.
        clean.then(|| Self { library: library.components().collect(), publish: false, rsync: true })
    }

    /// The library's folder.
    pub fn library(&self) -> &Path {
        &self.library
    }
}

/// What to do about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Run `codesync serve` on the library.
    Serve,
    /// Run `codesync receive` on the library.
    Receive,
    /// Run rsync as a sender of part of an exported tree.
    Rsync(RsyncRequest),
    /// Run nothing.
    Refuse(Refusal),
}

/// Why nothing is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No command: somebody asked for a shell.
    Interactive,
    /// The command is not plain words.
    Words(BadWords),
    /// The first word is no program that is handed out.
    Program,
    /// A codesync command that this account does not run, or with words that it does not take.
    Codesync,
    /// `codesync receive` with a key that may not publish.
    Publish,
    /// Another library than the key's.
    Library,
    /// rsync is switched off for this key.
    RsyncOff,
    /// rsync that would write here.
    RsyncWrite,
    /// An rsync option that is not on the list.
    RsyncOption(String),
    /// Not the form `rsync --server --sender OPTIONS . PATH`.
    RsyncForm,
    /// A path that is not an exported tree or clean and below one.
    Path,
    /// The path does not exist or leads out of the exported trees.
    Outside,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interactive => out.write_str(
                "there is no shell here; this account only hands out the code library, \
                 to `codesync` and `ldi sync`",
            ),
            Self::Words(bad) => {
                write!(out, "this command is refused because {bad}; send plain words only")
            }
            Self::Program => out.write_str(
                "this command is not handed out here; \
                 only `codesync serve` and a read-only rsync of an exported tree are",
            ),
            Self::Codesync => out.write_str(
                "this codesync command is not run here; \
                 only `codesync serve` is, and `codesync receive` for publishers",
            ),
            Self::Publish => out.write_str(
                "this key may not publish; \
                 ask the keeper of this server to add it as a publisher's key",
            ),
            Self::Library => out.write_str(
                "this account serves another library than the one asked for; \
                 correct the path in the source's address",
            ),
            Self::RsyncOff => {
                out.write_str("rsync is switched off here; use `ldi sync` or `codesync mirror`")
            }
            Self::RsyncWrite => out.write_str(
                "rsync may only read here; publish with `codesync push` and a publisher's key",
            ),
            Self::RsyncOption(option) => write!(
                out,
                "the rsync option '{}' is not allowed here; use plain `rsync -av --delete`",
                option.escape_default()
            ),
            Self::RsyncForm => out.write_str(
                "this rsync command is not understood here; pull one folder with `rsync -av`",
            ),
            Self::Path => out.write_str(
                "this path is not handed out; \
                 ask for LIBRARY/export/RING/ or a plain path below it",
            ),
            Self::Outside => out.write_str(
                "this path does not exist in the exported trees; look at LIBRARY/export/RING/",
            ),
        }
    }
}

/// Decides about the command that a client sent. An empty command is a wish for a shell.
pub fn decide(original_command: &[u8], policy: &Policy) -> Decision {
    judge(original_command, policy).unwrap_or_else(Decision::Refuse)
}

fn judge(command: &[u8], policy: &Policy) -> Result<Decision, Refusal> {
    let words = words::split(command).map_err(|bad| match bad {
        BadWords::Empty => Refusal::Interactive,
        bad => Refusal::Words(bad),
    })?;
    // Only the bare names: which file is run is never the client's choice.
    match words.as_slice() {
        ["codesync", "serve", rest @ ..] => {
            same_library(rest, policy)?;
            Ok(Decision::Serve)
        }
        ["codesync", "receive", rest @ ..] => {
            if !policy.publish {
                return Err(Refusal::Publish);
            }
            same_library(rest, policy)?;
            Ok(Decision::Receive)
        }
        ["codesync", ..] => Err(Refusal::Codesync),
        ["rsync", ..] if !policy.rsync => Err(Refusal::RsyncOff),
        ["rsync", rest @ ..] => rsync::parse(rest, policy.library()).map(Decision::Rsync),
        _ => Err(Refusal::Program),
    }
}

/// A client may name the library, as a check of its own settings; it cannot choose it.
fn same_library(rest: &[&str], policy: &Policy) -> Result<(), Refusal> {
    let named = match rest {
        [] => return Ok(()),
        ["--library", named] => named,
        [one] => one.strip_prefix("--library=").ok_or(Refusal::Codesync)?,
        _ => return Err(Refusal::Codesync),
    };
    let named = named.strip_suffix('/').unwrap_or(named);
    // As text: comparing paths would let `/srv/./codesync` and its like through.
    if policy.library().to_str() == Some(named) { Ok(()) } else { Err(Refusal::Library) }
}

#[cfg(test)]
mod tests;
