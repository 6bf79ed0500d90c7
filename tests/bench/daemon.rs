//! The daemon: what it holds while it waits, how soon it is ready, what a job costs beside the
//! job itself, and a year planned. Beside agents of the same kind where they are installed.

use std::{
    fs,
    io::Write,
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{command, parts, run, run_within};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::{
    numbers::{Aim, Figure, Samples, Unit},
    site::Site,
};

/// Files of the library that it syncs over SSH.
const FILES: usize = 1_000;
/// Jobs of the large tier.
const JOBS: usize = 1_000;
/// Rows in the journal when it starts.
const ROWS: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(600);
/// Far away, so that an idle daemon is idle.
const QUIET: &str = "cron = \"0 0 29 2 *\"\n";

/// All figures; `rounds` of each, and so long idle.
pub fn all(seed: u64, rounds: usize, idle: Duration) -> Result<Vec<Figure>> {
    let mut site = Site::new(seed, FILES)?;
    let mut tiers = String::new();
    for tier in ["every15", "hourly", "daily", "weekly", "many"] {
        tiers.push_str(&format!("[tier.{tier}]\n{QUIET}"));
    }
    tiers.push_str("[tier.startup]\nat = \"boot\"\ndelay = \"0s\"\n");
    for n in 0..JOBS {
        tiers.push_str(&format!(
            "[[job]]\nname = \"job{n:04}\"\ntier = \"many\"\ncommand = [\"/bin/true\"]\n"
        ));
    }
    site.sandbox.put("conf/tiers.toml", &tiers)?;
    site.publish()?;
    let config = fs::read_to_string(site.sandbox.config())?;
    fs::write(site.sandbox.config(), config + "\n[daemon]\nresume_splay = \"0s\"\n")?;
    site.sandbox.synced()?;
    let mut figures = vec![year(rounds)?];
    figures.extend(jobs(&site, rounds)?);
    figures.extend(ready(&site, rounds)?);
    figures.extend(waiting(&site, idle)?);
    figures.extend(others()?);
    Ok(figures)
}

fn figure(case: &'static str, name: &'static str, unit: Unit, aim: Aim) -> Figure {
    Figure { files: FILES, case, name, unit, samples: Samples::default(), aim }
}

fn year(rounds: usize) -> Result<Figure> {
    let mut year = figure("daemon", "a year planned", Unit::Time, Aim::AtMost(1000.0));
    for _ in 0..rounds {
        let done = run(&mut command(&parts::example("year")?))?.success()?;
        let text = done.out();
        let (starts, millis) = text.trim().split_once(' ').context("an odd answer")?;
        ensure!(starts.parse::<u32>()? > 40_000, "{text}");
        year.samples.add(millis.parse()?);
    }
    Ok(year)
}

/// A tier of many jobs that do nothing, beside starting as many processes; and the disk's share.
fn jobs(site: &Site, rounds: usize) -> Result<Vec<Figure>> {
    let mut all = figure("jobs", "1,000 jobs, each", Unit::Time, Aim::None);
    let mut bare = figure("jobs", "fork and exec, each", Unit::Time, Aim::None);
    let mut disk = figure("jobs", "two fsyncs, each", Unit::Time, Aim::None);
    let mut over = figure("jobs", "over fork and exec", Unit::Time, Aim::AtMost(5.0));
    // As many rows as the daemon shall start with, but in a mere look.
    for _ in 0..if rounds > 3 { ROWS / JOBS } else { 2 } {
        let words = ["run", "many", "--no-sync", "--json"];
        let mut tier = site.sandbox.ldi_command(&site.sandbox.config(), &words)?;
        let report = run_within(&mut tier, LIMIT)?.success()?.json()?;
        let ldi = report["seconds"].as_f64().context("no seconds")? * 1000.0 / JOBS as f64;
        let begun = Instant::now();
        for _ in 0..JOBS {
            let mut child = Command::new("/bin/true");
            ensure!(child.env_clear().process_group(0).status()?.success());
        }
        let exec = begun.elapsed().as_secs_f64() * 1000.0 / JOBS as f64;
        all.samples.add(ldi);
        bare.samples.add(exec);
        over.samples.add(ldi - exec);
        disk.samples.add(fsyncs(&site.sandbox.path("fsync"))?);
    }
    Ok(vec![all, bare, over, disk])
}

/// What the disk asks for two pages that are appended and synced, one after the other.
fn fsyncs(path: &Path) -> Result<f64> {
    const PAIRS: u32 = 100;
    let mut file = fs::File::create(path)?;
    let begun = Instant::now();
    for _ in 0..2 * PAIRS {
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0 / f64::from(PAIRS))
}

/// A daemon; ended when dropped.
struct Daemon(Child);

impl Daemon {
    /// Starts it; how long it took until it said that it is ready.
    fn start(site: &Site) -> Result<(Self, Duration)> {
        let path = site.sandbox.path("notify");
        fs::remove_file(&path).ok();
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut daemon = site.sandbox.ldi_command(&site.sandbox.config(), &["daemon"])?;
        daemon.env("NOTIFY_SOCKET", &path).stdin(Stdio::null());
        // As ldi.service starts it.
        daemon.env("MALLOC_TRIM_THRESHOLD_", "131072");
        let begun = Instant::now();
        let child = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let daemon = Self(child);
        let mut buffer = [0; 4096];
        loop {
            let n = socket.recv(&mut buffer).context("it was never ready")?;
            if &buffer[..n] == b"READY=1" {
                return Ok((daemon, begun.elapsed()));
            }
        }
    }

    fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn ready(site: &Site, rounds: usize) -> Result<Vec<Figure>> {
    let mut ready = figure("daemon", "start to READY", Unit::Time, Aim::AtMost(50.0));
    for _ in 0..rounds {
        let (daemon, wall) = Daemon::start(site)?;
        ready.samples.time(wall);
        daemon.stop()?;
    }
    Ok(vec![ready])
}

/// After a sync over SSH and a tier: what it holds, and how often it wakes up.
fn waiting(site: &Site, idle: Duration) -> Result<Vec<Figure>> {
    if !Path::new("/proc/self/smaps_rollup").exists() {
        println!("  this system does not tell what a process holds: not measured");
        return Ok(Vec::new());
    }
    // With a journal of its own the startup tier is due once more in this boot.
    let root = site.sandbox.root();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        fs::remove_file(root.join(name))?;
    }
    let (daemon, _) = Daemon::start(site)?;
    let begun = Instant::now();
    loop {
        let status = site.sandbox.ldi(&["status", "--json"])?.success()?.json()?;
        let tiers = status["tiers"].as_array().context("no tiers")?;
        if tiers.iter().any(|tier| tier["tier"] == "startup" && tier["last_end"].is_string()) {
            ensure!(status["last_sync_outcome"] == "current", "{status}");
            break;
        }
        ensure!(begun.elapsed() < LIMIT, "the startup tier does not end: {status}");
        sleep(Duration::from_millis(100));
    }
    // Threads that only wait for more work end after ten seconds.
    sleep(Duration::from_secs(12));
    let process = Path::new("/proc").join(daemon.0.id().to_string());
    let before = wakes(&process)?;
    let begun = Instant::now();
    sleep(idle);
    let woken = wakes(&process)? - before;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let (rss, own) = memory(&process)?;
    let mut figures = vec![
        figure("idle", "resident memory", Unit::Bytes, Aim::AtMost(12e6)),
        figure("idle", "of it no file's", Unit::Bytes, Aim::None),
        figure("idle", "wake-ups a minute", Unit::Count, Aim::AtMost(60.0)),
    ];
    for (figure, value) in figures.iter_mut().zip([rss, own, woken / minutes]) {
        figure.samples.add(value);
    }
    daemon.stop()?;
    Ok(figures)
}

/// RSS, and what of it is neither program nor library, in bytes (proc(5), smaps_rollup).
fn memory(process: &Path) -> Result<(f64, f64)> {
    let text = fs::read_to_string(process.join("smaps_rollup"))?;
    let kib = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.context("an odd smaps_rollup")?.parse::<f64>()? * 1024.0)
    };
    Ok((kib("Rss:")?, kib("Pss_Anon:")?))
}

