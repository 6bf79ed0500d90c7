//! kill -9 of each program at instants that cover its whole run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    Access, bin,
    cut::{Cut, Harm},
    process, tree,
};

use crate::{
    Plan,
    site::{Site, quiet, word},
    tally::Tally,
};

/// Files of the library, and files changed between two releases.
const FILES: usize = 300;
const CHANGED: usize = 40;

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    Ok(vec![client(plan)?, server(plan)?, publisher(plan)?, receiver(plan)?])
}

/// Instants over a program's whole run: two thirds of them evenly, one third where it commits.
struct Instants {
    rounds: usize,
    round: usize,
}

impl Instants {
    fn next(&mut self, site: &mut Site, usual: Duration) -> Duration {
        let round = self.round;
        self.round += 1;
        let jitter = site.rng.below(1000);
        let thousandths = match round % 3 {
            // The end of a run is short, and the part where most could go wrong.
            2 => 600 + jitter * 45 / 100,
            _ => (round * 1000 + jitter) * 105 / 100 / self.rounds.max(1),
        };
        usual * u32::try_from(thousandths).unwrap_or(1000) / 1000
    }
}

/// Waits `pause` and kills; whether the program was still running.
fn kill(child: &mut Child, pause: Duration) -> Result<bool> {
    let began = Instant::now();
    while began.elapsed() < pause && child.try_wait()?.is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    let running = child.try_wait()?.is_none();
    child.kill().ok();
    child.wait()?;
    Ok(running)
}

/// What the client was doing, told from what it left.
fn phase(root: &Path, newest: u64) -> &'static str {
    let staging = root.join("staging");
    let has = |prefix: &str| {
        fs::read_dir(&staging).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            })
        })
    };
    let active = fs::read_link(root.join("lib"));
    if active.is_ok_and(|link| link.ends_with(newest.to_string())) {
        "after the switch"
    } else if root.join("meta").join(newest.to_string()).exists() {
        "while switching"
    } else if has("new-") {
        "while building"
    } else {
        "before building"
    }
}

fn client(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("kill -9 of ldi sync");
    let mut site = Site::new(plan.seed, FILES)?;
    let mut usual = site.sync()?.success()?.wall;
    fs::remove_dir_all(site.sandbox.root())?;
    let config = site.sandbox.config();
    let mut instants = Instants { rounds: plan.rounds, round: 0 };
    for _ in 0..plan.rounds {
        let pause = instants.next(&mut site, usual);
        let round = (|| {
            let running = kill(&mut site.start(&config)?, pause)?;
            let seen =
                if running { phase(&site.sandbox.root(), site.newest()) } else { "not in time" };
            site.whole()?;
            // Some are killed again on top of what is left.
            if !site.rng.chance(25) {
                let done = site.sync()?.success()?;
                usual = (usual * 3 + done.wall) / 4;
                let active = site.whole()?;
                ensure!(active == Some(site.newest()), "release {active:?} after {done}");
                site.next(CHANGED)?;
            }
            Ok(seen)
        })();
        tally.add(round);
    }
    tally.last(site.recover().and_then(|()| tidy(&site)).map(|()| "tidy at last"));
    Ok(tally)
}

/// The client's root holds the kept releases and nothing that a crash left.
fn tidy(site: &Site) -> Result<()> {
    for folder in ["releases", "meta"] {
        let names: Vec<_> = fs::read_dir(site.sandbox.root().join(folder))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        let odd = names.iter().any(|name| name.parse::<u64>().is_err()) || names.len() > 3;
        ensure!(!odd, "left over in {folder}: {names:?}");
    }
    Ok(())
}

fn server(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("kill -9 of codesync serve");
    let mut site = Site::new(plan.seed, FILES)?;
    // A line on which a transfer takes long enough to be hit.
    let harm = Harm { piece: 2048, pause: Duration::from_millis(3), ..Harm::default() };
    let slow = Cut::harm(site.sshd.port(), harm)?;
    let config = site.configure("slow.toml", &site.url_through(slow.port())?, "20s")?;
    let mut usual = site.sync_with(&config)?.success()?.wall;
    let mut instants = Instants { rounds: plan.rounds, round: 0 };
    for round in 0..plan.rounds {
        // Half of them in a first sync: more travels.
        if round % 2 == 0 {
            fs::remove_dir_all(site.sandbox.root()).ok();
        } else {
            site.next(CHANGED)?;
        }
        let pause = instants.next(&mut site, usual);
        let before = site.whole()?;
        let end = (|| {
            let sandbox = &site.sandbox;
            let mut command = sandbox.ldi_command(&config, &["sync", "--json"])?;
            let (hit, done) = thread::scope(|scope| {
                let client = scope.spawn(move || process::run(&mut command));
                thread::sleep(pause);
                let hit = site.sshd.kill_programs("codesync serve");
                (hit, client.join())
            });
            let done = done.ok().context("the client's thread failed")??;
            let end = word(&done)?;
            ensure!(end != "refused", "a server that went away is not refused: {done}");
            let active = site.whole()?;
            ensure!(active == before || active == Some(site.newest()), "{active:?} after {done}");
            site.recover()?;
            usual = (usual * 3 + done.wall) / 4;
            let hit = if hit > 0 { "hit" } else { "not in time" };
            Ok(format!("{end} ({hit})"))
        })();
        tally.add(end);
    }
    Ok(tally)
}

