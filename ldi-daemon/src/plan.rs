//! Which tiers are due, and when to look again: a pure function of tiers, persisted state, clock,
//! boot and machine.
//!
//! Due dates are wall-clock dates. A date counts as served when it was run or coalesced; however
//! many were missed, one run serves them all. The clock may jump either way at any time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{
    machine::Machine,
    tiers::{Tier, When},
};

/// What is remembered about a tier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Every date up to this one has been served.
    pub served: Option<DateTime<Utc>>,
    /// The boot that was served, for tiers of `at = "boot"`.
    pub boot: Option<String>,
}

/// The clock and what surrounds it.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// Wall clock.
    pub now: DateTime<Utc>,
    /// Since boot, sleep included.
    pub uptime: Duration,
    /// Since this process has been awake: since its start or the end of the last sleep.
    pub awake: Duration,
    /// Window for what was missed before that.
    pub resume_splay: Duration,
    /// This machine and boot.
    pub machine: &'a Machine,
}

/// A tier that is to run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its name.
    pub tier: String,
    /// The date that it is run for.
    pub date: DateTime<Utc>,
    /// What to remember once it was started.
    pub state: State,
}

/// What to do now, and when to look again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tiers to start, in the order of their dates.
    pub due: Vec<Due>,
    /// The next date on which something may be due.
    pub wake: Option<DateTime<Utc>>,
    /// States that must be remembered at once: new tiers, and clocks that were set back.
    pub changed: BTreeMap<String, State>,
}

/// Plans `tiers`; those in `running` are left until they ended.
pub fn plan<'a>(
    tiers: impl IntoIterator<Item = &'a Tier>,
    states: &BTreeMap<String, State>,
    running: &BTreeSet<String>,
    moment: &Moment<'_>,
) -> Plan {
    let mut plan = Plan::default();
    for tier in tiers {
        let mut state = states.get(&tier.name).cloned().unwrap_or_default();
        if repair(tier, &mut state, moment) {
            plan.changed.insert(tier.name.clone(), state.clone());
        }
        if running.contains(&tier.name) {
            continue;
        }
        let Some(start) = start(tier, &state, moment) else { continue };
        if start.at <= moment.now {
            let served = match &tier.when {
                When::Cron(..) => {
                    State { served: Some(moment.now - place(tier, moment.machine)), boot: None }
                }
                When::Boot(_) | When::Update => {
                    State { served: Some(moment.now), boot: Some(moment.machine.boot.clone()) }
                }
            };
            let next = self::start(tier, &served, moment);
            plan.due.push(Due { tier: tier.name.clone(), date: start.date, state: served });
            plan.wake = earlier(plan.wake, next);
        } else {
            plan.wake = earlier(plan.wake, Some(start));
        }
    }
    plan.due.sort_by(|a, b| (a.date, &a.tier).cmp(&(b.date, &b.tier)));
    plan
}

fn earlier(wake: Option<DateTime<Utc>>, start: Option<Start>) -> Option<DateTime<Utc>> {
    match (wake, start) {
        (Some(wake), Some(start)) => Some(wake.min(start.at)),
        (wake, start) => wake.or(start.map(|s| s.at)),
    }
}

/// When `tier` will start next: its date, and the instant with this machine's splay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The date as the expression names it.
    pub date: DateTime<Utc>,
    /// When this machine starts it.
    pub at: DateTime<Utc>,
}

/// When `tier` will start next, as far as its state and the clock tell.
pub fn start(tier: &Tier, state: &State, moment: &Moment<'_>) -> Option<Start> {
    match &tier.when {
        When::Cron(cron, zone) => {
            let served = state.served.unwrap_or(moment.now).min(moment.now);
            let date = cron.next(served, zone)?;
            let at = date + place(tier, moment.machine);
            // Missed while the machine slept or was off: not all of a fleet at the same moment.
            let awake_since = moment.now - moment.awake;
            if at < awake_since {
                let words = format!("resume:{}", tier.name);
                let later = share(moment.machine, &words, moment.resume_splay);
                return Some(Start { date, at: awake_since + later });
            }
            Some(Start { date, at })
        }
        When::Boot(delay) => {
            if state.boot.as_deref() == Some(moment.machine.boot.as_str()) {
                return None;
            }
            let date = moment.now - moment.uptime + *delay;
            Some(Start { date, at: date + place(tier, moment.machine) })
        }
        When::Update => None,
    }
}

/// This machine's fixed place in the tier's window.
pub fn place(tier: &Tier, machine: &Machine) -> Duration {
    share(machine, &tier.name, tier.splay)
}

/// The fixed place of `machine` in a window that `words` name.
pub fn share(machine: &Machine, words: &str, window: Duration) -> Duration {
    Duration::from_millis(machine.share(words, millis(window)))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A new tier begins now (its past is not missed); a state from the future is pulled back.
fn repair(tier: &Tier, state: &mut State, moment: &Moment<'_>) -> bool {
    if matches!(tier.when, When::Boot(_) | When::Update) {
        return false;
    }
    if state.served.is_none_or(|served| served > moment.now) {
        state.served = Some(moment.now);
        return true;
    }
    false
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
