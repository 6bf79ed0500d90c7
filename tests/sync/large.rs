//! Files too large for a bundle: they stream, and a cut costs only what was still missing.

use std::{
    fs,
    io::Write,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{Sandbox, cut::Cut, rng::Rng};

use crate::setting::{Setting, Way, unreachable};

const MIB: u64 = 1 << 20;

/// Writes a file of `mib` MiB that nothing can compress.
fn noise(path: &Path, mib: u64, seed: u64) -> Result<()> {
    fs::create_dir_all(path.parent().context("no folder")?)?;
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    let mut rng = Rng::new(seed);
    for _ in 0..mib * MIB / 8 {
        out.write_all(&rng.bits().to_le_bytes())?;
    }
    Ok(out.flush()?)
}

#[test]
fn a_cut_in_a_large_file_costs_only_the_rest() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 10)? else { return Ok(()) };
    let (sandbox, sshd) = (&setting.sandbox, setting.sshd.as_ref().context("no sshd")?);
    noise(&sandbox.tree().join("lib/large"), 70, 1)?;
    sandbox.publish()?;
    let key = sandbox.path("sshd/client");
    let cut = Cut::start(sshd.port(), 40 * MIB)?;
    let port = |text: &str| text.replace(&sshd.port().to_string(), &cut.port().to_string());
    let known_hosts = sandbox.path("known_hosts_cut");
    fs::write(&known_hosts, port(&fs::read_to_string(sshd.known_hosts())?))?;
    let url = sshd.url(&sandbox.library());
    sandbox.configure(&[&port(&url)], Some((&key, &known_hosts)))?;
    unreachable(sandbox.sync()?, &[])?;
    sandbox.configure(&[&url], Some((&key, &sshd.known_hosts())))?;
    let report = sandbox.synced()?;
    let received = report["bytes_received"].as_u64().unwrap_or(u64::MAX);
    ensure!((30 * MIB..32 * MIB).contains(&received), "{report}");
    sandbox.in_step()
}

/// The most memory that a process ever had, in bytes.
fn peak(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The same of every process whose command line has `word`.
fn peaks_of(word: &str) -> Result<u64> {
    let mut most = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(word) {
            most = most.max(peak(&process.path().join("status")).unwrap_or(0));
        }
    }
    Ok(most)
}

/// Syncs, and tells the most memory that the client and anybody at the server had.
fn synced_measured(sandbox: &Sandbox) -> Result<(u64, u64)> {
    let library = sandbox.library().display().to_string();
    let mut command = sandbox.ldi_command(&sandbox.config(), &["sync"])?;
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let (began, mut client, mut server) = (Instant::now(), 0, 0);
    loop {
        client = client.max(peak(Path::new(&status)).unwrap_or(0));
        server = server.max(peaks_of(&library)?);
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "{ended}");
            ensure!(client > MIB && server > MIB, "nobody was measured: {client} {server}");
            println!("most memory: client {client} B, server {server} B");
            return Ok((client, server));
        }
        if began.elapsed() > Duration::from_secs(100) {
            child.kill()?;
            bail!("ldi does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_large_file_takes_little_memory_on_both_ends() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 10)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let large = sandbox.tree().join("agent/large");
    fs::create_dir_all(large.parent().context("no folder")?)?;
    fs::File::create(&large)?.set_len(200 * MIB)?;
    sandbox.publish()?;
    let (client, server) = synced_measured(sandbox)?;
    ensure!(client < 60 * MIB && server < 60 * MIB, "client {client} B, server {server} B");
    sandbox.in_step()
}

#[test]
#[cfg(target_os = "linux")]
fn a_large_file_costs_what_changed_in_it() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 10)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let path = sandbox.tree().join("agent/large");
    noise(&path, 100, 1)?;
    sandbox.publish()?;
    sandbox.synced()?;

    // One per cent, here and there, and everything moved by some bytes.
    let mut bytes = fs::read(&path)?;
    let mut rng = Rng::new(2);
    for at in (0..bytes.len() - 10_486).step_by(1 << 20) {
        for byte in &mut bytes[at..at + 10_486] {
            *byte = rng.bits().to_le_bytes()[0];
        }
    }
    bytes.splice(0..0, *b"some bytes");
    fs::write(&path, &bytes)?;
    sandbox.publish()?;
    // The patch alone would do: nobody may ask for the whole.
    let objects = sandbox.library().join("objects");
    let aside = sandbox.path("objects");
    fs::rename(&objects, &aside)?;
    let (client, _) = synced_measured(sandbox)?;
    ensure!(client < 90 * MIB, "client {client} B");
    sandbox.in_step()?;
    let targets = sandbox.library().join("rings/stable/targets");
    let patch = fs::read_dir(&targets)?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().ends_with(".large.zst"))
        .context("no large patch")?;
    let length = patch.metadata()?.len();
    ensure!(length < 2 * MIB, "{length} B for one per cent of 100 MiB");

    // A source that lacks the patch, as a server older than it: the whole comes.
    fs::rename(&aside, &objects)?;
    fs::remove_file(patch.path())?;
    fs::remove_dir_all(sandbox.root().join("releases/3"))?;
    fs::remove_file(sandbox.lib())?;
    std::os::unix::fs::symlink("releases/2", sandbox.lib())?;
    let report = sandbox.synced()?;
    ensure!(report["bytes_received"].as_u64().is_some_and(|b| b > 100 * MIB), "{report}");
    sandbox.in_step()
}
