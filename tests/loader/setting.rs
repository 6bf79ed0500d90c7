//! A library in a private folder, and what a start of one of its files prints.

use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result};
use loader::{File, Launch, Namespace};
use sha2::{Digest, Sha256};

/// A tree that can be published.
pub struct Library {
    folder: tempfile::TempDir,
    files: Vec<String>,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Library {
    pub fn new() -> Result<Self> {
        Self::within(tempfile::Builder::new().prefix("library").tempdir()?)
    }

    /// In memory where there is such a folder: hundreds of them wait for no disk.
    pub fn light() -> Result<Self> {
        match tempfile::Builder::new().prefix("library").tempdir_in("/dev/shm") {
            Ok(folder) => Self::within(folder),
            Err(_) => Self::new(),
        }
    }

    fn within(folder: tempfile::TempDir) -> Result<Self> {
        fs::create_dir_all(folder.path().join("lib/modules"))?;
        Ok(Self { folder, files: Vec::new() })
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn tree(&self) -> PathBuf {
        self.root().join("lib")
    }

    /// Writes a file; with a first line it is given the run bit.
    pub fn file(&mut self, path: &str, text: impl AsRef<[u8]>) -> Result<&mut Self> {
        let full = self.tree().join(path);
        fs::create_dir_all(full.parent().context("no folder")?)?;
        fs::write(&full, &text)?;
        if text.as_ref().starts_with(b"#!") {
            fs::set_permissions(&full, fs::Permissions::from_mode(0o755))?;
        }
        if !self.files.iter().any(|f| f == path) {
            self.files.push(path.to_owned());
        }
        Ok(self)
    }

    /// Signs what is there now, as an activation does.
    pub fn release(&self) -> Result<Namespace> {
        let mut files = Vec::new();
        for path in &self.files {
            let text = fs::read(self.tree().join(path))?;
            files.push(File {
                path: path.clone(),
                sha256: Sha256::digest(&text).into(),
                size: text.len() as u64,
                executable: text.starts_with(b"#!"),
            });
        }
        let index = self.root().join("index");
        loader::build_index(&self.tree(), || files, None, &index)?;
        Ok(Namespace::release(&self.tree(), &index)?)
    }

    pub fn working(&self) -> Result<Namespace> {
        Ok(Namespace::working(&self.tree())?)
    }
}

pub fn words(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

pub fn run(launch: Launch) -> Result<End> {
    end(&mut launch.command())
}

pub fn end(command: &mut Command) -> Result<End> {
    Ok(command.stdin(Stdio::null()).output().context("cannot start")?.into())
}

impl From<Output> for End {
    fn from(done: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&done.stdout).into_owned(),
            err: String::from_utf8_lossy(&done.stderr).into_owned(),
            code: done.status.code(),
            signal: done.status.signal(),
        }
    }
}

/// The output of a script that is expected to end with 0 and without complaint.
pub fn out(namespace: &Namespace, path: &str, args: &[&str]) -> Result<String> {
    let end = run(namespace.script(path, &words(args))?)?;
    anyhow::ensure!(end.code == Some(0) && end.err.is_empty(), "{path}: {end:?}");
    Ok(end.out)
}
