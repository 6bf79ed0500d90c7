//! A machine whose tree is no known release: what it has is used, and only the rest travels.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::tree;
use serde_json::Value;

use crate::setting::{Setting, Way};

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        let to = to.join(item.file_name());
        match item.file_type()?.is_dir() {
            true => copy(&item.path(), &to)?,
            false => drop(fs::copy(item.path(), to)?),
        }
    }
    Ok(())
}

/// The three longest files of the published tree.
fn longest(setting: &Setting) -> Result<Vec<std::path::PathBuf>> {
    let mut files: Vec<_> = tree::read(&setting.sandbox.tree())?
        .into_keys()
        .filter_map(|path| {
            let length = fs::metadata(setting.sandbox.tree().join(&path)).ok()?.len();
            Some((length, path))
        })
        .collect();
    files.sort_unstable();
    Ok(files.into_iter().rev().take(3).map(|(_, path)| path).collect())
}

fn edit(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).context("no script")?;
    // Contents of the tree may be linked elsewhere.
    fs::remove_file(path)?;
    Ok(fs::write(path, text.replacen("\n", "\n# an older version of this line\n", 1))?)
}

fn received(report: &Value) -> u64 {
    report["bytes_received"].as_u64().unwrap_or(u64::MAX)
}

/// A library that plain rsync had brought, partly older and with strangers in it.
fn left_by_another_tool(way: Way) -> Result<()> {
    let Some(setting) = Setting::published(way, 300)? else { return Ok(()) };
    let (sandbox, lib) = (&setting.sandbox, setting.sandbox.lib());
    let whole = sandbox.library().join("rings/stable/targets");
    let full =
        fs::read_dir(whole)?.filter_map(|item| Some(item.ok()?.metadata().ok()?.len())).max();
    copy(&sandbox.tree(), &lib)?;
    let long = longest(&setting)?;
    edit(&lib.join(&long[0]))?;
    fs::remove_file(lib.join(&long[1]))?;
    std::os::unix::fs::symlink("/etc/passwd", lib.join(&long[1]))?;
    std::os::unix::fs::symlink("/", lib.join("root"))?;
    fs::write(lib.join("stranger"), "not of the library")?;
    let report = sandbox.synced()?;
    let transfer = if way == Way::Ssh { "delta" } else { "files" };
    ensure!(report["outcome"] == "updated" && report["transfer"] == transfer, "{report}");
    sandbox.in_step()?;
    ensure!(received(&report) < full.context("no targets")?, "{report}");
    ensure!(fs::symlink_metadata(&lib)?.is_symlink(), "the library is no link to a release");
    // What was there is set aside, not lost.
    let aside = sandbox.root().join("lib.before-1/stranger");
    ensure!(fs::read_to_string(aside)? == "not of the library");
    ensure!(sandbox.synced()?["outcome"] == "current");
    Ok(())
}

#[test]
fn left_by_another_tool_over_ssh() -> Result<()> {
    left_by_another_tool(Way::Ssh)
}

#[test]
fn left_by_another_tool_from_files() -> Result<()> {
    left_by_another_tool(Way::File)
}

/// Nobody can tell what the active tree was once its manifest is gone.
#[test]
fn a_tree_whose_manifest_is_gone() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::Ssh, 300)? else { return Ok(()) };
    for damage in ["", "x"] {
        let number = setting.active()?;
        fs::write(setting.sandbox.root().join(format!("meta/{number}/manifest.json")), damage)?;
        let long = longest(&setting)?;
        edit(&setting.sandbox.lib().join(&long[0]))?;
        setting.next_release(2)?;
        let report = setting.sandbox.synced()?;
        ensure!(report["outcome"] == "updated" && report["transfer"] == "delta", "{report}");
        setting.sandbox.in_step()?;
    }
    Ok(())
}

/// A tree of something else is no help, and no hindrance.
#[test]
fn a_tree_of_something_else() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 60)? else { return Ok(()) };
    let lib = setting.sandbox.lib();
    fs::create_dir_all(lib.join("scripts"))?;
    fs::write(lib.join("scripts/other"), "#!/bin/sh\n")?;
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "updated" && report["transfer"] == "full", "{report}");
    setting.sandbox.in_step()
}
