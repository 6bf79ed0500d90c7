//! Many at once: syncs of one root, publishers of one library, syncs while somebody publishes.

use std::{fs, path::PathBuf, process::Child};

use anyhow::{Context, Result, ensure};
use e2e::{Done, process, script_text, tree};

use crate::{
    Plan,
    site::{Site, quiet},
    tally::Tally,
};

const AT_ONCE: usize = 8;

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    Ok(vec![syncs(plan)?, publishers(plan)?, both(plan)?])
}

/// Runs `commands` at once.
fn together(commands: Vec<std::process::Command>) -> Result<Vec<Done>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = commands
            .into_iter()
            .map(|mut command| scope.spawn(move || process::run(&mut command)))
            .collect();
        threads.into_iter().map(|thread| thread.join().ok().context("a thread failed")?).collect()
    })
}

fn syncs(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("8 syncs of one root at once");
    let mut site = Site::new(plan.seed, 150)?;
    for round in 0..plan.share(10) {
        if round % 2 == 0 {
            fs::remove_dir_all(site.sandbox.root()).ok();
        } else {
            site.next(20)?;
        }
        let result = (|| {
            let config = site.sandbox.config();
            let commands = (0..AT_ONCE)
                .map(|_| site.sandbox.ldi_command(&config, &["sync", "--json"]))
                .collect::<Result<Vec<_>>>()?;
            let mut updated = 0;
            for done in together(commands)? {
                ensure!([0, 75].contains(&done.code()), "{done}");
                updated += usize::from(done.code() == 0 && done.json()?["outcome"] == "updated");
            }
            ensure!(updated == 1, "{updated} of them say that they brought the release");
            ensure!(site.whole()? == Some(site.newest()), "not the newest release");
            Ok("one did it, the others waited")
        })();
        tally.add(result);
    }
    Ok(tally)
}

fn publishers(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("4 publishers at once");
    let mut site = Site::new(plan.seed, 60)?;
    let trees: Vec<PathBuf> =
        (0..4).map(|number| site.sandbox.path(&format!("tree.{number}"))).collect();
    for round in 0..plan.share(20) {
        let result = (|| {
            let mut commands = Vec::new();
            for (number, folder) in trees.iter().enumerate() {
                script_text::write(folder, &script_text::library(plan.seed, 60))?;
                tree::put(
                    folder,
                    "modules/who.sh",
                    format!("{number} {round}\n").as_bytes(),
                    false,
                )?;
                let words = folder.to_str().context("not UTF-8")?;
                commands
                    .push(site.sandbox.codesync_command(&["publish", "--json", "--tree", words])?);
            }
            let mut numbers = Vec::new();
            for (done, folder) in together(commands)?.into_iter().zip(&trees) {
                ensure!([0, 75].contains(&done.code()), "{done}");
                if done.code() == 0 {
                    let number = done.json()?["release"].as_u64().context("no release")?;
                    ensure!(!numbers.contains(&number), "release {number} was given twice");
                    numbers.push(number);
                    site.note_as(number, folder)?;
                }
            }
            ensure!(!numbers.is_empty(), "nobody could publish");
            site.recover()?;
            Ok(format!("{} published", numbers.len()))
        })();
        tally.add(result);
    }
    Ok(tally)
}

fn both(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("syncs while somebody publishes");
    let mut site = Site::new(plan.seed, 150)?;
    site.recover()?;
    let words = site.sandbox.tree().to_str().context("not UTF-8")?.to_owned();
    for _ in 0..plan.share(10) {
        let old = site.newest();
        site.change(20)?;
        site.note(old + 1)?;
        let mut command = site.sandbox.codesync_command(&["publish", "--tree", &words])?;
        let mut publisher = quiet(&mut command)?;
        let result = beside(&site, old, &mut publisher);
        ensure!(publisher.wait()?.success(), "the publisher failed");
        tally.add(result.and_then(|end| site.recover().map(|()| end)));
    }
    Ok(tally)
}

fn beside(site: &Site, old: u64, publisher: &mut Child) -> Result<&'static str> {
    let mut seen = old;
    loop {
        let ended = publisher.try_wait()?.is_some();
        let done = site.sync()?.success()?;
        let active = site.whole()?.context("nothing is active")?;
        ensure!(active >= seen && active <= old + 1, "release {active} after {seen}: {done}");
        seen = active;
        if ended {
            ensure!(seen == old + 1, "the publisher is done and release {seen} is active");
            return Ok("old release, then new");
        }
    }
}
