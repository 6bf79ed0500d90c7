//! Many clients at once: do all succeed, and what do they cost the server beside as many rsyncs?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Access, bin, command, program, run_within};
use nix::unistd::{SysconfVar, sysconf};

use crate::{
    account::{self, ASKED, Cost},
    numbers::{Aim, Figure, Samples, Unit},
    site::Site,
};

const LIMIT: Duration = Duration::from_secs(600);
/// Two hundred handshakes on two cores take their time.
const PATIENCE: &str = "300";

/// What one crowd did.
struct Outcome {
    failures: usize,
    wall: Duration,
    cost: Cost,
    /// Processor time of sshd and everything below it, in milliseconds.
    all: f64,
}

struct Crowd<'a> {
    site: &'a Site,
    clients: usize,
    ldi: PathBuf,
    rsync: PathBuf,
}

/// Both contestants with nothing new, and then with one patch.
pub fn crowd(site: &mut Site, clients: usize) -> Result<Vec<Figure>> {
    let (mine, theirs) = (site.client("crowd"), site.client("crowd-rsync"));
    site.ldi(&mine)?;
    site.rsync(&theirs, &[])?;
    let mut figures = Vec::new();
    for (case, patch) in [("crowd, none", false), ("crowd, patch", true)] {
        if patch {
            site.change()?;
            site.publish()?;
        }
        let shell = bin("codesync-shell")?.display().to_string();
        let library = site.sandbox.library().display().to_string();
        let ldi = accounted(site, &format!("{case}-ldi"), &format!("{shell} --library {library}"))?;
        let rsync = accounted(site, &format!("{case}-rsync"), ASKED)?;
        let crowd = Crowd { site, clients, ldi, rsync };
        if !patch {
            for number in 0..clients {
                copy(&mine, &crowd.client("ldi", number), true)?;
                copy(&theirs, &crowd.client("rsync", number), false)?;
            }
        }
        let ours = crowd.run("ldi", &crowd.ldi)?;
        let others = crowd.run("rsync", &crowd.rsync)?;
        for number in [0, clients - 1] {
            site.check(&crowd.client("ldi", number).join("lib"))?;
            site.check(&crowd.client("rsync", number))?;
        }
        let each = others.cost.cpu / clients as f64;
        figures.extend(lines(
            case,
            ["ldi failures", "ldi wall", "serve CPU, each", "serve memory", "all CPU, each"],
            &ours,
            (site.files, clients),
            Some(each),
        ));
        figures.extend(lines(
            case,
            [
                "rsync failures",
                "rsync wall",
                "rsync CPU, each",
                "rsync memory",
                "rsync all CPU, each",
            ],
            &others,
            (site.files, clients),
            None,
        ));
    }
    Ok(figures)
}

fn lines(
    case: &'static str,
    names: [&'static str; 5],
    outcome: &Outcome,
    (files, clients): (usize, usize),
    rsync: Option<f64>,
) -> Vec<Figure> {
    let third = match rsync {
        Some(each) => Aim::Times(0.33, "rsync", Some(each)),
        None => Aim::None,
    };
    let clients = clients as f64;
    let values = [
        (Unit::Count, outcome.failures as f64, Aim::AtMost(0.0)),
        (Unit::Time, outcome.wall.as_secs_f64() * 1000.0, Aim::None),
        (Unit::Time, outcome.cost.cpu / clients, third),
        (Unit::Bytes, outcome.cost.memory, Aim::None),
        (Unit::Time, outcome.all / clients, Aim::None),
    ];
    names
        .into_iter()
        .zip(values)
        .map(|(name, (unit, value, aim))| {
            let mut samples = Samples::default();
            samples.add(value);
            Figure { files, case, name, unit, samples, aim }
        })
        .collect()
}

/// A key whose sessions run `words` and are accounted for, in the file beside the key.
fn accounted(site: &Site, name: &str, words: &str) -> Result<PathBuf> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = site.sandbox.path("sshd").join(format!("{name}.cost"));
    let own = std::env::current_exe()?;
    let forced = format!("{} --account {} {words}", own.display(), file.display());
    site.sshd.key(&name, &Access::Forced(forced))
}

