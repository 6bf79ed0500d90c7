//! `doctor` and `gc`: each fault is named, and nothing that is needed goes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, parts, rng::Rng, script_text, tree};

/// A library with `releases` releases of `files` scripts.
fn library(files: usize, releases: usize) -> Result<Option<Sandbox>> {
    if !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(None);
    }
    let sandbox = Sandbox::with_library()?;
    mode(&sandbox.keys(), 0o700)?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    let mut scripts = script_text::library(5, files);
    script_text::write(&sandbox.tree(), &scripts)?;
    sandbox.publish()?;
    let mut rng = Rng::new(4);
    for _ in 1..releases {
        script_text::mutate(&sandbox.tree(), &mut scripts, &mut rng, 3)?;
        sandbox.publish()?;
    }
    Ok(Some(sandbox))
}

fn doctor(sandbox: &Sandbox) -> Result<Done> {
    sandbox.codesync(&["doctor"])
}

/// Doctor must complain in these words, and be content again once `undo` has run.
fn fault(sandbox: &Sandbox, words: &str, undo: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = doctor(sandbox)?.expect_code(1)?;
    ensure!(done.out().contains(words), "doctor does not say {words:?}: {done}");
    undo()?;
    doctor(sandbox)?.success()?;
    Ok(())
}

fn first(folder: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> = tree::read(folder)?.into_keys().collect();
    files.sort();
    Ok(folder.join(files.first().context("an empty folder")?))
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[test]
fn doctor_names_each_fault() -> Result<()> {
    let Some(sandbox) = library(20, 3)? else { return Ok(()) };
    let done = doctor(&sandbox)?.success()?;
    ensure!(done.out().contains("timestamp"), "{done}");
    let ring = sandbox.library().join("rings/stable");

    let object = first(&sandbox.library().join("objects"))?;
    let good = fs::read(&object)?;
    fs::write(&object, "no")?;
    fault(&sandbox, "damaged", || Ok(fs::write(&object, &good)?))?;
    let aside = sandbox.path("aside");
    fs::rename(&object, &aside)?;
    fault(&sandbox, "missing", || Ok(fs::rename(&aside, &object)?))?;
    let target = first(&ring.join("targets"))?;
    let good = fs::read(&target)?;
    fs::write(&target, "no")?;
    fault(&sandbox, "damaged", || Ok(fs::write(&target, &good)?))?;

    mode(&target, 0o666)?;
    fault(&sandbox, "written by everybody", || mode(&target, 0o644))?;
    let key = sandbox.keys().join("targets.pem");
    mode(&key, 0o640)?;
    fault(&sandbox, "others may read it", || mode(&key, 0o600))?;

    let extra = sandbox.library().join("export/stable/extra");
    fs::write(&extra, "x")?;
    fault(&sandbox, "is not in the newest release", || Ok(fs::remove_file(&extra)?))?;
    fs::copy(ring.join("1.root.json"), ring.join("3.root.json"))?;
    fault(&sandbox, "root 2 before it is missing", || {
        Ok(fs::remove_file(ring.join("3.root.json"))?)
    })?;
    let timestamp = ring.join("timestamp.json");
    let good = fs::read_to_string(&timestamp)?;
    fs::write(&timestamp, good.replacen("\"expires\":\"20", "\"expires\":\"21", 1))?;
    fault(&sandbox, "clients refuse it", || Ok(fs::write(&timestamp, &good)?))?;

    sandbox.codesync(&["refresh", "--expires-in", "2"])?.success()?;
    let done = doctor(&sandbox)?.expect_code(1)?;
    ensure!(done.out().contains("timestamp expires"), "{done}");
    sandbox.codesync(&["refresh", "--expires-in", "0"])?.success()?;
    let report = sandbox.codesync(&["doctor", "--json"])?.expect_code(1)?.json()?;
    ensure!(report["findings"][0]["level"] == "wrong", "{report}");
    ensure!(report["wrong"] == true, "{report}");
    Ok(())
}

#[test]
fn gc_keeps_what_the_last_releases_need() -> Result<()> {
    let Some(sandbox) = library(30, 14)? else { return Ok(()) };
    let before = tree::read(&sandbox.library())?.len();
    let would =
        sandbox.codesync(&["gc", "--keep", "3", "--dry-run", "--json"])?.success()?.json()?;
    ensure!(before == tree::read(&sandbox.library())?.len(), "a dry run removed something");
    let done = sandbox.codesync(&["gc", "--keep", "3", "--json"])?.success()?.json()?;
    ensure!(
        would["bytes"] == done["bytes"] && done["targets"].as_u64() > Some(20),
        "{would} {done}"
    );
    ensure!(done["objects"].as_u64() > Some(10), "{done}");
    doctor(&sandbox)?.success()?;
    sandbox.synced()?;
    sandbox.in_step()?;
    // Publishing goes on, with patches from what is left.
    sandbox.put("new", "file\n")?;
    sandbox.publish()?;
    sandbox.synced()?;
    sandbox.in_step()?;
    doctor(&sandbox)?.success()?;
    let again = sandbox.codesync(&["gc", "--json"])?.success()?.json()?;
    ensure!(again["targets"] == 0 && again["objects"] == 0, "{again}");
    let lock = fs::File::options().write(true).open(sandbox.library().join(".lock"))?;
    lock.lock()?;
    sandbox.codesync(&["gc"])?.expect_code(75)?;
    Ok(())
}
