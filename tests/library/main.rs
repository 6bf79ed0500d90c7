//! The library that ships: its bash and Python tests, and what holds for all of its files.
//!
//! Owns running `*_test.sh` and `test_*.py` of this folder with `codesync test`; a rule about one
//! module is tested there, a rule about every file here.

mod files;
mod runs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The shipped files of `folder`, sorted.
fn shipped(folder: &str) -> Result<Vec<PathBuf>> {
    let root = e2e::parts::repository().join(folder);
    let mut found = Vec::new();
    for item in root.read_dir().with_context(|| format!("cannot list {}", root.display()))? {
        let path = item?.path();
        if path.is_dir() && !path.ends_with("__pycache__") {
            let inner = format!("{folder}/{}", name(&path));
            found.extend(shipped(&inner)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn is_bash(path: &Path) -> Result<bool> {
    Ok(text(path)?.lines().next() == Some("#!/bin/bash"))
}

fn modules(ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = shipped("modules")?;
    found.retain(|path| path.extension().is_some_and(|e| e == ending));
    Ok(found)
}
