//! Connections that are cut, go silent, or pass one byte at a time, below the encryption.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use e2e::cut::{Cut, Harm};

use crate::{
    Plan,
    site::{Site, word},
    tally::Tally,
};

const FILES: usize = 200;

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed, FILES)?;
    // What a first sync reads from the network: the handshake and the bundle.
    let full = 8000 + site.sync()?.success()?.json()?["bytes_received"].as_u64().unwrap_or(0);
    let usual = Harm::default();
    let cut = lines(&mut site, "cut while receiving", plan.share(1), "20s", |site| {
        let down = site.rng.below(usize::try_from(full).unwrap_or(1)) as u64;
        Harm { down, ..usual }
    })?;
    let up = lines(&mut site, "cut while sending", plan.share(3), "20s", |site| Harm {
        up: site.rng.below(6000) as u64,
        ..usual
    })?;
    let stall = lines(&mut site, "silent from some byte on", plan.share(15), "2s", |site| {
        let down = site.rng.below(usize::try_from(full).unwrap_or(1)) as u64;
        Harm { down, stall: true, ..usual }
    })?;
    let single = lines(&mut site, "one byte at a time", plan.share(30), "20s", |_| Harm {
        piece: 1,
        pause: Duration::ZERO,
        ..usual
    })?;
    Ok(vec![cut, up, stall, single])
}

fn lines(
    site: &mut Site,
    name: &str,
    rounds: usize,
    timeout: &str,
    harm: impl Fn(&mut Site) -> Harm,
) -> Result<Tally> {
    let mut tally = Tally::new(format!("line {name}"));
    for number in 0..rounds {
        if number % 2 == 0 {
            fs::remove_dir_all(site.sandbox.root()).ok();
        } else {
            site.next(20)?;
        }
        let before = site.whole()?;
        let harm = harm(site);
        let relay = Cut::harm(site.sshd.port(), harm)?;
        let url = site.url_through(relay.port())?;
        let config = site.configure("line.toml", &url, timeout)?;
        let round = || {
            let done = site.sync_with(&config)?;
            let end = word(&done)?;
            let active = site.whole()?;
            ensure!(end != "refused", "a line is no liar: {done}");
            ensure!(active == before || active == Some(site.newest()), "{active:?} after {done}");
            ensure!(end != "done" || active == Some(site.newest()), "{active:?} after {done}");
            ensure!(harm.piece > 1 || end == "done", "slow is not wrong: {done}");
            drop(relay);
            site.recover()?;
            Ok(end)
        };
        tally.add(round());
    }
    Ok(tally)
}
