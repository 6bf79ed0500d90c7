//! Servers that are not there, or go away in the middle.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::cut::Cut;

use crate::setting::{Setting, Way, unreachable};

#[test]
fn nobody_listens() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::Ssh, 10)? else { return Ok(()) };
    setting.sshd.as_mut().context("no sshd")?.stop();
    unreachable(setting.sandbox.sync()?, &["127.0.0.1"])?;
    ensure!(setting.active()? == 1);
    Ok(())
}

#[test]
fn the_folder_is_not_there() -> Result<()> {
    let Some(setting) = Setting::synced(Way::File, 10)? else { return Ok(()) };
    fs::rename(setting.sandbox.library(), setting.sandbox.path("elsewhere"))?;
    let done = setting.sandbox.sync()?;
    unreachable(done, &["library"])?;
    ensure!(setting.active()? == 1);
    Ok(())
}

#[test]
fn the_server_goes_away_in_the_middle() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::Ssh, 200)? else { return Ok(()) };
    // Large enough to be cut at many places.
    let tree = setting.sandbox.tree();
    let noise: Vec<u8> = (0..400_000).map(|_| setting.rng.bits().to_le_bytes()[0]).collect();
    e2e::tree::put(&tree, "lib/noise", &noise, false)?;
    setting.sandbox.publish()?;
    let sshd = setting.sshd.as_ref().context("no sshd")?;
    let key = setting.sandbox.path("sshd/client");
    let pinned = fs::read_to_string(sshd.known_hosts())?;
    for limit in [0, 30, 500, 2000, 3000, 5000, 20_000, 100_000, 300_000] {
        let cut = Cut::start(sshd.port(), limit)?;
        let port = |text: &str| text.replace(&sshd.port().to_string(), &cut.port().to_string());
        let known_hosts = setting.sandbox.path("known_hosts_cut");
        fs::write(&known_hosts, port(&pinned))?;
        let url = port(&sshd.url(&setting.sandbox.library()));
        setting.sandbox.configure(&[&url], Some((&key, &known_hosts)))?;
        let done = setting.sandbox.sync()?;
        ensure!(done.wall.as_secs() < 45, "{done}");
        unreachable(done, &[]).with_context(|| format!("cut after {limit} bytes"))?;
        ensure!(setting.active()? == 1);
    }
    let url = sshd.url(&setting.sandbox.library());
    setting.sandbox.configure(&[&url], Some((&key, &sshd.known_hosts())))?;
    setting.sandbox.synced()?;
    setting.sandbox.in_step()
}

#[test]
fn a_key_that_the_server_does_not_know() -> Result<()> {
    let Some(setting) = Setting::synced(Way::Ssh, 10)? else { return Ok(()) };
    let sshd = setting.sshd.as_ref().context("no sshd")?;
    let stranger = setting.sandbox.path("stranger");
    e2e::sshd::make_key(&stranger)?;
    let url = sshd.url(&setting.sandbox.library());
    setting.sandbox.configure(&[&url], Some((&stranger, &sshd.known_hosts())))?;
    let done = setting.sandbox.sync()?;
    // The server is there but lets nobody in: not a matter of trust in the library.
    ensure!([69, 77].contains(&done.code()), "{done}");
    ensure!(setting.active()? == 1);
    Ok(())
}

#[test]
fn a_source_that_failed_waits_while_another_answers() -> Result<()> {
    let Some(setting) = Setting::published(Way::File, 10)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let gone = sandbox.path("gone");
    let urls = [format!("file://{}", gone.display()), sandbox.file_url()];
    sandbox.configure(&[&urls[0], &urls[1]], None)?;
    let reason = || -> Result<String> {
        let report = sandbox.synced()?;
        ensure!(report["source"] == urls[1].as_str(), "{report}");
        Ok(report["reason"].as_str().unwrap_or_default().to_owned())
    };
    let words = reason()?;
    ensure!(words.contains("no library") && !words.contains("passed over"), "{words}");
    // It is there again, but its time has not come.
    std::os::unix::fs::symlink(sandbox.library(), &gone)?;
    let words = reason()?;
    ensure!(words.contains("passed over for another 1 min"), "{words}");
    // Nobody else answers: it is tried all the same, and is the first again from then on.
    let elsewhere = sandbox.path("elsewhere");
    fs::rename(sandbox.library(), &elsewhere)?;
    fs::remove_file(&gone)?;
    std::os::unix::fs::symlink(&elsewhere, &gone)?;
    for _ in 0..2 {
        let report = sandbox.synced()?;
        ensure!(report["source"] == urls[0].as_str(), "{report}");
    }
    Ok(())
}
