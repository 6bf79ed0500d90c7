//! Modes and owners of a library's files and of keys.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{Level, Report};
use crate::{
    Error, Result,
    gc::{entries, file_name},
};

/// Nobody but the library's owner may write it, and everything in it is the owner's.
pub(super) fn library(folder: &Path, report: &mut Report) -> Result<()> {
    let owner = fs::metadata(folder).map_err(|e| Error::io("read", folder, &e))?.uid();
    let mut strangers = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        check(&here, owner, &mut strangers, report);
        let listed = match entries(&here) {
            Ok(listed) => listed,
            // Its mode says why; who may not read here is no owner.
            Err(error) => {
                let remedy = "run doctor as the library's owner";
                report.add(Level::Warning, here.display().to_string(), error.to_string(), remedy);
                continue;
            }
        };
        for path in listed {
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                folders.push(path);
            } else {
                check(&path, owner, &mut strangers, report);
            }
        }
    }
    if strangers > 0 {
        let what = format!("{strangers} files belong to another user than the folder");
        let remedy = "give them to its owner: chown -R --reference=LIBRARY LIBRARY";
        report.add(Level::Warning, folder.display().to_string(), what, remedy);
    }
    Ok(())
}

fn check(path: &Path, owner: u32, strangers: &mut u64, report: &mut Report) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_symlink() {
        let remedy = "look at it, and remove it";
        report.add(Level::Warning, path.display().to_string(), "a symbolic link", remedy);
        return;
    }
    if metadata.mode() & 0o002 != 0 {
        let what = format!("can be written by everybody (mode {:04o})", metadata.mode() & 0o7777);
        report.add(Level::Wrong, path.display().to_string(), what, "run: chmod go-w on it");
    }
    *strangers += u64::from(metadata.uid() != owner);
}

/// Private keys are their owner's alone.
pub(super) fn keys(folder: &Path, report: &mut Report) -> Result<()> {
    let found = fs::metadata(folder).map_err(|e| Error::io("read", folder, &e))?;
    let place = |path: &Path| path.display().to_string();
    if found.mode() & 0o077 != 0 {
        let what = format!("others may look in (mode {:04o})", found.mode() & 0o7777);
        report.add(Level::Wrong, place(folder), what, "run: chmod 700 on it");
    }
    for path in entries(folder)? {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !file_name(&path).ends_with(".pem") {
            continue;
        }
        if metadata.mode() & 0o077 != 0 {
            let what = format!("others may read it (mode {:04o})", metadata.mode() & 0o7777);
            report.add(
                Level::Wrong,
                place(&path),
                what,
                "run: chmod 600 on it; rotate it if others may have read it",
            );
        }
        if metadata.uid() != found.uid() {
            report.add(
                Level::Warning,
                place(&path),
                "belongs to another user than the folder",
                "chown it",
            );
        }
    }
    Ok(())
}
