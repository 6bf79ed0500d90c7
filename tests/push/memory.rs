//! A push of much takes little of the server's memory.
#![cfg(target_os = "linux")]

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use e2e::rng::Rng;

use crate::setting::Setting;

const MIB: usize = 1 << 20;

/// Writes `count` files of `mib` MiB, which compress well, so that the publisher's side is quick;
/// `changed` differs from one release to the next.
fn repeating(setting: &Setting, count: usize, mib: usize, changed: u64) -> Result<()> {
    for file in 0..count {
        let mut rng = Rng::new(file as u64);
        let block: Vec<u8> = (0..1024).flat_map(|_| rng.bits().to_le_bytes()).collect();
        let mut bytes = block.repeat(mib * MIB / block.len());
        bytes.splice(0..8, changed.to_le_bytes());
        let path = setting.sandbox.tree().join(format!("agent/{file}"));
        fs::create_dir_all(setting.sandbox.tree().join("agent"))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// The most memory that any process had whose command line begins a `receive`, in bytes.
fn peak() -> Result<u64> {
    let mut most = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if !String::from_utf8_lossy(&words).contains("codesync\0receive\0") {
            continue;
        }
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0) << 10);
    }
    Ok(most)
}

/// Pushes, and tells the most memory that the server's end had.
fn pushed(setting: &Setting) -> Result<u64> {
    let mut child = setting.push_command()?.stdout(Stdio::null()).spawn()?;
    let (began, mut most) = (Instant::now(), 0);
    loop {
        most = most.max(peak()?);
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success() && most > 0, "{ended} {most}");
            return Ok(most);
        }
        if began.elapsed() > Duration::from_secs(200) {
            child.kill()?;
            bail!("the push does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_push_whose_patch_needs_much_memory_does_not_get_it() -> Result<()> {
    let Some(setting) = Setting::published(5)? else { return Ok(()) };
    // A patch of 90 MiB on 90 MiB.
    repeating(&setting, 3, 30, 1)?;
    setting.sandbox.publish()?;
    setting.pushed()?;
    repeating(&setting, 3, 30, 2)?;
    setting.sandbox.publish()?;
    let most = pushed(&setting)?;
    println!("most memory of receive: {most} B");
    ensure!(most < 100 * MIB as u64, "{most} B");
    setting.in_step()
}
