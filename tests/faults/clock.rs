//! A clock that is an hour, a year or a decade off, in both directions.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use codesync::pull::{Options, Outcome, Settings, sync};

use crate::{Plan, site::Site, tally::Tally};

/// The case. The clock is the library's parameter; nothing waits and no system clock is set.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed, 60)?;
    let settings = Settings {
        root: site.sandbox.root(),
        sources: vec![site.sandbox.file_url()],
        ring: "stable".to_owned(),
        trusted_root: site.sandbox.keys().join("root.json"),
        identity: None,
        known_hosts: None,
        connect_timeout: Duration::from_secs(20),
        lock_wait: Duration::ZERO,
        options: Options::default(),
    };
    let now = Utc::now();
    let (hour, year) = (TimeDelta::hours(1), TimeDelta::days(365));
    let mut tally = Tally::new("clock that is off");
    for (name, clock, late) in [
        ("an hour behind", now - hour, false),
        ("an hour ahead", now + hour, false),
        ("a year behind", now - year, false),
        ("a year ahead", now + year, true),
        ("a decade behind", now - year * 10, false),
        ("a decade ahead", now + year * 10, true),
        ("at the beginning of time", DateTime::<Utc>::MIN_UTC, false),
        ("at the end of time", DateTime::<Utc>::MAX_UTC, true),
    ] {
        for fresh in [true, false] {
            if fresh {
                fs::remove_dir_all(site.sandbox.root()).ok();
            } else {
                site.next(10)?;
            }
            let before = site.whole()?;
            let round = (|| {
                let report = sync(&settings, clock, &|_| Ok(()), &|_, _| {});
                let end = match report {
                    Ok(report) if report.stale => {
                        ensure!(report.outcome == Outcome::Refused, "{name}: {report:?}");
                        ensure!(site.whole()? == before, "{name}: something else is active");
                        "stale"
                    }
                    Ok(report) => {
                        ensure!(report.outcome == Outcome::Updated, "{name}: {report:?}");
                        ensure!(site.whole()? == Some(site.newest()), "{name}: {report:?}");
                        "done"
                    }
                    // A clock that no calendar has is a local fault and says so.
                    Err(error) => {
                        ensure!(clock.timestamp().abs() > 1 << 38, "{name}: {error}");
                        "not a date"
                    }
                };
                ensure!(late || end != "stale", "{name} is called stale");
                ensure!(!late || end != "done", "{name} accepts what has expired");
                // Set right again, nothing of it is left.
                site.recover()?;
                Ok(end)
            })();
            tally.add(round);
        }
    }
    Ok(vec![tally])
}