fn publisher(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("kill -9 of codesync publish");
    let mut site = Site::new(plan.seed, FILES)?;
    site.recover()?;
    let words = site.sandbox.tree();
    let words = words.to_str().context("a path that is not UTF-8")?;
    let begin = Instant::now();
    site.next(CHANGED)?;
    let mut usual = begin.elapsed();
    let mut instants = Instants { rounds: plan.rounds, round: 0 };
    for _ in 0..plan.rounds {
        let pause = instants.next(&mut site, usual);
        let round = (|| {
            let old = site.newest();
            site.change(CHANGED)?;
            let mut command = site.sandbox.codesync_command(&["publish", "--tree", words])?;
            let running = kill(&mut quiet(&mut command)?, pause)?;
            // Either of both may be what clients see now.
            site.note(old + 1)?;
            site.sync()?.success()?;
            let active = site.whole()?.context("nothing is active")?;
            let seen = match (running, active == old + 1) {
                (false, _) => "not in time",
                (true, false) => "old release",
                (true, true) => "new release",
            };
            ensure!(active >= old, "clients were sent back to {active}");
            let begin = Instant::now();
            site.publish()?;
            usual = (usual * 3 + begin.elapsed()) / 4;
            site.recover()?;
            Ok(seen)
        })();
        tally.add(round);
    }
    tally.last(doctor(&site.sandbox.library()));
    Ok(tally)
}

fn receiver(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("kill -9 of codesync receive");
    let mut site = Site::new(plan.seed, FILES)?;
    let server = site.sandbox.path("server");
    fs::create_dir(&server)?;
    let forced = format!("{} --library {}", bin("codesync-shell")?.display(), server.display());
    let key = site.sshd.key("publisher", &Access::Forced(format!("{forced} --publish")))?;
    let config = pulling(&site, &server)?;
    let usual = process::run(&mut site.push(&key, &server)?)?.success()?.wall;
    let mut usual = usual / 2;
    let mut instants = Instants { rounds: plan.rounds, round: 0 };
    for _ in 0..plan.rounds {
        let old = site.newest();
        site.next(CHANGED)?;
        let pause = instants.next(&mut site, usual);
        let round = (|| {
            let mut command = site.push(&key, &server)?;
            let (hit, done) = thread::scope(|scope| {
                let pushed = scope.spawn(move || process::run(&mut command));
                thread::sleep(pause);
                let hit = site.sshd.kill_programs("codesync receive");
                (hit, pushed.join())
            });
            let done = done.ok().context("the publisher's thread failed")??;
            ensure!([0, 69].contains(&done.code()), "{done}");
            site.sync_with(&config)?.success()?;
            let active = site.whole()?;
            let new = active == Some(site.newest());
            ensure!(new || active == Some(old), "{active:?} after {done}");
            ensure!(new || done.code() != 0, "said to be done and is not: {done}");
            let again = pushed(&site, &key, &server)?;
            usual = (usual * 3 + again) / 4;
            site.sync_with(&config)?.success()?;
            ensure!(site.whole()? == Some(site.newest()), "the next push did not arrive");
            let seen = if new { "new release" } else { "old release" };
            Ok(if hit > 0 { seen } else { "not in time" })
        })();
        tally.add(round);
    }
    tally.last(doctor(&server));
    let left = tree::read(&server.join("incoming"))?.len();
    tally.last(if left <= 1 { Ok("nothing left") } else { Err(anyhow::anyhow!("{left} left")) });
    Ok(tally)
}

/// That `codesync doctor` has nothing to say about `library`.
pub fn doctor(library: &Path) -> Result<&'static str> {
    let mut command = process::command(&bin("codesync")?);
    process::run(command.args(["doctor", "--library"]).arg(library))?.success()?;
    Ok("doctor is content")
}

/// A push that must succeed once the server's end has seen that the last one is gone.
fn pushed(site: &Site, key: &Path, server: &Path) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        let done = process::run(&mut site.push(key, server)?)?;
        if done.code() != 75 || begin.elapsed() > Duration::from_secs(60) {
            return Ok(done.success()?.wall);
        }
    }
}

/// A configuration with which the client syncs from the folder `server`.
fn pulling(site: &Site, server: &Path) -> Result<PathBuf> {
    let config = site.sandbox.path("pull.toml");
    let url = format!("file://{}", server.display());
    site.sandbox.configure_at(&config, &site.sandbox.root(), &[&url], None)?;
    Ok(config)
}
