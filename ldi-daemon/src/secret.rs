//! Secrets of this machine: found, handed to a job through a descriptor, kept out of its output.
//!
//! A secret is never an argument, the value of a variable or a file that `ldi` wrote, and its bytes
//! are zeroed when the run has ended. [`find`] knows where secrets come from, and nothing else does.

mod blank;

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use zeroize::Zeroizing;

pub use blank::Blank;

/// What every pipe holds at once, with room to spare.
const MOST_BYTES: u64 = 32 << 10;
/// Less would be found by chance in any output, and blanked there.
const LEAST_BYTES: usize = 4;
/// The first descriptor that a job finds a secret at; the loader's own begin at 109.
const FIRST_FD: i32 = 64;

/// A secret, by name.
pub struct Secret {
    name: String,
    value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// The secret called `name`: the service manager's (systemd: `LoadCredential=`), else the file of
/// that name in `folder`, which nobody but its owner may read.
pub fn find(name: &str, folder: &Path) -> Result<Secret, String> {
    let file = folder.join(name);
    // The service manager guards its own folder.
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|d| Path::new(&d).join(name));
    let value = match credential.as_deref().map(|path| read(path, false)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(Fault::Missing)) | None => read(&file, true),
        Some(Err(fault)) => Err(fault),
    };
    match value {
        Ok(value) => Ok(Secret { name: name.to_owned(), value }),
        Err(Fault::Missing) => Err(format!(
            "secret {name} is not on this machine; write it to {} (mode 0600) or let the service \
             manager load it",
            file.display()
        )),
        Err(Fault::Wrong(why)) => Err(format!("secret {name} cannot be used: {why}")),
    }
}

enum Fault {
    Missing,
    Wrong(String),
}

fn read(path: &Path, private: bool) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let shown = path.display();
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Wrong(format!("{shown}: {e}")),
    };
    let wrong = |why: &str| Err(Fault::Wrong(format!("{shown} {why}")));
    // A pipe in its place would wait for a writer for ever.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file =
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return wrong(&format!("is no file of at most {MOST_BYTES} bytes"));
    }
    let this = nix::unistd::Uid::effective().as_raw();
    if private && (meta.mode() & 0o077 != 0 || meta.uid() != this) {
        return wrong("must belong to the account of ldi with mode 0600: chmod 600 it");
    }
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let room = usize::try_from(MOST_BYTES + 64).unwrap_or(usize::MAX);
    let mut value = Zeroizing::new(Vec::with_capacity(room));
    file.take(MOST_BYTES).read_to_end(&mut value).map_err(failed)?;
    if value.trim_ascii().len() < LEAST_BYTES {
        return wrong(&format!("is shorter than {LEAST_BYTES} bytes"));
    }
    Ok(value)
}

impl Secret {
    /// The variable that tells a job at which descriptor the secret can be read.
    pub fn variable(&self) -> String {
        format!("LDI_SECRET_{}_FD", self.name.to_ascii_uppercase())
    }

    /// The descriptor that a job has this secret at, as the `at`th of its secrets.
    pub fn number(at: usize) -> i32 {
        i32::try_from(at).map_or(i32::MAX, |at| FIRST_FD.saturating_add(at))
    }

    /// A pipe that the secret can be read from, once; it belongs to `owner` (user, group).
    pub fn pipe(&self, owner: Option<(u32, u32)>) -> Result<OwnedFd, String> {
        let failed = |e: io::Error| format!("secret {} cannot be handed over: {e}", self.name);
        let (reader, mut writer) = io::pipe().map_err(failed)?;
        // Were there less room in it than everywhere, we would wait for ourselves.
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed(e.into()))?;
        writer.write_all(&self.value).map_err(failed)?;
        if let Some((uid, gid)) = owner {
            // For those who open it by its name in /dev/fd.
            std::os::unix::fs::fchown(&reader, Some(uid), Some(gid)).map_err(failed)?;
        }
        Ok(reader.into())
    }

    /// What must not be seen in an output: the secret without line ends around it, and each of
    /// its longer lines.
    pub fn patterns(&self) -> impl Iterator<Item = &[u8]> {
        const LINE: usize = 8;
        let whole = self.value.trim_ascii();
        let lines = whole.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
        std::iter::once(whole).chain(lines.filter(|line| line.len() >= LINE))
    }
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
