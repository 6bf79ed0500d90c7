//! kill -9 of either end at any moment of a push: the server has the old release or the new one.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::setting::Setting;

/// Kills that must hit a running push, half of them on each end.
const KILLS: usize = 32;

#[test]
fn killed_pushes_show_the_old_release_or_the_new_one() -> Result<()> {
    let Some(mut setting) = Setting::published(100)? else { return Ok(()) };
    setting.pushed()?;
    setting.in_step()?;
    setting.next_release(10)?;
    let usual = setting.push()?.success()?.wall;
    let (mut hit, mut tries, mut seen_old, mut seen_new) = (0, 0, 0, 0);
    while hit < KILLS {
        tries += 1;
        ensure!(tries < KILLS * 10, "only {hit} of {tries} kills hit a running push");
        let new = setting.next_release(10)?["release"].as_u64().context("no release")?;
        let mut command = setting.push_command()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let micros = usize::try_from(usual.as_micros()).unwrap_or(300_000);
        // Half of them late: that is where a commit is under way.
        let from = if setting.rng.chance(50) { micros * 7 / 10 } else { 0 };
        let pause = from + setting.rng.below(micros - from);
        thread::sleep(Duration::from_micros(pause as u64));
        let running = child.try_wait()?.is_none();
        if tries % 2 == 0 {
            child.kill().ok();
        } else {
            // The server's processes: codesync receive among them.
            setting.sshd.drop_sessions();
        }
        child.wait()?;
        hit += usize::from(running);

        // A client sees a whole release; which one, says the server's timestamp.
        let report = setting.sandbox.synced()?;
        let release = report["release"].as_u64().context("no release")?;
        ensure!(release + 1 == new || release == new, "release {release} while {new} was pushed");
        if release == new {
            seen_new += 1;
            setting.sandbox.in_step()?;
        } else {
            seen_old += 1;
        }
        let begin = Instant::now();
        let mut done = setting.push()?;
        while done.code() == 75 && begin.elapsed() < Duration::from_secs(20) {
            done = setting.push()?;
        }
        done.success()?;
        setting.in_step()?;
    }
    eprintln!("{hit} kills: old release {seen_old} times, new {seen_new} times");
    let left = fs::read_dir(setting.server().join("incoming"))?.count();
    ensure!(left == 1, "{left} files are left of killed pushes");
    setting.healthy()
}
