//! Every file of the repository, read once: what git would commit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// Folders that are made, not written.
const MADE: &[&str] =
    &[".git", "target", "demo", "__pycache__", "node_modules", "corpus", "artifacts"];
/// Longer files are data, not text.
const MAX_BYTES: u64 = 4 << 20;

/// One text file.
pub struct Text {
    /// Path from the repository's root, `/` between parts.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// All text files, by path.
pub fn all() -> Result<Vec<Text>> {
    let root = e2e::parts::repository();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder)? {
            let item = item?;
            let (path, kind) = (item.path(), item.file_type()?);
            if kind.is_dir() {
                if !MADE.iter().any(|name| item.file_name() == *name) {
                    folders.push(path);
                }
            } else if item.file_name() != ".git"
                && kind.is_file()
                && item.metadata()?.len() <= MAX_BYTES
            {
                // What is not UTF-8 is a fixture or a picture.
                if let Some(text) = fs::read(&path).ok().and_then(|b| String::from_utf8(b).ok()) {
                    files.push(Text { path: relative(&root, &path)?, text });
                }
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    ensure!(files.len() > 20, "found only {} files of the repository", files.len());
    Ok(files)
}

/// The Rust files of the workspace.
pub fn rust() -> Result<Vec<Text>> {
    Ok(all()?.into_iter().filter(|file| file.path.ends_with(".rs")).collect())
}

fn relative(root: &Path, path: &Path) -> Result<String> {
    let path: PathBuf = path.strip_prefix(root)?.to_owned();
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Fails with all `found` lines, under the sentence `rule`.
pub fn none(rule: &str, found: &[String]) -> Result<()> {
    ensure!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
    Ok(())
}
