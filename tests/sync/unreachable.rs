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
