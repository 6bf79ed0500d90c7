//! How codesync-shell itself was started: as a forced command, as a login shell, or for help.
//!
//! sshd starts every command as `SHELL -c COMMAND`. With a forced command, COMMAND is that line and
//! the client's words are in SSH_ORIGINAL_COMMAND; without one, COMMAND is the client's words.
//! A login shell therefore cannot trust COMMAND alone. Refuses, as a login shell, a line whose
//! library the root-owned settings do not name, and every option that names a program or a file.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{policy::Policy, settings::Settings, words};

/// What `--help` prints.
pub const HELP: &str = "\
codesync-shell - the limited account's forced command and login shell

Usage: codesync-shell --library DIR [--publish] [--no-rsync] [--codesync FILE] [--log FILE]

Runs what SSH_ORIGINAL_COMMAND asks for, if it is one of
    codesync serve                                   read the signed library
    codesync receive                                 publish; only with --publish
    rsync --server --sender OPTIONS . DIR/export/RING/   old clients, read-only
and refuses everything else with exit status 1.

  --library DIR    the library's folder
  --publish        this key may publish
  --no-rsync       refuse old rsync clients
  --codesync FILE  the codesync program; default: beside codesync-shell, then /usr/bin,
                   /usr/local/bin
  --log FILE       append a line per command and per sync here too, not to syslog alone
  --help, --version

As login shell it reads /etc/codesync/shell.conf (owned by root): library, codesync, log, rsync.

Example line of authorized_keys:
  restrict,command=\"codesync-shell --library /srv/codesync\" ssh-ed25519 AAAA... machine
";

/// A call that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Judge the client's words.
    Judge(Box<Judge>),
}

/// What to judge and by which policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// What the key may do.
    pub policy: Policy,
    /// The client's words; empty for a wish for a shell.
    pub original: Vec<u8>,
    /// The codesync program that the keeper chose.
    pub codesync: Option<PathBuf>,
    /// Where to record, beside syslog.
    pub log: Option<PathBuf>,
}

/// Why a call was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCall {
    /// Wrong usage, in one sentence.
    Usage(String),
    /// Wrong settings, in one sentence.
    Settings(String),
}

/// Whether these arguments are those of a login shell, so that [`Settings`] are needed.
pub fn is_login(args: &[OsString]) -> bool {
    args.first().is_some_and(|name| name.as_bytes().starts_with(b"-"))
        || args.get(1).is_some_and(|first| first == "-c")
}

/// Understands a forced command's arguments; `original` is SSH_ORIGINAL_COMMAND.
pub fn forced(args: &[OsString], original: Option<&OsStr>) -> Result<Call, BadCall> {
    let words: Vec<&OsStr> = args.iter().skip(1).map(OsString::as_os_str).collect();
    match words.as_slice() {
        [one] if *one == "--help" => return Ok(Call::Help),
        [one] if *one == "--version" => return Ok(Call::Version),
        _ => {}
    }
    let options = Options::parse(&words)?;
    let library = options
        .library
        .ok_or_else(|| BadCall::Usage("--library DIR is missing; see --help".to_owned()))?;
    let mut policy = policy_for(&library)?;
    policy.publish = options.publish;
    policy.rsync = !options.no_rsync;
    Ok(Call::Judge(Box::new(Judge {
        policy,
        original: original.map(|text| text.as_bytes().to_vec()).unwrap_or_default(),
        codesync: options.codesync,
        log: options.log,
    })))
}

/// Understands a login shell's arguments.
pub fn login(
    args: &[OsString],
    original: Option<&OsStr>,
    settings: &Settings,
) -> Result<Call, BadCall> {
    let line = match args.get(1..).unwrap_or_default() {
        [] => &[],
        [flag, line] if flag == "-c" => line.as_bytes(),
        _ => return Err(BadCall::Usage("a login shell is called as -c COMMAND".to_owned())),
    };
    let first = settings
        .libraries
        .first()
        .ok_or_else(|| BadCall::Settings("the settings name no library".to_owned()))?;
    let mut policy = policy_for(first)?;
    let mut words = line;
    if let Some(own) = own_line(line) {
        // Without SSH_ORIGINAL_COMMAND this is a forced command and a wish for a shell, or a
        // client that sends our own name: nothing to run in both cases.
        words = original.map(OsStr::as_bytes).unwrap_or_default();
        let own: Vec<&OsStr> = own.iter().map(OsStr::new).collect();
        let options = Options::parse(&own)?;
        if options.codesync.is_some() || options.log.is_some() {
            let text = "a login shell takes --codesync and --log from its settings only";
            return Err(BadCall::Settings(text.to_owned()));
        }
        if let Some(library) = options.library {
            policy = policy_for(&library)?;
            let named = |known: &PathBuf| {
                Policy::new(known).is_some_and(|known| known.library() == policy.library())
            };
            if !settings.libraries.iter().any(named) {
                let text = format!("the settings do not name the library {}", library.display());
                return Err(BadCall::Settings(text));
            }
        }
        policy.publish = options.publish;
        policy.rsync = !options.no_rsync;
    } else if original.is_some() {
        // Forced to something that is not ours: whoever wrote that wanted no library either.
        words = b"-";
    }
    policy.rsync &= settings.rsync;
    Ok(Call::Judge(Box::new(Judge {
        policy,
        original: words.to_vec(),
        codesync: settings.codesync.clone(),
        log: settings.log.clone(),
    })))
}

/// The options of a line that calls codesync-shell itself, whatever folder it names.
fn own_line(line: &[u8]) -> Option<Vec<&str>> {
    let words = words::split(line).ok()?;
    let (program, options) = words.split_first()?;
    let name = program.rsplit('/').next()?;
    (name == "codesync-shell").then(|| options.to_vec())
}

fn policy_for(library: &Path) -> Result<Policy, BadCall> {
    Policy::new(library).ok_or_else(|| {
        let shown = library.display();
        BadCall::Settings(format!("the library {shown} is not a clean absolute path"))
    })
}

#[derive(Default)]
struct Options {
    library: Option<PathBuf>,
    publish: bool,
    no_rsync: bool,
    codesync: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl Options {
    fn parse(words: &[&OsStr]) -> Result<Self, BadCall> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let slot = match word.as_bytes() {
                b"--publish" => {
                    options.publish = true;
                    continue;
                }
                b"--no-rsync" => {
                    options.no_rsync = true;
                    continue;
                }
                b"--library" => &mut options.library,
                b"--codesync" => &mut options.codesync,
                b"--log" => &mut options.log,
                _ => {
                    let text = format!("the option {word:?} is not known; see --help");
                    return Err(BadCall::Usage(text));
                }
            };
            let value = words
                .next()
                .map(PathBuf::from)
                .filter(|value| value.is_absolute() && slot.is_none())
                .ok_or_else(|| {
                    BadCall::Usage(format!("{word:?} takes one absolute path, once; see --help"))
                })?;
            *slot = Some(value);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests;
