//! Who may push what: keys, versions, forged metadata, two at once.

use std::{fs, process::Stdio, thread, time::Duration};

use anyhow::{Result, ensure};
use e2e::{parts, process, run, script_text, tree};

use crate::setting::Setting;

#[test]
fn a_client_syncs_what_was_pushed() -> Result<()> {
    let Some(mut setting) = Setting::published(120)? else { return Ok(()) };
    let first = setting.pushed()?;
    ensure!(first["rings"][0]["previous"] == 0 && first["rings"][0]["release"] == 1, "{first}");
    ensure!(first["trusted_root"].as_str().is_some_and(|root| root.len() == 64), "{first}");
    setting.in_step()?;
    tree::same(&setting.sandbox.tree(), &setting.server().join("export/stable"))?;
    for _ in 0..3 {
        setting.next_release(10)?;
        let next = setting.pushed()?;
        ensure!(next["trusted_root"].is_null(), "{next}");
        // Bundles and metadata; no file of the tree on its own.
        ensure!(next["bytes_sent"].as_u64().is_some_and(|bytes| bytes < 40_000), "{next}");
        setting.in_step()?;
    }
    let again = setting.pushed()?;
    ensure!(
        again["files"] == 0 && again["bytes_sent"].as_u64().is_some_and(|b| b < 6_000),
        "{again}"
    );
    setting.healthy()
}

#[test]
fn a_machine_key_and_a_stranger_cannot_push() -> Result<()> {
    let Some(setting) = Setting::published(5)? else { return Ok(()) };
    let url = setting.sshd.url(&setting.server());
    let library = setting.sandbox.library();
    let done = run(&mut setting.command(&library, &setting.machine, &url)?)?;
    ensure!(done.code() == 69 && done.err().contains("may not publish"), "{done}");
    let stranger = setting.sandbox.path("stranger");
    e2e::sshd::make_key(&stranger)?;
    run(&mut setting.command(&library, &stranger, &url)?)?.expect_code(69)?;
    ensure!(fs::read_dir(setting.server())?.next().is_none(), "something was written");
    Ok(())
}

#[test]
fn an_older_version_and_forged_metadata_are_refused() -> Result<()> {
    let Some(mut setting) = Setting::published(20)? else { return Ok(()) };
    let old = setting.sandbox.path("old");
    setting.copy(&setting.sandbox.library(), &old)?;
    setting.next_release(2)?;
    setting.pushed()?;
    setting.in_step()?;
    let before = tree::read(&setting.server())?;
    let url = setting.sshd.url(&setting.server());
    let done = run(&mut setting.command(&old, &setting.publisher, &url)?)?.expect_code(76)?;
    ensure!(done.err().contains("versions never go back"), "{done}");

    // Somebody with the SSH key but without the signing keys.
    setting.next_release(2)?;
    let forged = setting.sandbox.path("forged");
    setting.copy(&setting.sandbox.library(), &forged)?;
    for name in ["3.targets.json", "timestamp.json", "3.snapshot.json"] {
        let file = forged.join("rings/stable").join(name);
        let good = fs::read_to_string(&file)?;
        fs::write(&file, good.replacen("\"expires\":\"20", "\"expires\":\"21", 1))?;
        let done =
            run(&mut setting.command(&forged, &setting.publisher, &url)?)?.expect_code(76)?;
        ensure!(!done.err().is_empty(), "{done}");
        fs::write(&file, good)?;
    }
    let after = tree::read(&setting.server())?;
    let lines = tree::differences(&before, &after);
    ensure!(lines.is_empty(), "{lines:?}");
    setting.pushed()?;
    setting.in_step()
}

#[test]
fn a_second_publisher_catches_up_with_a_mirror_and_goes_on() -> Result<()> {
    let Some(mut setting) = Setting::published(20)? else { return Ok(()) };
    setting.pushed()?;
    let second = setting.sandbox.path("second");
    setting.copy(&setting.sandbox.library(), &second)?;
    // The first is two releases ahead of the server, and pushes both at once.
    for _ in 0..2 {
        setting.next_release(2)?;
    }
    let both = setting.pushed()?;
    ensure!(both["rings"][0]["previous"] == 1 && both["rings"][0]["release"] == 3, "{both}");
    setting.in_step()?;
    setting.publish_from(&second)?;
    let url = setting.sshd.url(&setting.server());
    let done = run(&mut setting.command(&second, &setting.publisher, &url)?)?.expect_code(76)?;
    ensure!(done.err().contains("codesync mirror"), "{done}");

    let copy = setting.sandbox.path("copy");
    let mut mirror = process::command(&parts::bin("codesync")?);
    mirror.arg("mirror").arg(&url).arg(&copy).arg("--identity").arg(&setting.machine);
    mirror.arg("--known-hosts").arg(setting.sshd.known_hosts());
    mirror.arg("--trusted-root").arg(setting.sandbox.keys().join("root.json"));
    run(&mut mirror)?.success()?;
    script_text::mutate(&setting.sandbox.tree(), &mut setting.scripts, &mut setting.rng, 2)?;
    setting.publish_from(&copy)?;
    let next = run(&mut setting.command(&copy, &setting.publisher, &url)?)?.success()?.json()?;
    ensure!(next["rings"][0]["previous"] == 3 && next["rings"][0]["release"] == 4, "{next}");
    setting.in_step()?;
    setting.healthy()
}

#[test]
fn of_two_pushes_at_once_one_is_told_to_wait() -> Result<()> {
    let Some(mut setting) = Setting::published(5)? else { return Ok(()) };
    setting.pushed()?;
    setting.next_release(2)?;
    // A second publisher's machine, with the same release to push.
    let second = setting.sandbox.path("second");
    setting.copy(&setting.sandbox.library(), &second)?;
    let lock = fs::File::options().write(true).open(setting.server().join("incoming/.lock"))?;
    lock.lock()?;
    let url = setting.sshd.url(&setting.server());
    let done = run(&mut setting.command(&second, &setting.publisher, &url)?)?.expect_code(75)?;
    ensure!(done.err().contains("another push is already running"), "{done}");
    drop(lock);
    // Really two: both end well or busy, and the result is whole.
    let mut one = setting.push_command()?;
    let mut two = setting.command(&second, &setting.publisher, &url)?;
    let quiet = || Stdio::null();
    let mut first = one.stdout(quiet()).stderr(quiet()).stdin(quiet()).spawn()?;
    thread::sleep(Duration::from_millis(20));
    let other = run(&mut two)?;
    let status = first.wait()?;
    ensure!(matches!(other.code(), 0 | 75) && matches!(status.code(), Some(0 | 75)), "{other}");
    ensure!(other.code() == 0 || status.success(), "neither push went through");
    setting.pushed()?;
    setting.in_step()
}
