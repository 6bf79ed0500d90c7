//! What must work, over both kinds of source.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use e2e::{run_within, tree};

use crate::setting::{Setting, Way};

/// One changed file may cost this many bytes in all, metadata included.
const ONE_CHANGE: u64 = 4096;
/// Nothing new may cost this many bytes in each direction.
const NOTHING_NEW: u64 = 1024;

fn releases(way: Way) -> Result<()> {
    let Some(mut setting) = Setting::published(way, 300)? else { return Ok(()) };
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "updated" && report["transfer"] == "full", "{report}");
    ensure!(report["release"] == 1 && report["previous"].is_null(), "{report}");
    ensure!(report["files_total"] == 300 && report["files_changed"] == 300, "{report}");
    setting.sandbox.in_step()?;

    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "current" && report["transfer"] == "none", "{report}");
    // From files the client reads what a server would not have sent.
    let limit = if way == Way::Ssh { NOTHING_NEW } else { ONE_CHANGE };
    for direction in ["bytes_received", "bytes_sent"] {
        let bytes = report[direction].as_u64();
        ensure!(bytes.is_some_and(|bytes| bytes <= limit), "{direction}: {report}");
    }

    let published = setting.next_release(1)?;
    let patch = published["bytes"].as_u64();
    ensure!(patch.is_some_and(|bytes| bytes < 600), "one change is no small patch: {published}");
    let report = setting.sandbox.synced()?;
    ensure!(report["transfer"] == "patch" && report["files_changed"] == 1, "{report}");
    ensure!(report["release"] == 2 && report["previous"] == 1, "{report}");
    ensure!(report["bytes_received"].as_u64().is_some_and(|b| b <= ONE_CHANGE), "{report}");
    setting.sandbox.in_step()?;

    // A client that missed some releases.
    for count in [3, 1, 20] {
        setting.next_release(count)?;
    }
    let report = setting.sandbox.synced()?;
    ensure!(report["release"] == 5 && report["transfer"] == "patch", "{report}");
    setting.sandbox.in_step()
}

#[test]
fn releases_over_ssh() -> Result<()> {
    releases(Way::Ssh)
}

#[test]
fn releases_from_files() -> Result<()> {
    releases(Way::File)
}

fn shapes(way: Way) -> Result<()> {
    let Some(setting) = Setting::empty(way)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let root = sandbox.tree();
    let step = |what: &str| -> Result<()> {
        sandbox.publish()?;
        let report = sandbox.synced()?;
        ensure!(report["outcome"] == "updated", "{what}: {report}");
        sandbox.in_step().map_err(|error| error.context(what.to_owned()))
    };
    tree::put(&root, "scripts/daily/one.sh", b"#!/bin/bash\necho one\n", true)?;
    tree::put(&root, "modules/two.sh", b"two() { echo two; }\n", false)?;
    tree::put(&root, "lib/empty", b"", false)?;
    step("first")?;
    tree::put(&root, "scripts/daily/one.sh", b"#!/bin/bash\necho one\n", false)?;
    step("a mode only")?;
    fs::rename(root.join("modules/two.sh"), root.join("modules/zwei.sh"))?;
    step("a rename")?;
    fs::remove_file(root.join("lib/empty"))?;
    step("a file removed, and its folder with it")?;
    ensure!(!sandbox.lib().join("lib").exists(), "an empty folder stayed");
    fs::remove_dir(root.join("lib"))?;
    tree::put(&root, "lib", b"now a file", false)?;
    step("a file where a folder was")?;
    fs::remove_file(root.join("lib"))?;
    tree::put(&root, "lib/deep/er/empty", b"", true)?;
    step("a folder where a file was")?;
    for name in
        ["Größe.sh", "日本語/テスト.py", "with space", "semi;colon $(x) `y`", "a'b\"c", "*?[x]"]
    {
        tree::put(&root, &format!("lib/{name}"), name.as_bytes(), false)?;
    }
    step("odd but clean names")?;
    tree::put(&root, "lib/binary", &(0..=255).cycle().take(70_000).collect::<Vec<u8>>(), false)?;
    step("a binary")?;
    tree::put(&root, "lib/copy", &(0..=255).cycle().take(70_000).collect::<Vec<u8>>(), true)?;
    step("the same content again")?;
    tree::put(&root, "lib/binary", b"", false)?;
    step("a file becomes empty")
}

