//! `ldi install` and `ldi uninstall`: which files make the service, and whether those on disk
//! are still ours.
//!
//! [`systemd`] and [`launchd`] give the text of each file as values, on every system; [`install`]
//! writes them and tells the service manager. A file that somebody changed is left alone unless
//! asked to: every file ends with a line that holds the hash of what stands above it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::config::{Config, DEFAULT_FILE};

pub mod install;
pub mod launchd;
pub mod manager;
pub mod pages;
pub mod systemd;
pub mod uninstall;

pub use manager::{Manager, State};

/// No file of a service is longer.
const MAX_FILE: u64 = 1 << 20;
const SEAL: &str = "ldi-install-sha256: ";

/// A file or link that belongs to the service, by its path on the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Absolute.
    pub path: PathBuf,
    /// What it is.
    pub content: Content,
}

/// What a [`Part`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text that ends with its [`seal`]; replaced while nobody has changed it.
    Sealed(String),
    /// Text that belongs to the administrator once it is there: never replaced.
    First(String),
    /// A symbolic link to this path.
    Link(PathBuf),
}

/// How a part stands on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not there.
    Missing,
    /// As it would be written.
    Same,
    /// Written by another version, and by nobody changed since.
    Older,
    /// The administrator's.
    Changed,
}

impl Part {
    /// How it stands below `root`.
    pub fn standing(&self, root: &Path) -> io::Result<Standing> {
        let path = below(root, &self.path);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Standing::Missing),
            Err(e) => return Err(e),
        };
        Ok(match &self.content {
            Content::First(_) => Standing::Same,
            Content::Link(target) if meta.is_symlink() && fs::read_link(&path)? == *target => {
                Standing::Same
            }
            Content::Sealed(text) if meta.is_file() && meta.len() <= MAX_FILE => {
                match fs::read(&path)? {
                    old if old == text.as_bytes() => Standing::Same,
                    old if is_sealed(&old) => Standing::Older,
                    _ => Standing::Changed,
                }
            }
            Content::Link(_) | Content::Sealed(_) => Standing::Changed,
        })
    }
}

/// The first `ldi.toml` of a machine: what must be filled in, and every other key as a remark, so
/// that later defaults still count.
pub fn first_config() -> Part {
    let mut text = "\
# ldi: what this machine syncs and runs. Two things must be filled in: `source` below, and the
# publisher's root.json at the path `trusted_root`. Then run: ldi check, ldi sync.
# The other keys show their defaults; remove the # before a key to change it.

"
    .to_owned();
    for line in Config::print_defaults().lines() {
        let as_it_is = line.is_empty() || line.starts_with(['[', '#']);
        let filled_in = line.starts_with("source =");
        text.push_str(if as_it_is || filled_in { "" } else { "# " });
        text.push_str(line);
        text.push('\n');
    }
    Part { path: DEFAULT_FILE.into(), content: Content::First(text) }
}

/// `path`, an absolute one, seen from outside of `root`.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// `body` with a last line that says its hash, as a remark between `open` and `close`.
fn seal(body: &str, open: &str, close: &str) -> String {
    format!("{body}{open}{SEAL}{}{close}\n", hex::encode(Sha256::digest(body)))
}

fn is_sealed(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let start = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (body, last) = text.split_at(start);
    last.contains(&format!("{SEAL}{}", hex::encode(Sha256::digest(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_is_known_until_it_is_changed() {
        for (open, close) in [("# ", ""), ("<!-- ", " -->")] {
            let text = seal("[Unit]\nA=b\n", open, close);
            assert!(is_sealed(text.as_bytes()));
            assert!(!is_sealed(text.replace("A=b", "A=c").as_bytes()));
            assert!(!is_sealed(format!("{text}B=c\n").as_bytes()));
        }
        assert!(!is_sealed(b""));
        assert!(!is_sealed(b"\xff"));
    }

    #[test]
    fn the_first_configuration_is_the_defaults() {
        let Content::First(text) = first_config().content else { panic!("not a first file") };
        let config = Config::parse("first", &text).unwrap();
        let known = Config { file: config.file.clone(), ..Config::default() };
        assert_eq!(format!("{config:?}"), format!("{known:?}"));
        let set: Vec<&str> =
            text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '['])).collect();
        assert_eq!(set.len(), 1, "{set:?}");
    }

    #[test]
    fn standings() {
        let dir = tempfile::tempdir().unwrap();
        let part = |text: &str| Part {
            path: "/etc/x".into(),
            content: Content::Sealed(seal(text, "# ", "")),
        };
        let (old, new) = (part("old\n"), part("new\n"));
        let standing = |part: &Part| part.standing(dir.path()).unwrap();
        assert_eq!(standing(&new), Standing::Missing);
        fs::create_dir(dir.path().join("etc")).unwrap();
        let Content::Sealed(text) = &old.content else { panic!() };
        fs::write(dir.path().join("etc/x"), text).unwrap();
        assert_eq!(standing(&old), Standing::Same);
        assert_eq!(standing(&new), Standing::Older);
        fs::write(dir.path().join("etc/x"), format!("{text}# mine\n")).unwrap();
        assert_eq!(standing(&new), Standing::Changed);
        fs::remove_file(dir.path().join("etc/x")).unwrap();
        // `systemctl mask`
        std::os::unix::fs::symlink("/dev/null", dir.path().join("etc/x")).unwrap();
        assert_eq!(standing(&new), Standing::Changed);
    }
}
