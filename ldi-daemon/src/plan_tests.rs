//! Tests of [`super`]: plan.

use super::*;
use crate::tiers::Tiers;

fn machine() -> Machine {
    Machine {
        id: "m1".into(),
        name: String::new(),
        boot: "b1".into(),
        os: "linux".into(),
        arch: "x86_64".into(),
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn tiers(text: &str) -> Vec<Tier> {
    let named: Vec<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("[tier.")?.strip_suffix(']').map(str::to_owned))
        .collect();
    Tiers::of_release(text)
        .unwrap()
        .tiers
        .into_values()
        .filter(|t| named.contains(&t.name))
        .collect()
}

const DAILY: &str = "[tier.daily]\ncron = \"0 10 * * *\"\nsplay = \"4h\"\ntimezone = \"UTC\"\n";

struct World {
    tiers: Vec<Tier>,
    states: BTreeMap<String, State>,
    running: BTreeSet<String>,
    machine: Machine,
}

impl World {
    fn new(text: &str) -> Self {
        Self {
            tiers: tiers(text),
            states: BTreeMap::new(),
            running: BTreeSet::new(),
            machine: machine(),
        }
    }

    /// Plans, and remembers what the daemon would.
    fn step(&mut self, now: DateTime<Utc>, uptime: Duration, awake: Duration) -> Plan {
        let moment = Moment {
            now,
            uptime,
            awake,
            resume_splay: Duration::from_secs(60),
            machine: &self.machine,
        };
        let plan = plan(&self.tiers, &self.states, &self.running, &moment);
        self.states.extend(plan.changed.clone());
        self.states.extend(plan.due.iter().map(|d| (d.tier.clone(), d.state.clone())));
        plan
    }

    fn awake(&mut self, now: DateTime<Utc>) -> Plan {
        let long = Duration::from_secs(400 * 86400);
        self.step(now, long, long)
    }
}

#[test]
fn a_new_tier_waits_for_its_first_date() {
    let mut world = World::new(DAILY);
    let plan = world.awake(at("2026-01-01T12:00:00Z"));
    assert!(plan.due.is_empty());
    let place = super::place(&world.tiers[0], &world.machine);
    assert!(place < Duration::from_secs(4 * 3600));
    assert_eq!(plan.wake, Some(at("2026-01-02T10:00:00Z") + place));
}

#[test]
fn many_missed_dates_are_one_run_within_the_resume_window() {
    let mut world = World::new(DAILY);
    world.awake(at("2026-01-01T12:00:00Z"));
    // Asleep for a month, awake for a moment.
    let back = at("2026-02-01T09:00:00Z");
    let plan = world.step(back, Duration::from_secs(9_000_000), Duration::ZERO);
    let wake = plan.wake.unwrap();
    assert!(plan.due.is_empty() && wake >= back && wake <= back + Duration::from_secs(60));
    let plan = world.step(wake, Duration::from_secs(9_000_000), (wake - back).to_std().unwrap());
    assert_eq!(plan.due.len(), 1);
    let again = world.step(wake, Duration::from_secs(9_000_000), (wake - back).to_std().unwrap());
    assert!(again.due.is_empty());
    // The date of that very day is still to come.
    assert!(again.wake.unwrap() < at("2026-02-01T14:00:01Z"));
}

#[test]
fn a_state_from_the_future_is_pulled_back() {
    let mut world = World::new(DAILY);
    world
        .states
        .insert("daily".into(), State { served: Some(at("2036-01-01T00:00:00Z")), boot: None });
    let plan = world.awake(at("2026-01-01T12:00:00Z"));
    assert!(plan.changed.contains_key("daily"));
    assert!(plan.wake.unwrap() < at("2026-01-02T14:00:01Z"));
}

#[test]
fn startup_runs_once_per_boot_after_its_delay() {
    let mut world = World::new("[tier.startup]\nat = \"boot\"\ndelay = \"150s\"\n");
    let boot = at("2026-01-01T00:00:00Z");
    let seconds = Duration::from_secs;
    let plan = world.step(boot + seconds(20), seconds(20), seconds(5));
    assert!(plan.due.is_empty());
    assert_eq!(plan.wake, Some(boot + seconds(150)));
    assert_eq!(world.step(boot + seconds(150), seconds(150), seconds(135)).due.len(), 1);
    // The daemon restarts: same boot.
    assert!(world.step(boot + seconds(400), seconds(400), seconds(1)).due.is_empty());
    world.machine.boot = "b2".into();
    assert_eq!(world.step(boot + seconds(9000), seconds(151), seconds(100)).due.len(), 1);
}

#[test]
fn a_running_tier_is_not_due_and_is_coalesced_to_one() {
    let mut world = World::new("[tier.every15]\ncron = \"*/15 * * * *\"\ntimezone = \"UTC\"\n");
    world.awake(at("2026-01-01T00:01:00Z"));
    assert_eq!(world.awake(at("2026-01-01T00:15:00Z")).due.len(), 1);
    world.running.insert("every15".into());
    assert!(world.awake(at("2026-01-01T01:02:00Z")).due.is_empty());
    world.running.clear();
    assert_eq!(world.awake(at("2026-01-01T01:03:00Z")).due.len(), 1);
    assert!(world.awake(at("2026-01-01T01:04:00Z")).due.is_empty());
}

#[test]
fn a_year_of_all_tiers_is_planned_in_a_second() {
    let mut world = World::new(DAILY);
    world.tiers = Tiers::built_in().tiers.into_values().collect();
    for tier in &mut world.tiers {
        if let When::Cron(_, zone) = &mut tier.when {
            *zone = "Europe/Vienna".parse().unwrap();
        }
    }
    let mut now = at("2026-01-01T00:00:00Z");
    let end = at("2027-01-01T00:00:00Z");
    let started = std::time::Instant::now();
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    while now < end {
        let plan = world.awake(now);
        for due in &plan.due {
            *runs.entry(due.tier.clone()).or_default() += 1;
        }
        now = plan.wake.unwrap_or(now).max(now + Duration::from_secs(1));
    }
    let took = started.elapsed();
    println!("a year of five tiers: {runs:?} in {took:?}");
    assert_eq!(runs["startup"], 1);
    assert!((364..=366).contains(&runs["daily"]));
    assert!((51..=53).contains(&runs["weekly"]));
    assert!((8755..=8761).contains(&runs["hourly"]));
    assert!((35030..=35041).contains(&runs["every15"]));
    // A plan that looks at every minute takes hours. A shared machine is given room.
    assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 10 }));
}

