//! kill -9 at any moment: the client has the old release or the new one, whole, and goes on.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{parts, tree};

use crate::setting::{Setting, Way};

/// Kills that must hit a running sync, over both ways together.
const KILLS_BY_FILE: usize = 40;
const KILLS_BY_SSH: usize = 20;

/// Kills syncs at random instants until `kills` of them were hit while they ran.
fn kill_syncs(way: Way, kills: usize) -> Result<()> {
    let Some(mut setting) = Setting::published(way, 250)? else { return Ok(()) };
    // A first sync unharmed, for its duration; then a client from nothing is killed too.
    let mut usual = setting.sandbox.sync()?.success()?.wall;
    fs::remove_dir_all(setting.sandbox.root())?;
    let mut old = None;
    let mut new = tree::read(&setting.sandbox.tree())?;
    let (mut hit, mut whole) = (0, 0);
    while hit < kills {
        // From before the start to after the end, so that every stage is hit.
        let micros = usize::try_from(usual.as_micros()).unwrap_or(1_000_000);
        let pause = Duration::from_micros(setting.rng.below(micros * 21 / 20) as u64);
        let mut command =
            setting.sandbox.ldi_command(&setting.sandbox.config(), &["sync", "--json"])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start ldi")?;
        let begin = Instant::now();
        while begin.elapsed() < pause {
            thread::sleep(Duration::from_micros(200));
        }
        let ended = child.try_wait()?.is_some();
        child.kill().ok();
        child.wait()?;
        hit += usize::from(!ended);

        // Old or new, and nothing between.
        let lib = setting.sandbox.lib();
        if fs::symlink_metadata(&lib).is_ok() {
            let active = tree::read(&fs::canonicalize(&lib)?)?;
            ensure!(
                active == new || Some(&active) == old.as_ref(),
                "after kill {hit} at {pause:?} the active release is neither old nor new: {:?}",
                tree::differences(&active, &new).iter().take(5).collect::<Vec<_>>()
            );
        } else {
            ensure!(old.is_none(), "after kill {hit} at {pause:?} no release is active");
        }
        // Sometimes killed again on top of what is left, sometimes completed.
        if setting.rng.chance(60) {
            let done = setting.sandbox.sync()?.success()?;
            usual = done.wall.max(Duration::from_millis(20));
            setting.sandbox.in_step()?;
            whole += 1;
            old = Some(new);
            setting.next_release(40)?;
            new = tree::read(&setting.sandbox.tree())?;
        }
    }
    ensure!(whole > 0, "no sync was completed between the kills");
    setting.sandbox.synced()?;
    setting.sandbox.in_step()?;
    no_leftovers(&setting)
}

/// The client's root holds the kept releases and nothing that a crash left.
fn no_leftovers(setting: &Setting) -> Result<()> {
    let releases = setting.sandbox.root().join("releases");
    let names: Vec<_> = fs::read_dir(&releases)?
        .map(|item| Ok(item?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    let strays: Vec<_> = names.iter().filter(|name| name.parse::<u64>().is_err()).collect();
    ensure!(strays.is_empty() && names.len() <= 3, "left over: {names:?}");
    Ok(())
}

#[test]
fn killed_syncs_from_files() -> Result<()> {
    kill_syncs(Way::File, KILLS_BY_FILE)
}

#[test]
fn killed_syncs_over_ssh() -> Result<()> {
    kill_syncs(Way::Ssh, KILLS_BY_SSH)
}

#[test]
fn a_killed_publish_shows_the_old_release_or_the_new_one() -> Result<()> {
    if !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(());
    }
    let Some(mut setting) = Setting::synced(Way::File, 150)? else { return Ok(()) };
    let mut usual = Duration::from_millis(300);
    for _ in 0..15 {
        let root = setting.sandbox.tree();
        e2e::script_text::mutate(&root, &mut setting.scripts, &mut setting.rng, 20)?;
        let words = root.to_str().context("not UTF-8")?;
        let mut command = setting.sandbox.codesync_command(&["publish", "--tree", words])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let micros = usize::try_from(usual.as_micros()).unwrap_or(300_000);
        thread::sleep(Duration::from_micros(setting.rng.below(micros) as u64));
        child.kill().ok();
        child.wait()?;
        setting.sandbox.synced()?;
        let begin = Instant::now();
        setting.sandbox.publish()?;
        usual = begin.elapsed();
        setting.sandbox.synced()?;
        setting.sandbox.in_step()?;
    }
    Ok(())
}
