//! `ROOT/agent/<sha256>/ldi`: an agent's copy on disk. Nothing leaves here to be executed whose
//! bytes were not just hashed through the same descriptor.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use codesync::disk;
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use super::{
    file,
    state::{Agent, State},
};
use crate::{Failure, Result, error::code};

/// A longer file is no agent.
pub const AGENT_MAX: u64 = 512 << 20;

/// An agent that may be executed.
#[derive(Debug)]
pub struct Verified {
    file: File,
    path: PathBuf,
}

impl Verified {
    /// What to execute, as long as this lives.
    pub fn program(&self) -> PathBuf {
        if cfg!(target_os = "linux") {
            use std::os::fd::AsRawFd;
            return PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        }
        // Elsewhere a descriptor cannot be executed; only our account can write the folder.
        self.path.clone()
    }
}

fn slot(root: &Path, sha256: &str) -> PathBuf {
    file::folder(root).join(sha256)
}

/// Whether `word` is a SHA-256 as this writes it.
pub fn is_hash(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Opens an agent's copy: the signed bytes, or an error.
pub fn open(root: &Path, agent: &Agent) -> Result<Verified> {
    let damaged = |what: String| Failure::new(code::REFUSED, what);
    if !is_hash(&agent.sha256) {
        return Err(damaged(format!("{:?} is not a SHA-256", agent.sha256)));
    }
    let folder = slot(root, &agent.sha256);
    file::is_ours(&file::folder(root))?;
    file::is_ours(&folder)?;
    let path = folder.join("ldi");
    let mut file = open_plain(&path)?;
    let found = file.metadata().map_err(|e| Failure::io("examine", &path, &e))?;
    let ours = found.uid() == nix::unistd::Uid::effective().as_raw() && found.mode() & 0o022 == 0;
    if !found.is_file() || !ours {
        return Err(damaged(format!("{} can be changed by others", path.display())));
    }
    let hash = copy(&mut file, &mut std::io::sink(), agent.size)
        .map_err(|e| Failure::io("read", &path, &e))?;
    if hash.as_deref() != Some(agent.sha256.as_str()) {
        return Err(damaged(format!("{} is not what was signed", path.display())));
    }
    Ok(Verified { file, path })
}

fn open_plain(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(|e| Failure::io("open", path, &e))
}

/// Makes the copy of the agent with this hash and size from `from`; `None` if that is not it.
pub fn stage(root: &Path, from: &Path, sha256: &str, size: u64) -> Result<Option<()>> {
    file::make_folder(root)?;
    let folder = slot(root, sha256);
    // A copy that a crash left, or a damaged one, is of no use.
    remove(&folder)?;
    disk::make_folder(&folder, 0o755)?;
    let mut source = open_plain(from)?;
    let path = folder.join("ldi");
    let fail = |e: &std::io::Error| Failure::io("write", &path, e);
    let new = folder.join("ldi.new");
    let mut copied = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&new)
        .map_err(|e| fail(&e))?;
    let hash = match copy(&mut source, &mut copied, size) {
        Ok(hash) => hash,
        Err(error) => {
            drop(remove(&folder));
            return Err(fail(&error));
        }
    };
    if hash.as_deref() != Some(sha256) {
        remove(&folder)?;
        return Ok(None);
    }
    copied
        .set_permissions(fs::Permissions::from_mode(0o755))
        .and_then(|()| copied.sync_all())
        // A file that is open for writing cannot be executed.
        .and_then(|()| {
            drop(copied);
            fs::rename(&new, &path)
        })
        .map_err(|e| fail(&e))?;
    disk::sync_folder(&folder)?;
    disk::sync_folder(&file::folder(root))?;
    Ok(Some(()))
}

/// Copies exactly `size` bytes and hashes them; `None` if there are more or fewer.
fn copy(from: &mut File, to: &mut impl Write, size: u64) -> std::io::Result<Option<String>> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 128 << 10];
    let mut length = 0u64;
    loop {
        let read = from.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        length += read as u64;
        if length > size {
            return Ok(None);
        }
        hasher.update(bytes);
        to.write_all(bytes)?;
    }
    from.rewind()?;
    Ok((length == size).then(|| hex::encode(hasher.finalize())))
}

/// Removes every copy but those of the agents in `state`.
pub fn prune(root: &Path, state: &State) -> Result<()> {
    let kept: Vec<&str> = state.agents().map(|agent| agent.sha256.as_str()).collect();
    let folder = file::folder(root);
    let entries = fs::read_dir(&folder).map_err(|e| Failure::io("list", &folder, &e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let surplus = name.to_str().is_some_and(|name| is_hash(name) && !kept.contains(&name));
        if surplus {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    }
    .map_err(|e| Failure::io("remove", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::version::Version;

    fn agent(bytes: &[u8]) -> Agent {
        Agent {
            sha256: hex::encode(Sha256::digest(bytes)),
            size: bytes.len() as u64,
            version: Version::own(),
            below: None,
        }
    }

    #[test]
    fn only_the_signed_bytes_are_staged_and_opened() {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        fs::write(&from, b"the agent").unwrap();
        let good = agent(b"the agent");
        let stage = |agent: &Agent| stage(root.path(), &from, &agent.sha256, agent.size).unwrap();
        assert!(stage(&good).is_some());
        assert!(open(root.path(), &good).is_ok());
        assert!(stage(&agent(b"the other")).is_none(), "same length");
        assert!(stage(&agent(b"longer than it is")).is_none());
        assert!(stage(&Agent { size: 3, ..good.clone() }).is_none(), "longer than signed");

        assert!(stage(&good).is_some());
        let copy = slot(root.path(), &good.sha256).join("ldi");
        let spoil = |how: &dyn Fn()| {
            stage(&good).unwrap();
            how();
            open(root.path(), &good).unwrap_err().code()
        };
        assert_eq!(spoil(&|| fs::write(&copy, b"the Agent").unwrap()), code::REFUSED);
        assert_eq!(spoil(&|| fs::write(&copy, b"the agent!").unwrap()), code::REFUSED);
        let open_to_all = fs::Permissions::from_mode(0o777);
        assert_eq!(spoil(&|| fs::set_permissions(&copy, open_to_all.clone()).unwrap()), 76);
        let parent = copy.parent().unwrap();
        assert_eq!(spoil(&|| fs::set_permissions(parent, open_to_all.clone()).unwrap()), 77);
        let link = || {
            fs::remove_file(&copy).unwrap();
            std::os::unix::fs::symlink(&from, &copy).unwrap();
        };
        assert_eq!(spoil(&link), code::FAILED);
        assert!(open(root.path(), &Agent { sha256: "../x".to_owned(), ..good.clone() }).is_err());
    }

    #[test]
    fn copies_that_nobody_needs_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        fs::write(&from, b"x").unwrap();
        let one = agent(b"x");
        stage(root.path(), &from, &one.sha256, 1).unwrap();
        fs::create_dir(slot(root.path(), &"0".repeat(64))).unwrap();
        let state = State { confirmed: Some(one.clone()), ..State::default() };
        prune(root.path(), &state).unwrap();
        assert!(slot(root.path(), &one.sha256).exists());
        assert!(!slot(root.path(), &"0".repeat(64)).exists());
        prune(root.path(), &State::default()).unwrap();
        assert!(!slot(root.path(), &one.sha256).exists());
    }
}