#[test]
fn random_clock_jumps_never_run_a_tier_twice_for_a_date() {
    let mut seed = 42u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut world = World::new(DAILY);
    let mut now = at("2026-01-01T00:00:00Z");
    let mut last: Option<DateTime<Utc>> = None;
    for _ in 0..5000 {
        let step = Duration::from_secs(random(3 * 86400));
        // One step in ten goes back.
        let back = random(10) == 0;
        now = if back { now - step } else { now + step };
        if back {
            last = None;
        }
        let plan = world.awake(now);
        assert!(plan.due.len() <= 1);
        if let Some(due) = plan.due.first() {
            assert!(due.date <= now);
            assert!(last.is_none_or(|l| due.date > l), "{} again", due.date);
            last = Some(due.date);
        }
    }
}

/// A year of sleeps, reboots and restarts: each date is served once, on time when the machine was
/// awake for it, and at its place in the window after it came back when not.
#[test]
fn no_date_is_lost_or_run_twice_in_a_year_of_sleeps() {
    let mut seed = 7u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut world = World::new(
        "[tier.a]\ncron = \"30 2 * * *\"\nsplay = \"1h\"\ntimezone = \"Europe/Vienna\"\n\
         [tier.b]\ncron = \"0 */6 * * *\"\nsplay = \"10m\"\ntimezone = \"Australia/Lord_Howe\"\n\
         [tier.c]\ncron = \"15 0 1,15 * 1\"\ntimezone = \"America/Sao_Paulo\"\n\
         [tier.d]\nat = \"boot\"\ndelay = \"150s\"\n",
    );
    let (mut now, end) = (at("2018-01-01T00:00:00Z"), at("2019-01-01T00:00:00Z"));
    let (mut booted, mut awake_since) = (now, now);
    let (mut boots, mut startups, mut missed) = (1, 0, 0);
    let mut last: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    let since = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).to_std().unwrap();
    while now < end {
        let plan = world.step(now, since(booted, now), since(awake_since, now));
        for due in &plan.due {
            if due.tier == "d" {
                startups += 1;
                continue;
            }
            let tier = world.tiers.iter().find(|tier| tier.name == due.tier).unwrap();
            let When::Cron(cron, zone) = &tier.when else { panic!("no cron") };
            // The date that follows the one that was served before, as cron names it.
            if let Some(before) = last.insert(due.tier.clone(), due.date) {
                assert!(due.date > before, "{} again for {before}", due.tier);
                let served = cron.next(before, zone).unwrap();
                assert!(due.date >= served);
            }
            let on_time = due.date + super::place(tier, &world.machine);
            assert!(now >= on_time, "{} before its time", due.tier);
            let late = now - on_time;
            if on_time >= awake_since {
                assert!(late < chrono::Duration::seconds(2), "{} is {late} late", due.tier);
            } else {
                missed += 1;
                let back = now - awake_since;
                assert!(back <= chrono::Duration::seconds(61), "{} {back} after", due.tier);
            }
        }
        let mut next = plan.wake.unwrap().max(now + Duration::from_secs(1));
        if random(5) == 0 {
            // Off or asleep for a while, from some moment before that on.
            next = now + Duration::from_secs(random(4 * 86400));
            awake_since = next;
            if random(2) == 0 {
                booted = next;
                boots += 1;
                world.machine.boot = format!("b{boots}");
            }
        }
        now = next;
    }
    assert!(missed > 50, "{missed}");
    // A boot that lasted less than 150 seconds has none.
    assert!(startups > boots / 2 && startups <= boots, "{startups} of {boots}");
}
