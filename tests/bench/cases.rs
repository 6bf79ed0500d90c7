//! The cases. Contestants take turns within a round, so that what disturbs one disturbs both.

use std::path::Path;

use anyhow::Result;

use crate::{
    git::{Git, History},
    numbers::{Aim, Figure, Samples, Unit},
    site::{Cost, Site},
};

/// From this many files on a library is large.
const LARGE: usize = 10_000;
/// What metadata and protocol may cost beside the difference itself.
const BESIDE: f64 = 2500.0;
/// The most memory that a client may hold.
const PEAK: f64 = 150.0 * 1024.0 * 1024.0;

/// Time and bytes of one contestant.
#[derive(Default)]
struct Costs {
    wall: Samples,
    received: Samples,
    sent: Samples,
}

impl Costs {
    fn add(&mut self, cost: Cost) {
        self.wall.time(cost.wall);
        self.received.add(cost.received);
        self.sent.add(cost.sent);
    }
}

/// Builds the lines of one case.
struct Lines {
    files: usize,
    case: &'static str,
    figures: Vec<Figure>,
}

impl Lines {
    fn new(site: &Site, case: &'static str) -> Self {
        Self { files: site.files, case, figures: Vec::new() }
    }

    fn add(&mut self, name: &'static str, unit: Unit, samples: Samples, aim: Aim) {
        let (files, case) = (self.files, self.case);
        // Aims against rsync are set for large libraries; small ones are shown beside them.
        let aim = if files < LARGE && matches!(aim, Aim::Times(_, "rsync" | "rsync -z", _)) {
            Aim::None
        } else {
            aim
        };
        self.figures.push(Figure { files, case, name, unit, samples, aim });
    }
}