#[test]
fn shapes_of_trees_over_ssh() -> Result<()> {
    shapes(Way::Ssh)
}

#[test]
fn shapes_of_trees_from_files() -> Result<()> {
    shapes(Way::File)
}

#[test]
fn a_file_too_large_for_a_bundle_arrives_on_its_own() -> Result<()> {
    let Some(setting) = Setting::empty(Way::Ssh)? else { return Ok(()) };
    let large: Vec<u8> = (0..(65_u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    tree::put(&setting.sandbox.tree(), "lib/large", &large, false)?;
    tree::put(&setting.sandbox.tree(), "lib/small", b"small", false)?;
    setting.sandbox.publish()?;
    setting.sandbox.synced()?;
    setting.sandbox.in_step()
}

#[test]
fn three_releases_are_kept() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::File, 20)? else { return Ok(()) };
    for number in 2..=6 {
        setting.next_release(1)?;
        setting.sandbox.synced()?;
        ensure!(setting.active()? == number);
    }
    let kept = |setting: &Setting| -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = fs::read_dir(setting.sandbox.root().join("releases"))?
            .filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    };
    ensure!(kept(&setting)? == [4, 5, 6], "kept: {:?}", kept(&setting)?);
    // What a job runs from stays; the first sync after it, though it finds nothing new, removes it.
    let job = fs::File::create(setting.sandbox.root().join("meta/4/lock"))?;
    job.lock_shared()?;
    setting.next_release(1)?;
    setting.sandbox.synced()?;
    ensure!(kept(&setting)? == [4, 5, 6, 7], "kept: {:?}", kept(&setting)?);
    drop(job);
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "current", "{report}");
    ensure!(kept(&setting)? == [5, 6, 7], "kept: {:?}", kept(&setting)?);
    setting.sandbox.in_step()
}

#[test]
fn what_was_changed_by_hand_is_mended() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::File, 30)? else { return Ok(()) };
    setting.next_release(2)?;
    // The patch needs old content as its basis, or links it into the new release.
    for (number, script) in setting.scripts.iter().enumerate() {
        let path = setting.sandbox.lib().join(&script.path);
        if number % 2 == 0 {
            // In place: kept releases that link to the same content change with it.
            fs::write(&path, "changed by hand\n")?;
        } else {
            let beside = path.with_extension("new");
            fs::write(&beside, "changed by hand\n")?;
            fs::rename(&beside, &path)?;
        }
    }
    fs::write(setting.sandbox.lib().join("stray"), "not published\n")?;
    let report = setting.sandbox.synced()?;
    ensure!(report["release"] == 2, "{report}");
    setting.sandbox.in_step()
}

#[test]
fn the_second_source_serves_when_the_first_does_not() -> Result<()> {
    let Some(setting) = Setting::published(Way::File, 10)? else { return Ok(()) };
    let gone = format!("file://{}", setting.sandbox.path("gone").display());
    let there = setting.sandbox.file_url();
    setting.sandbox.configure(&[&gone, &there], None)?;
    let report = setting.sandbox.synced()?;
    ensure!(report["source"] == there.as_str(), "{report}");
    setting.sandbox.in_step()
}

#[test]
fn two_syncs_at_once_are_one_after_the_other_or_busy() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 300)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let limit = Duration::from_secs(60);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut command =
                        sandbox.ldi_command(&sandbox.config(), &["sync", "--json"])?;
                    run_within(&mut command, limit)
                })
            })
            .collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut done = 0;
    for result in results {
        let ended = result.map_err(|_| anyhow::anyhow!("a sync thread panicked"))??;
        match ended.code() {
            0 => done += 1,
            75 => ensure!(!ended.err().trim().is_empty(), "busy without a sentence: {ended}"),
            _ => anyhow::bail!("{ended}"),
        }
    }
    ensure!(done >= 1, "nobody synced");
    sandbox.in_step()
}