/// A client's folder as `from`. Releases are linked: a sync replaces files, it does not write them.
fn copy(from: &Path, to: &Path, ldi: bool) -> Result<()> {
    let cp = program("cp")?;
    let run = |words: &[&str], from: &Path, to: &Path| {
        run_within(command(&cp).args(words).arg(from).arg(to), LIMIT)?.success().map(drop)
    };
    fs::create_dir_all(to.parent().context("a client without a folder")?)?;
    if !ldi {
        return run(&["-al"], from, to);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let words: &[&str] = if entry.file_name() == "releases" { &["-al"] } else { &["-a"] };
        run(words, &entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

impl Crowd<'_> {
    fn client(&self, kind: &str, number: usize) -> PathBuf {
        self.site.client(&format!("crowd-of-{kind}")).join(number.to_string())
    }

    fn command(&self, kind: &str, key: &Path, number: usize) -> Result<Command> {
        let (site, root) = (self.site, self.client(kind, number));
        if kind == "ldi" {
            let config = root.with_extension("toml");
            let url = site.sshd.url(&site.sandbox.library());
            let pinned = site.sshd.known_hosts();
            site.sandbox.configure_at(&config, &root, &[&url], Some((key, &pinned)))?;
            let text = fs::read_to_string(&config)?;
            fs::write(&config, text.replace("\"20s\"", &format!("\"{PATIENCE}s\"")))?;
            return site.sandbox.ldi_command(&config, &["sync", "--json"]);
        }
        // The first of two options counts.
        let ssh = site.sshd.client_options(key).join(" ");
        let ssh = format!("{} -o ConnectTimeout={PATIENCE} {ssh}", program("ssh")?.display());
        let export = site.sandbox.library().join("export/stable");
        let mut command = command(&program("rsync")?);
        command.args(["-a", "--delete", "-e", &ssh]);
        command.arg(format!("{}@127.0.0.1:{}/", site.sshd.user(), export.display()));
        command.arg(root);
        Ok(command)
    }

    /// Starts all clients of one kind and waits for the last.
    fn run(&self, kind: &str, key: &Path) -> Result<Outcome> {
        let mut commands = Vec::new();
        for number in 0..self.clients {
            let mut command = self.command(kind, key, number)?;
            let errors = fs::File::create(self.client(kind, number).with_extension("err"))?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
            commands.push(command);
        }
        let before = below(self.site.sshd.pid())?;
        let began = Instant::now();
        let mut children = Vec::new();
        for command in &mut commands {
            children.push(command.spawn()?);
        }
        let failures = wait(&mut children, began)?;
        let wall = began.elapsed();
        if let Some(first) = failures.first() {
            let said = fs::read_to_string(self.client(kind, *first).with_extension("err"))?;
            println!("  {} of {} failed; the first: {}", failures.len(), self.clients, said.trim());
        }
        let file = key.with_extension("cost");
        // Clients end before their sessions do.
        let settled = Instant::now();
        while account::read(&file).sessions < self.clients && settled.elapsed().as_secs() < 20 {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(1));
        let all = below(self.site.sshd.pid())? - before;
        Ok(Outcome { failures: failures.len(), wall, cost: account::read(&file), all })
    }
}

/// Waits for all; the numbers of those that failed. After the limit the rest is killed.
fn wait(children: &mut [Child], began: Instant) -> Result<Vec<usize>> {
    let mut failed = Vec::new();
    for (number, child) in children.iter_mut().enumerate() {
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > LIMIT {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        if !status.success() {
            failed.push(number);
        }
    }
    Ok(failed)
}

/// Processor time of the ended descendants of `process`, in milliseconds; 0 where the system does
/// not tell (proc(5), `stat`, fields 16 and 17).
fn below(process: u32) -> Result<f64> {
    let Ok(text) = fs::read_to_string(format!("/proc/{process}/stat")) else { return Ok(0.0) };
    let (_, rest) = text.rsplit_once(") ").context("an odd stat")?;
    let ticks: Vec<f64> =
        rest.split(' ').skip(13).take(2).filter_map(|word| word.parse().ok()).collect();
    ensure!(ticks.len() == 2, "an odd stat: {text}");
    let second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")?;
    Ok(ticks.iter().sum::<f64>() * 1000.0 / second as f64)
}
