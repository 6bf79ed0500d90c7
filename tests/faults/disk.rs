//! A disk that is full at every write: a small tmpfs whose size grows from round to round.
//!
//! Needs Linux and root; left out elsewhere, and says so.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    Done, command,
    disk::{PAGE, Small},
    program,
};

use crate::{Plan, site::Site, tally::Tally};

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    if !Small::possible()? {
        println!("the full disk is left out: it needs Linux, root and a tmpfs that can be mounted");
        return Ok(Vec::new());
    }
    Ok(vec![first(plan)?, next(plan)?, publisher(plan)?])
}

/// `done`, or full with a sentence that names what could not be written under `folder`.
fn end(done: &Done, folder: &Path) -> Result<&'static str> {
    match done.code() {
        0 => Ok("done"),
        1 => {
            let text = done.err();
            let folder = folder.to_str().context("not UTF-8")?;
            let named = text.contains("No space left on device") && text.contains(folder);
            ensure!(named, "the disk is not named: {done}");
            Ok("full, and says which disk")
        }
        _ => bail!("no end that is documented: {done}"),
    }
}

fn sync(site: &Site, small: &Small, room: u64) -> Result<&'static str> {
    let before = site.whole()?;
    small.leave(room)?;
    let done = site.sync()?;
    let end = end(&done, &site.sandbox.root())?;
    let active = site.whole()?;
    ensure!(active == before || active == Some(site.newest()), "{active:?} after {done}");
    ensure!(end != "done" || active == Some(site.newest()), "{active:?} after {done}");
    small.make_room()?;
    site.recover()?;
    Ok(end)
}

fn first(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("full disk: first sync");
    let site = Site::new(plan.seed, 150)?;
    let root = site.sandbox.root();
    let small = Small::mount(&root)?;
    let empty = || -> Result<()> {
        for entry in fs::read_dir(&root)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    };
    site.recover()?;
    let needed = small.used()?;
    let rounds = plan.share(2) as u64;
    for round in 0..rounds {
        empty()?;
        let room = (needed * 11 / 10 * (round + 1) / rounds).next_multiple_of(PAGE);
        tally.add(sync(&site, &small, room));
    }
    drop(small);
    Ok(tally)
}

fn next(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("full disk: next sync");
    let mut site = Site::new(plan.seed, 150)?;
    let small = Small::mount(&site.sandbox.root())?;
    site.recover()?;
    let rounds = plan.share(2) as u64;
    for round in 0..rounds {
        site.next(30)?;
        // A patch of 30 files takes about 250 KiB; every page of it once, if there are rounds.
        let room = (400 * 1024 * round / rounds).next_multiple_of(PAGE);
        tally.add(sync(&site, &small, room));
    }
    drop(small);
    Ok(tally)
}

fn publisher(plan: Plan) -> Result<Tally> {
    let mut tally = Tally::new("full disk: publish");
    let mut site = Site::new(plan.seed, 150)?;
    site.recover()?;
    let library = site.sandbox.library();
    let aside = site.sandbox.path("library.aside");
    fs::rename(&library, &aside)?;
    let small = Small::mount(&library)?;
    e2e::run(command(&program("cp")?).arg("-a").arg(aside.join(".")).arg(&library))?.success()?;
    let rounds = plan.share(3) as u64;
    for round in 0..rounds {
        let result = (|| {
            let old = site.newest();
            site.change(30)?;
            site.note(old + 1)?;
            small.leave((600 * 1024 * round / rounds).next_multiple_of(PAGE))?;
            let done = site.sandbox.publish_command()?;
            let end = end(&done, &library)?;
            site.sync()?.success().context("a client while the disk is full")?;
            let active = site.whole()?;
            ensure!(active == Some(old) || active == Some(old + 1), "{active:?} after {done}");
            small.make_room()?;
            site.publish()?;
            site.recover()?;
            Ok(end)
        })();
        tally.add(result);
    }
    tally.last(crate::kill::doctor(&library));
    drop(small);
    Ok(tally)
}
