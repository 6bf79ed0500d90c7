//! A machine that is held at a release, and let go again.

use anyhow::{Result, ensure};
use e2e::Done;

use crate::setting::{Setting, Way};

fn ldi(setting: &Setting, words: &[&str]) -> Result<Done> {
    let mut command = setting.sandbox.ldi_command(&setting.sandbox.config(), words)?;
    e2e::run(&mut command)
}

#[test]
fn rollback_holds_until_unpin() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::File, 40)? else { return Ok(()) };
    let done = ldi(&setting, &["rollback"])?.expect_code(2)?;
    ensure!(done.err().contains("no release before 1"), "{done}");
    for _ in 0..2 {
        setting.next_release(2)?;
        setting.sandbox.synced()?;
    }
    let done = ldi(&setting, &["rollback"])?.success()?;
    ensure!(done.out().contains("release 2 is active"), "{done}");
    ensure!(setting.active()? == 2);

    // A sync changes nothing, and says why.
    setting.next_release(1)?;
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "current" && report["release"] == 2, "{report}");
    ensure!(report["reason"].as_str().is_some_and(|why| why.contains("pinned")), "{report}");
    ensure!(report["files_total"] == 40 && report["bytes_received"] == 0, "{report}");
    ensure!(ldi(&setting, &["status"])?.success()?.out().contains("PINNED"));
    ensure!(ldi(&setting, &["status", "--json"])?.success()?.json()?["pinned"] == 2);

    // Any release that is here can be named; others cannot, and nothing changes then.
    ldi(&setting, &["pin", "3"])?.success()?;
    ensure!(setting.active()? == 3);
    ldi(&setting, &["rollback", "1"])?.success()?;
    ensure!(setting.active()? == 1);
    let done = ldi(&setting, &["rollback", "2"])?.expect_code(2)?;
    ensure!(done.err().contains("not before 1"), "{done}");
    let done = ldi(&setting, &["pin", "9"])?.expect_code(2)?;
    ensure!(done.err().contains("release 9 is not on this machine"), "{done}");
    ensure!(setting.active()? == 1);

    let done = ldi(&setting, &["unpin"])?.success()?;
    ensure!(done.out().contains("held at release 1"), "{done}");
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "updated" && report["release"] == 4, "{report}");
    setting.sandbox.in_step()?;
    ensure!(ldi(&setting, &["unpin"])?.success()?.out().contains("no release was pinned"));
    Ok(())
}

#[test]
fn a_pinned_release_is_repaired_and_stays() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::Ssh, 40)? else { return Ok(()) };
    setting.next_release(3)?;
    setting.sandbox.synced()?;
    let before = e2e::tree::read(&setting.sandbox.root().join("releases/1"))?;
    ldi(&setting, &["rollback"])?.success()?;
    setting.next_release(3)?;
    for (path, _) in before.iter().filter(|(path, _)| path.starts_with("scripts")).take(3) {
        let path = setting.sandbox.lib().join(path);
        if path.is_file() {
            std::fs::remove_file(path)?;
        }
    }
    ldi(&setting, &["verify"])?.expect_code(76)?;
    let report = setting.sandbox.synced()?;
    ensure!(report["release"] == 1 && report["outcome"] == "updated", "{report}");
    ensure!(report["reason"].as_str().is_some_and(|why| why.contains("repaired")), "{report}");
    let after = e2e::tree::read(&setting.sandbox.root().join("releases/1"))?;
    ensure!(before == after, "{:?}", e2e::tree::differences(&before, &after));
    ensure!(ldi(&setting, &["verify"])?.success()?.out().contains("is what was signed"));

    // Without its manifest nobody can tell what it was.
    std::fs::write(setting.sandbox.root().join("meta/1/manifest.json"), "x")?;
    std::fs::write(setting.sandbox.root().join("meta/1/damaged"), "x")?;
    let done = setting.sandbox.sync()?.expect_code(76)?;
    ensure!(done.out().contains("ldi unpin") || done.err().contains("ldi unpin"), "{done}");
    ldi(&setting, &["unpin"])?.success()?;
    ensure!(setting.sandbox.synced()?["release"] == 3);
    setting.sandbox.in_step()
}

#[test]
fn a_pin_that_cannot_hold_is_none() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::File, 10)? else { return Ok(()) };
    for pin in ["", "7\n", "1x", "-1", "99999999999999999999999999"] {
        std::fs::write(setting.sandbox.root().join("pinned"), pin)?;
        setting.next_release(1)?;
        let report = setting.sandbox.synced()?;
        ensure!(report["outcome"] == "updated", "{pin:?}: {report}");
    }
    Ok(())
}
