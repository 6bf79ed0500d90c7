//! The login shell's settings: `/etc/codesync/shell.conf`, lines of `name = value`.
//!
//! Refuses a file that anybody but root could have written: it says what the account may do.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Where the settings are.
pub const FILE: &str = "/etc/codesync/shell.conf";
/// The library when there is no such file.
pub const DEFAULT_LIBRARY: &str = "/srv/codesync";
const MAX_BYTES: u64 = 64 * 1024;

/// What a login shell may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `library`, may be repeated: the first serves keys without a forced command.
    pub libraries: Vec<PathBuf>,
    /// `codesync`: the program to run.
    pub codesync: Option<PathBuf>,
    /// `log`: where to record, beside syslog.
    pub log: Option<PathBuf>,
    /// `rsync = no` refuses old clients.
    pub rsync: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { libraries: vec![DEFAULT_LIBRARY.into()], codesync: None, log: None, rsync: true }
    }
}

impl Settings {
    /// Reads `file`; an absent one means the defaults. The error is one sentence.
    pub fn load(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let text = match read_trusted(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot use {shown}: {error}")),
        };
        Self::parse(&text).map_err(|line| {
            format!("line {line} of {shown} is not understood; see codesync-shell --help")
        })
    }

    /// Parses the text of a settings file; the error is the number of the bad line.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut settings = Self { libraries: Vec::new(), ..Self::default() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(number)?;
            let value = value.trim();
            let path = || Some(PathBuf::from(value)).filter(|path| path.is_absolute());
            match name.trim() {
                "library" => settings.libraries.push(path().ok_or(number)?),
                "codesync" => settings.codesync = Some(path().ok_or(number)?),
                "log" => settings.log = Some(path().ok_or(number)?),
                "rsync" => {
                    settings.rsync = match value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(number),
                    }
                }
                _ => return Err(number),
            }
        }
        if settings.libraries.is_empty() {
            settings.libraries.push(DEFAULT_LIBRARY.into());
        }
        Ok(settings)
    }
}

fn read_trusted(file: &Path) -> io::Result<String> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(file)?;
    let found = opened.metadata()?;
    if !found.is_file() || found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("it must be a file that only root can write"));
    }
    let mut text = String::new();
    opened.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let text = "# keeper\nlibrary = /srv/a\nlibrary=/srv/b\nlog = /var/log/x\nrsync = no\n";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.libraries, [Path::new("/srv/a"), Path::new("/srv/b")]);
        assert_eq!(settings.log.as_deref(), Some(Path::new("/var/log/x")));
        assert!(!settings.rsync);
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["library", "library = x", "publish = yes", "rsync = maybe", "= /x"] {
            assert_eq!(Settings::parse(text), Err(1), "{text}");
        }
        assert_eq!(Settings::parse("\nshell = /bin/sh"), Err(2));
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shell.conf");
        assert_eq!(Settings::load(&file).unwrap(), Settings::default());
        std::fs::write(&file, "library = /srv/a\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&file, mode).unwrap();
        assert!(Settings::load(&file).unwrap_err().contains("only root"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Settings::load(&link).unwrap_err();
    }
}
