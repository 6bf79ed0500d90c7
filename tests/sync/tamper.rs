//! One byte changed on the server, whatever the file: refused, and the last good release stays.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::setting::{Setting, Way, refused, unreachable};

/// The files of the library's ring whose path ends in `suffix`.
fn ring_files(setting: &Setting, suffix: &str) -> Result<Vec<PathBuf>> {
    let ring = setting.sandbox.library().join("rings/stable");
    let mut found = Vec::new();
    for folder in [ring.clone(), ring.join("targets")] {
        for item in fs::read_dir(folder)? {
            let path = item?.path();
            if path.to_str().is_some_and(|path| path.ends_with(suffix)) {
                found.push(path);
            }
        }
    }
    ensure!(!found.is_empty(), "the library has no {suffix}");
    Ok(found)
}

/// Changes one byte of `path` at `place` of 0 to 1 of its length.
fn flip(path: &Path, place: f64) -> Result<Vec<u8>> {
    let before = fs::read(path)?;
    let mut bytes = before.clone();
    let at = position(bytes.len(), place);
    *bytes.get_mut(at).context("an empty file")? ^= 1;
    replace(path, &bytes)?;
    Ok(before)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    // The file may be linked elsewhere or read-only; a new one is neither.
    fs::remove_file(path)?;
    fs::write(path, bytes)?;
    Ok(())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn position(length: usize, place: f64) -> usize {
    ((length as f64 * place) as usize).min(length.saturating_sub(1))
}

/// Damages what ends in `suffix` in several places, one after the other: each time an updated
/// client refuses and keeps release 1; undamaged it goes on to release 2.
fn updated_client(way: Way, suffix: &str) -> Result<()> {
    let Some(mut setting) = Setting::synced(way, 60)? else { return Ok(()) };
    setting.next_release(3)?;
    let good = fs::canonicalize(setting.sandbox.lib())?;
    let before = e2e::tree::read(&good)?;
    let mut refusals = 0;
    for place in [0.0, 0.3, 0.5, 0.8, 1.0] {
        for path in ring_files(&setting, suffix)? {
            let bytes = flip(&path, place)?;
            let done = setting.sandbox.sync()?;
            // A server that cannot even read its own metadata says so and sends nothing.
            if done.code() == 69 && way == Way::Ssh && suffix.ends_with(".json") {
                unreachable(done, &["damaged"])?;
            } else {
                refused(done, &[]).with_context(|| format!("{suffix} changed at {place}"))?;
                refusals += 1;
            }
            replace(&path, &bytes)?;
        }
        ensure!(setting.active()? == 1, "release 1 is not active any more");
        let after = e2e::tree::read(&good)?;
        ensure!(
            before == after,
            "release 1 was changed: {:?}",
            e2e::tree::differences(&before, &after)
        );
    }
    ensure!(refusals >= 2, "only {refusals} refusals");
    let report = setting.sandbox.synced()?;
    ensure!(report["release"] == 2, "{report}");
    setting.sandbox.in_step()
}

#[test]
fn timestamp() -> Result<()> {
    updated_client(Way::Ssh, "/timestamp.json")
}

#[test]
fn snapshot() -> Result<()> {
    updated_client(Way::Ssh, "2.snapshot.json")
}

#[test]
fn targets() -> Result<()> {
    updated_client(Way::Ssh, "2.targets.json")
}

#[test]
fn patch_over_ssh() -> Result<()> {
    updated_client(Way::Ssh, "1-2.patch.zst")
}

#[test]
fn patch_from_files() -> Result<()> {
    updated_client(Way::File, "1-2.patch.zst")
}

#[test]
fn metadata_from_files() -> Result<()> {
    updated_client(Way::File, "2.targets.json")
}

#[test]
fn full_bundle_of_a_new_client() -> Result<()> {
    for way in [Way::Ssh, Way::File] {
        let Some(setting) = Setting::published(way, 60)? else { return Ok(()) };
        for place in [0.0, 0.01, 0.5, 1.0] {
            for path in ring_files(&setting, ".full.zst")? {
                let bytes = flip(&path, place)?;
                refused(setting.sandbox.sync()?, &[])?;
                replace(&path, &bytes)?;
            }
            ensure!(!setting.sandbox.lib().exists(), "something became active");
        }
        setting.sandbox.synced()?;
        setting.sandbox.in_step()?;
    }
    Ok(())
}

#[test]
fn a_bundle_that_is_cut_short() -> Result<()> {
    for way in [Way::Ssh, Way::File] {
        let Some(setting) = Setting::published(way, 60)? else { return Ok(()) };
        for path in ring_files(&setting, ".full.zst")? {
            let bytes = fs::read(&path)?;
            for length in [bytes.len() - 1, bytes.len() / 2, 1, 0] {
                replace(&path, bytes.get(..length).unwrap_or_default())?;
                let done = setting.sandbox.sync()?;
                // What ends early may be a carrier that went away: unreachable, not refused.
                ensure!([69, 76].contains(&done.code()), "{done}");
                ensure!(!setting.sandbox.lib().exists(), "something became active");
            }
            // What follows the signed length is not read.
            replace(&path, &[bytes.as_slice(), b"more"].concat())?;
            let done = setting.sandbox.sync()?;
            ensure!([0, 76].contains(&done.code()), "{done}");
            replace(&path, &bytes)?;
        }
        setting.sandbox.synced()?;
        setting.sandbox.in_step()?;
    }
    Ok(())
}

#[test]
fn what_is_not_asked_for_may_be_damaged() -> Result<()> {
    // The plain tree is for old rsync clients; a signed client never looks at it.
    let Some(setting) = Setting::published(Way::Ssh, 30)? else { return Ok(()) };
    let export = setting.sandbox.library().join("export/stable");
    for script in &setting.scripts {
        replace(&export.join(&script.path), b"rm -rf /\n")?;
    }
    setting.sandbox.synced()?;
    setting.sandbox.in_step()
}
