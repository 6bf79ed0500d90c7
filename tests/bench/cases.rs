//! The cases. Contestants take turns within a round, so that what disturbs one disturbs both.

use anyhow::Result;

use crate::{
    numbers::{Aim, Figure, Samples, Unit},
    site::{Cost, Site},
};

/// From this many files on a library is large.
const LARGE: usize = 10_000;

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
    lines.add("ldi sync", Unit::Time, ldi.wall, Aim::Times(1.15, "bare", floor));
    lines.add("ldi sync received", Unit::Bytes, ldi.received, Aim::AtMost(1024.0));
    lines.add("ldi sync sent", Unit::Bytes, ldi.sent, Aim::AtMost(1024.0));
    lines.add("rsync", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync received", Unit::Bytes, rsync.received, Aim::None);
    lines.add("rsync sent", Unit::Bytes, rsync.sent, Aim::None);
    Ok(lines.figures)
}

/// Ten changed files: published, then synced.
pub fn ten(site: &mut Site, rounds: usize) -> Result<Vec<Figure>> {
    let (mine, theirs) = (site.client("ten"), site.client("ten-rsync"));
    site.ldi(&mine)?;
    site.rsync(&theirs, &[])?;
    let mut publish = Samples::default();
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    for round in 0..rounds {
        site.change()?;
        publish.time(site.publish()?);
        // Who comes first finds colder caches; so they swap.
        if round % 2 == 0 {
            ldi.add(site.ldi(&mine)?);
            rsync.add(site.rsync(&theirs, &[])?);
        } else {
            rsync.add(site.rsync(&theirs, &[])?);
            ldi.add(site.ldi(&mine)?);
        }
    }
    site.check(&mine.join("lib"))?;
    site.check(&theirs)?;
    let mut lines = Lines::new(site, "10 changed");
    let wall = rsync.wall.median();
    lines.add("codesync publish", Unit::Time, publish, Aim::AtMost(2000.0));
    lines.add("ldi sync", Unit::Time, ldi.wall, Aim::Times(0.8, "rsync", wall));
    lines.add("ldi sync received", Unit::Bytes, ldi.received, Aim::AtMost(4096.0));
    lines.add("ldi sync sent", Unit::Bytes, ldi.sent, Aim::None);
    lines.add("rsync", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync received", Unit::Bytes, rsync.received, Aim::None);
    lines.add("rsync sent", Unit::Bytes, rsync.sent, Aim::None);
    Ok(lines.figures)
}

/// The first sync of a client, each round into a fresh folder.
pub fn first(site: &mut Site, rounds: usize) -> Result<Vec<Figure>> {
    let (mut ldi, mut rsync) = (Costs::default(), Costs::default());
    for round in 0..rounds {
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
    lines.add("ldi sync", Unit::Time, ldi.wall, Aim::Times(0.7, "rsync -z", wall));
    lines.add(
        "ldi sync received",
        Unit::Bytes,
        ldi.received,
        Aim::Times(0.6, "rsync -z", received),
    );
    lines.add("rsync -z", Unit::Time, rsync.wall, Aim::None);
    lines.add("rsync -z received", Unit::Bytes, rsync.received, Aim::None);
    Ok(lines.figures)
}
