//! Plans a year of all built-in tiers, start after start, as the daemon would; prints how many
//! starts there were and how many milliseconds that took. For `make bench`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use ldi_daemon::{
    machine::{self, Machine},
    plan::{self, Moment},
    tiers::Tiers,
};

fn main() {
    let machine = Machine::this();
    let tiers: Vec<_> = Tiers::built_in().tiers.into_values().collect();
    let begun = Instant::now();
    let start = Utc::now();
    let (mut now, mut states, mut starts) = (start, BTreeMap::new(), 0u64);
    let end = now + TimeDelta::days(365);
    while now < end {
        let passed = (now - start).to_std().unwrap_or_default();
        let moment = Moment {
            now,
            uptime: machine::uptime() + passed,
            awake: machine::uptime() + passed,
            resume_splay: Duration::from_secs(60),
            machine: &machine,
        };
        let plan = plan::plan(&tiers, &states, &BTreeSet::new(), &moment);
        states.extend(plan.changed);
        starts += plan.due.len() as u64;
        states.extend(plan.due.into_iter().map(|due| (due.tier, due.state)));
        now = plan.wake.filter(|wake| *wake > now).unwrap_or(now + TimeDelta::seconds(60));
    }
    println!("{starts} {:.3}", begun.elapsed().as_secs_f64() * 1000.0);
}