/// How often its threads stopped waiting so far: each went to sleep that often of its own will.
fn wakes(process: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(process.join("task"))? {
        // It may have ended meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.context("an odd status")?.trim().parse::<f64>()?;
    }
    Ok(sum)
}

/// Agents that wait as ours does, with no server in reach; only those that are installed.
fn others() -> Result<Vec<Figure>> {
    const AGENTS: &[(&str, &str, &[&str])] = &[
        ("puppet", "puppet agent, idle", &["agent", "--no-daemonize", "--server", "localhost"]),
        (
            "osqueryd",
            "osqueryd, idle",
            &["--ephemeral", "--disable_database", "--disable_extensions"],
        ),
        ("salt-minion", "salt-minion, idle", &["--log-level=quiet"]),
    ];
    let mut figures = Vec::new();
    for (program, name, words) in AGENTS {
        let Some(path) = parts::find(program) else { continue };
        let home = tempfile::tempdir()?;
        let mut agent = Command::new(path);
        agent.args(*words).env("HOME", home.path()).process_group(0).stdin(Stdio::null());
        let mut child = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        sleep(Duration::from_secs(20));
        let rss = family(child.id())?;
        killpg(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL).ok();
        child.wait()?;
        let mut other = figure("idle", name, Unit::Bytes, Aim::None);
        other.samples.add(rss);
        figures.push(other);
    }
    Ok(figures)
}

/// RSS of a process group.
fn family(group: u32) -> Result<f64> {
    let (mut rss, group) = (0.0, group.to_string());
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if fields.split(' ').nth(2) == Some(group.as_str())
            && let Ok((own, _)) = memory(&path)
        {
            rss += own;
        }
    }
    Ok(rss)
}
