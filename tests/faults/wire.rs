//! Damage behind the encryption: between the client and `codesync serve`, and over plain HTTP.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use chrono::Utc;
use codesync::pull::{self, Options, Outcome, Settings};

use crate::{
    Plan,
    relay::{Harm, KINDS},
    site::{Site, word},
    tally::Tally,
    web::Web,
};

const FILES: usize = 200;

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut tallies = ssh(plan)?;
    tallies.extend(http(plan)?);
    Ok(tallies)
}

/// A release to be fetched: half of the time by a client from nothing. What is active before.
fn prepare(site: &mut Site, round: usize) -> Result<Option<u64>> {
    if round.is_multiple_of(2) {
        fs::remove_dir_all(site.sandbox.root()).ok();
    } else {
        site.next(20)?;
    }
    site.whole()
}

/// One sync through damage. A carrier can hide what is new, until the timestamp expires; no more.
fn round(
    site: &Site,
    before: Option<u64>,
    sync: impl Fn() -> Result<&'static str>,
) -> Result<&'static str> {
    let end = sync()?;
    let active = site.whole()?;
    let right = if end == "done" { Some(site.newest()) } else { before };
    ensure!(active == right, "release {active:?} is active after a sync that was {end}");
    site.recover()?;
    Ok(end)
}

/// One sync over SSH.
fn over_ssh(site: &Site, config: &Path) -> Result<&'static str> {
    let done = site.sync_with(config)?;
    let end = word(&done)?;
    let current = end == "done" && done.json()?["outcome"] == "current";
    Ok(if current { "held back" } else { end })
}

fn ssh(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed, FILES)?;
    let spec = site.sandbox.path("harm");
    let forced = format!(
        "{} relay {} {}",
        std::env::current_exe()?.display(),
        spec.display(),
        site.sandbox.library().display()
    );
    let config = site.forced("relay", forced)?;
    let text = fs::read_to_string(&config)?;
    // What is dropped is waited for.
    fs::write(&config, text.replace("\"20s\"", "\"3s\""))?;
    let full = site.sync()?.success()?.json()?["bytes_received"].as_u64().unwrap_or(1);
    let mut tallies = Vec::new();
    for (number, (kind, name)) in KINDS.iter().enumerate() {
        let mut tally = Tally::new(format!("inside ssh: {name}"));
        for round_number in 0..plan.share(9) {
            let before = prepare(&mut site, round_number)?;
            // A third of it in what the client says.
            let up = round_number % 3 == 2;
            let length = match (kind.is_frame(), before, up) {
                (true, _, true) => 3,
                (true, _, false) => 12,
                (false, _, true) => 300,
                (false, None, _) => full,
                (false, Some(_), _) => full / 8,
            };
            let at = site.rng.below(usize::try_from(length)?) as u64;
            let harm = Harm { kind: *kind, at, seed: site.rng.bits() ^ number as u64, up };
            fs::write(&spec, harm.text())?;
            tally.add(round(&site, before, || over_ssh(&site, &config)));
        }
        tallies.push(tally);
    }
    Ok(tallies)
}

fn http(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed + 1, FILES)?;
    let web = Web::start(&site.sandbox.library())?;
    let settings = Settings {
        root: site.sandbox.root(),
        sources: vec![web.url()],
        ring: "stable".to_owned(),
        trusted_root: site.sandbox.keys().join("root.json"),
        identity: None,
        known_hosts: None,
        connect_timeout: Duration::from_secs(3),
        lock_wait: Duration::ZERO,
        options: Options::default(),
    };
    // `ldi` takes plain HTTP from nobody; the library does, on this machine, for its tests.
    let sync = || {
        let report = pull::sync(&settings, Utc::now(), &|_| Ok(()), &|_, _| {})?;
        ensure!(report.reason.is_some() || report.exit_code() == 0, "no sentence: {report:?}");
        let end = match report.outcome {
            Outcome::Updated => "done",
            Outcome::Current => "held back",
            Outcome::Unreachable => "unreachable",
            Outcome::Refused => "refused",
        };
        Ok(end)
    };
    let mut tallies = Vec::new();
    for (kind, name) in KINDS.iter().filter(|(kind, _)| !kind.is_frame()) {
        let mut tally = Tally::new(format!("inside http: {name}"));
        for round_number in 0..plan.share(10) {
            let before = prepare(&mut site, round_number)?;
            let length = if before.is_none() { 120_000 } else { 12_000 };
            let at = site.rng.below(length) as u64;
            web.harm(Some(Harm { kind: *kind, at, seed: site.rng.bits(), up: false }));
            tally.add(round(&site, before, sync));
            web.harm(None);
        }
        tallies.push(tally);
    }
    Ok(tallies)
}
