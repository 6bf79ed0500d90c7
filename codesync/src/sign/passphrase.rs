//! Where the passphrase of encrypted keys comes from: a file, or the terminal without echo.
//!
//! Asked for when the first encrypted key is met, kept for this process, zeroed at its end.

use std::{
    fmt, fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{Error, Kind, Result, disk};

const MAX: usize = 1024;

type Words = Zeroizing<Vec<u8>>;

/// The passphrase of a publisher's keys.
#[derive(Clone, Default)]
pub struct Passphrase {
    file: Option<PathBuf>,
    known: Arc<OnceLock<Words>>,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passphrase({:?})", self.file)
    }
}

impl Passphrase {
    /// From the first line of `file`; from the terminal without one.
    pub fn new(file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), known: Arc::default() }
    }

    /// The passphrase. `new`: for keys that are being made, so a terminal asks twice.
    pub fn get(&self, new: bool) -> Result<&[u8]> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let words = match &self.file {
            Some(file) => from_file(file)?,
            None => from_terminal(new)?,
        };
        if words.is_empty() {
            return Err(Error::new(
                Kind::Config,
                "the passphrase is empty; give one of some length",
            ));
        }
        Ok(self.known.get_or_init(|| words))
    }
}

fn from_file(file: &Path) -> Result<Words> {
    let mode = fs::metadata(file).map_err(|e| Error::io("read", file, &e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Kind::Config,
            format!(
                "the passphrase file {0} may be read by others; run: chmod 600 {0}",
                file.display()
            ),
        ));
    }
    let bytes = Zeroizing::new(disk::read_bounded(file, MAX as u64)?.unwrap_or_default());
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
}

fn from_terminal(new: bool) -> Result<Words> {
    let missing = |_| {
        let what = "a key is encrypted and there is no terminal to ask for its passphrase; name a file with --passphrase-file";
        Error::new(Kind::Config, what)
    };
    let terminal = fs::File::options().read(true).write(true).open("/dev/tty").map_err(missing)?;
    let first = ask(&terminal, "Passphrase of the keys: ")?;
    if new && *ask(&terminal, "Once more: ")? != *first {
        return Err(Error::new(Kind::Usage, "the two passphrases differ; nothing was made"));
    }
    Ok(first)
}

/// Echo is off as long as this lives.
struct Silent<'a> {
    terminal: &'a fs::File,
    before: Termios,
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

fn ask(terminal: &fs::File, words: &str) -> Result<Words> {
    let fail = |error: std::io::Error| {
        Error::new(Kind::Io, format!("cannot ask on the terminal for a passphrase: {error}"))
    };
    let before = tcgetattr(terminal).map_err(|error| fail(error.into()))?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO);
    quiet.local_flags.insert(LocalFlags::ECHONL);
    tcsetattr(terminal, SetArg::TCSAFLUSH, &quiet).map_err(|error| fail(error.into()))?;
    let _silent = Silent { terminal, before };
    let mut out = terminal;
    out.write_all(words.as_bytes()).map_err(fail)?;
    // No buffer that would keep a copy; no growth that would leave one behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let mut byte = Zeroizing::new([0_u8; 1]);
    let mut input = terminal;
    while input.read(byte.as_mut_slice()).map_err(fail)? == 1 && byte[0] != b'\n' {
        if line.len() == MAX {
            return Err(Error::new(Kind::Usage, "the passphrase is longer than 1,024 bytes"));
        }
        line.push(byte[0]);
    }
    Ok(line)
}