/// A sync that finds nothing new.
pub fn nothing(site: &mut Site, rounds: usize) -> Result<Vec<Figure>> {
    let (mine, theirs) = (site.client("nothing"), site.client("nothing-rsync"));
    site.ldi(&mine)?;
    site.rsync(&theirs, &[])?;
    site.check(&mine.join("lib"))?;
    let (mut bare, mut ssh) = (Samples::default(), Samples::default());
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    for _ in 0..rounds {
        if let Some(wall) = site.bare()? {
            bare.time(wall);
        }
        ldi.add(site.ldi(&mine)?);
        ssh.time(site.ssh()?);
        rsync.add(site.rsync(&theirs, &[])?);
    }
    let mut lines = Lines::new(site, "nothing new");
    let floor = bare.median();
    lines.add("bare: connect and true", Unit::Time, bare, Aim::None);
    lines.add("ssh true", Unit::Time, ssh, Aim::None);
    lines.add("ldi sync", Unit::Time, ldi.wall, Aim::Times(1.05, "bare", floor));
    lines.add("ldi sync received", Unit::Bytes, ldi.received, Aim::AtMost(300.0));
    lines.add("ldi sync sent", Unit::Bytes, ldi.sent, Aim::AtMost(300.0));
    lines.add("rsync", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync received", Unit::Bytes, rsync.received, Aim::None);
    lines.add("rsync sent", Unit::Bytes, rsync.sent, Aim::None);
    Ok(lines.figures)
}

/// Ten changed files: published, then synced. `before` are the figures of smaller libraries.
pub fn ten(site: &mut Site, rounds: usize, before: &[Figure]) -> Result<Vec<Figure>> {
    let (mine, theirs) = (site.client("ten"), site.client("ten-rsync"));
    site.ldi(&mine)?;
    site.rsync(&theirs, &["-z"])?;
    let mut git = Git::new(site)?;
    let (mut publish, mut pushed, mut bare) =
        (Samples::default(), Samples::default(), Samples::default());
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    for round in 0..rounds {
        site.change()?;
        // Who comes first finds colder caches; so they swap.
        if round % 2 == 0 {
            publish.time(site.publish()?);
            pushed.time(git.publish()?);
            ldi.add(site.ldi(&mine)?);
            rsync.add(site.rsync(&theirs, &["-z"])?);
        } else {
            pushed.time(git.publish()?);
            publish.time(site.publish()?);
            rsync.add(site.rsync(&theirs, &["-z"])?);
            ldi.add(site.ldi(&mine)?);
        }
        if let Some(wall) = site.bare()? {
            bare.time(wall);
        }
    }
    site.check(&mine.join("lib"))?;
    site.check(&theirs)?;
    let (mut floor, mut peak) = (Samples::default(), Samples::default());
    let old = site.archive("old.tar")?;
    site.change()?;
    floor.add(site.difference(&old, &site.archive("new.tar")?)?);
    site.publish()?;
    peak.add(site.peak(&mine)?);
    let mut lines = Lines::new(site, "10 changed");
    let by_git = pushed.median();
    lines.add("codesync publish", Unit::Time, publish, Aim::Times(1.0, "git", by_git));
    lines.add("git add, commit, push", Unit::Time, pushed, Aim::None);
    let smaller = before.iter().find(|figure| {
        (figure.files, figure.case, figure.name) == (LARGE, "10 changed", "ldi sync")
    });
    let smaller = smaller.and_then(|figure| figure.samples.median());
    let aim = match (site.files, bare.median()) {
        (LARGE, Some(bare)) => Aim::AtMost(1.5 * bare + 60.0),
        (files, _) if files > LARGE => Aim::Times(2.0, "10,000", smaller),
        _ => Aim::None,
    };
    let aim_of_rsync = if site.files > LARGE {
        Aim::Times(0.2, "rsync -z", rsync.wall.median())
    } else {
        Aim::None
    };
    lines.add("bare: connect and true", Unit::Time, bare, Aim::None);
    lines.add("ldi sync", Unit::Time, ldi.wall.clone(), aim);
    lines.add("ldi sync beside rsync", Unit::Time, ldi.wall, aim_of_rsync);
    let limit = floor.median().map_or(Aim::None, |floor| Aim::AtMost(floor + BESIDE));
    lines.add("ldi sync received", Unit::Bytes, ldi.received, limit);
    lines.add("ldi sync sent", Unit::Bytes, ldi.sent, Aim::None);
    lines.add("zstd --patch-from, once", Unit::Bytes, floor, Aim::None);
    lines.add("ldi sync peak memory, once", Unit::Bytes, peak, Aim::AtMost(PEAK));
    lines.add("rsync -z", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync -z received", Unit::Bytes, rsync.received, Aim::None);
    lines.add("rsync -z sent", Unit::Bytes, rsync.sent, Aim::None);
    Ok(lines.figures)
}

/// The first sync of a client, each round into a fresh folder.
pub fn first(site: &mut Site, rounds: usize) -> Result<Vec<Figure>> {
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    let (mut floor, mut bare) = (Samples::default(), Samples::default());
    let packed = site.pack()?;
    for round in 0..rounds {
        floor.time(site.unpack(&packed, &format!("first-tar-{round}"))?);
        if let Some(wall) = site.bare()? {
            bare.time(wall);
        }
        // Old folders stay until the end: deleting many files slows what is created next.
        let mine = site.client(&format!("first-{round}"));
        let theirs = site.client(&format!("first-rsync-{round}"));
        if round % 2 == 0 {
            ldi.add(site.ldi(&mine)?);
            rsync.add(site.rsync(&theirs, &["-z"])?);
        } else {
            rsync.add(site.rsync(&theirs, &["-z"])?);
            ldi.add(site.ldi(&mine)?);
        }
        if round == 0 {
            site.check(&mine.join("lib"))?;
            site.check(&theirs)?;
        }
    }
    let mut lines = Lines::new(site, "first sync");
    let (wall, received) = (rsync.wall.median(), rsync.received.median());
    let mut publish = Samples::default();
    publish.time(site.first_publication);
    lines.add("codesync publish, once", Unit::Time, publish, Aim::None);
    let limit = floor.median().zip(bare.median()).map(|(floor, bare)| 1.3 * floor + bare);
    lines.add("ldi sync", Unit::Time, ldi.wall.clone(), limit.map_or(Aim::None, Aim::AtMost));
    lines.add("ldi sync beside rsync", Unit::Time, ldi.wall, Aim::Times(0.7, "rsync -z", wall));
    lines.add("zstd -d | tar -x", Unit::Time, floor, Aim::None);
    lines.add("bare: connect and true", Unit::Time, bare, Aim::None);
    lines.add(
        "ldi sync received",
        Unit::Bytes,
        ldi.received,
        Aim::Times(0.4, "rsync -z", received),
    );
    lines.add("rsync -z", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync -z received", Unit::Bytes, rsync.received, Aim::None);
    Ok(lines.figures)
}

/// A binary of 50 MB of which one part in a hundred changes.
pub fn binary(seed: u64, rounds: usize) -> Result<Vec<Figure>> {
    let mut site = Site::binary(seed)?;
    let (mine, theirs) = (site.client("binary"), site.client("binary-rsync"));
    site.ldi(&mine)?;
    site.rsync(&theirs, &["-z"])?;
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    let mut delta = Samples::default();
    for _ in 0..rounds {
        let (old, new) = site.change_binary()?;
        delta.add(fast_rsync_bytes(&old, &new)?);
        site.publish()?;
        ldi.add(site.ldi(&mine)?);
        rsync.add(site.rsync(&theirs, &["-z"])?);
    }
    site.check(&mine.join("lib"))?;
    site.check(&theirs)?;
    let mut lines = Lines::new(&site, "binary, 1 %");
    let received = rsync.received.median();
    // The goal is the same whatever the library's size.
    let limit = received.map_or(Aim::None, |received| Aim::AtMost(0.7 * received));
    lines.add("ldi sync received", Unit::Bytes, ldi.received, limit);
    lines.add("ldi sync", Unit::Time, ldi.wall, Aim::None);
    lines.add("rsync -z received", Unit::Bytes, rsync.received, Aim::None);
    lines.add("rsync -z", Unit::Time, rsync.wall, Aim::None);
    lines.add("fast_rsync, both ways", Unit::Bytes, delta, Aim::None);
    Ok(lines.figures)
}

/// What signature and delta of fast_rsync come to, with blocks of the square root of the length.
fn fast_rsync_bytes(old: &[u8], new: &[u8]) -> Result<f64> {
    let block_size = u32::try_from(old.len().isqrt())?.next_power_of_two();
    let options = fast_rsync::SignatureOptions { block_size, crypto_hash_size: 8 };
    let signature = fast_rsync::Signature::calculate(old, options);
    let mut delta = Vec::new();
    fast_rsync::diff(&signature.index(), new, &mut delta)?;
    #[allow(clippy::cast_precision_loss)]
    Ok((signature.serialized().len() + delta.len()) as f64)
}

/// The last commits of the git repository at `path`, published and synced one after the other.
pub fn history(path: &Path, steps: usize) -> Result<Vec<Figure>> {
    let mut history = History::of(path, steps)?;
    let mut site = Site::empty()?;
    let (mine, theirs) = (site.client("history"), site.client("history-rsync"));
    let mut remote = history.remote(&site)?;
    history.next(&site, &mut remote)?;
    site.publish()?;
    site.ldi(&mine)?;
    site.rsync(&theirs, &["-z"])?;
    remote.fetch(&site)?;
    let (mut ldi, mut rsync, mut git) = (0.0, 0.0, 0.0);
    let mut done = 0;
    while history.next(&site, &mut remote)? {
        site.publish()?;
        ldi += site.ldi(&mine)?.received;
        rsync += site.rsync(&theirs, &["-z"])?.received;
        git += remote.fetch(&site)?;
        done += 1;
    }
    site.check(&mine.join("lib"))?;
    site.files = done;
    let mut lines = Lines::new(&site, "real history");
    let one = |value: f64| {
        let mut samples = Samples::default();
        samples.add(value);
        samples
    };
    let aim = if git > 0.0 { Aim::AtMost((rsync / 20.0).min(git)) } else { Aim::None };
    lines.add("ldi sync received, in all", Unit::Bytes, one(ldi), aim);
    lines.add("rsync -z received, in all", Unit::Bytes, one(rsync), Aim::None);
    lines.add("git fetch received, in all", Unit::Bytes, one(git), Aim::None);
    Ok(lines.figures)
}
