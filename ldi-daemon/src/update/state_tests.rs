//! Each event by itself, and all of them in random order with crashes in between: there is always a
//! base or a confirmed agent within a few starts.

use proptest::prelude::*;

use super::*;

const DEADLINE: u64 = 900;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn base() -> Version {
    version("1.0.0")
}

fn at(boot: u32, seconds: u64) -> Moment {
    Moment { boot: boot.to_string(), at: seconds, time: DateTime::UNIX_EPOCH }
}

fn agent(name: &str, number: &str) -> Agent {
    Agent { sha256: name.to_owned(), size: 1, version: version(number), below: None }
}

fn trial(agent: Agent) -> Trial {
    Trial {
        agent,
        deadline: DEADLINE,
        stop: 30,
        unit: None,
        begun: None,
        starts: 0,
        stopped: false,
        last: None,
        revoked: None,
    }
}

fn trying(name: &str) -> State {
    State { trial: Some(trial(agent(name, "1.1.0"))), ..State::default() }
}

fn verdict<'a>(state: &'a State, name: &str) -> &'a Verdict {
    &state.failure(name).unwrap().verdict
}

#[test]
fn an_agent_that_proves_itself_serves() {
    let mut state = trying("a");
    assert_eq!(state.start(&base(), &at(1, 10)), Choice::Trial(agent("a", "1.1.0")));
    assert!(state.owes_proof(Some("a")) && !state.owes_proof(None));
    state.not_proven(Some("a"), "no network", &at(1, 20));
    assert_eq!(state.watch(&at(1, 20)), Watch::Wait(DEADLINE - 10));
    state.proven(Some("a"), &at(1, 30));
    assert_eq!((state.trial.as_ref(), state.failed.len()), (None, 0));
    assert_eq!(state.watch(&at(1, 2000)), Watch::Over);
    assert_eq!(state.start(&base(), &at(2, 1)), Choice::Confirmed(agent("a", "1.1.0")));
}

#[test]
fn an_agent_that_ends_again_and_again_is_bad() {
    let mut state = trying("a");
    for _ in 0..STARTS {
        assert!(matches!(state.start(&base(), &at(1, 10)), Choice::Trial(_)));
    }
    assert_eq!(state.start(&base(), &at(1, 10)), Choice::Base);
    assert_eq!(*verdict(&state, "a"), Verdict::Bad);
    // A daemon that was told to end did not crash.
    let mut state = trying("a");
    for _ in 0..10 {
        assert!(matches!(state.start(&base(), &at(1, 10)), Choice::Trial(_)));
        state.stopped("a");
    }
}

#[test]
fn an_agent_that_cannot_be_executed_is_bad_at_once() {
    let mut state = trying("a");
    state.start(&base(), &at(1, 10));
    state.could_not_start("a", "Exec format error", &at(1, 10));
    assert_eq!(state.start(&base(), &at(1, 10)), Choice::Base);
    assert_eq!(*verdict(&state, "a"), Verdict::Bad);
}

#[test]
fn whether_a_late_agent_is_bad_is_shown_by_the_one_before_it() {
    let late = || {
        let mut state = trying("a");
        state.start(&base(), &at(1, 10));
        assert_eq!(state.watch(&at(1, 10 + DEADLINE)), Watch::Restart);
        assert_eq!(state.watch(&at(1, 11 + DEADLINE)), Watch::Restart);
        assert!(!state.owes_proof(Some("a")), "it is too late");
        assert_eq!(state.start(&base(), &at(1, 12 + DEADLINE)), Choice::Base);
        assert!(state.owes_proof(None));
        state
    };
    let mut state = late();
    state.proven(None, &at(1, 20 + DEADLINE));
    assert_eq!(*verdict(&state, "a"), Verdict::Bad);

    // The network is away: nobody can sync, so nothing is said about the agent.
    let mut state = late();
    state.not_proven(None, "unreachable", &at(1, 20 + DEADLINE));
    assert!(matches!(verdict(&state, "a"), Verdict::Open { .. }));
    state.not_proven(None, "unreachable", &at(1, 13 + 2 * DEADLINE));
    assert_eq!(*verdict(&state, "a"), Verdict::Retry);
    assert!(!state.owes_proof(None));

    let mut state = late();
    state.proven(None, &at(2, 20));
    assert_eq!(*verdict(&state, "a"), Verdict::Retry, "another boot, another network");
}

#[test]
fn a_reboot_brings_the_old_one_back_and_ends_the_trial_without_an_answer() {
    let mut state = trying("a");
    state.confirmed = Some(agent("c", "1.0.5"));
    state.start(&base(), &at(1, 10));
    assert_eq!(state.start(&base(), &at(2, 1)), Choice::Confirmed(agent("c", "1.0.5")));
    assert_eq!(*verdict(&state, "a"), Verdict::Retry);
    // Not for ever.
    for boot in 3..3 + TRIES {
        state.trial = Some(trial(agent("a", "1.1.0")));
        state.start(&base(), &at(boot, 1));
        state.start(&base(), &at(boot + 1, 1));
    }
    assert_eq!(*verdict(&state, "a"), Verdict::Bad);
    // One that waits for its first start does not mind.
    let mut state = trying("a");
    assert_eq!(state.watch(&at(1, 1)), Watch::Over);
    assert!(matches!(state.start(&base(), &at(2, 1)), Choice::Trial(_)));
}

#[test]
fn a_service_that_was_stopped_says_nothing_about_the_agent() {
    let mut state = trying("a");
    state.start(&base(), &at(1, 10));
    state.stopped("a");
    assert_eq!(state.watch(&at(1, 10 + DEADLINE)), Watch::Over);
    assert_eq!(*verdict(&state, "a"), Verdict::Retry);
}

#[test]
fn a_newer_package_goes_before_an_older_agent() {
    let mut state = State { confirmed: Some(agent("a", "1.1.0")), ..State::default() };
    assert!(matches!(state.start(&version("1.1.0"), &at(1, 1)), Choice::Confirmed(_)));
    assert_eq!(state.start(&version("1.2.0"), &at(1, 1)), Choice::Base);
    assert_eq!(state.confirmed, None);
    // A signed rollback goes below one base, not below the next.
    let below = Agent { below: Some(base()), ..agent("a", "0.9.0") };
    let mut state = State { confirmed: Some(below), ..State::default() };
    assert!(matches!(state.start(&base(), &at(1, 1)), Choice::Confirmed(_)));
    assert_eq!(state.start(&version("1.0.1"), &at(1, 1)), Choice::Base);
}

#[test]
fn the_base_helps_out_for_a_confirmed_agent_that_does_not_come_up() {
    let mut state = State { confirmed: Some(agent("a", "1.1.0")), ..State::default() };
    for _ in 0..STARTS {
        assert!(matches!(state.start(&base(), &at(1, 1)), Choice::Confirmed(_)));
    }
    assert_eq!(state.start(&base(), &at(1, 1)), Choice::Base);
    assert!(matches!(state.start(&base(), &at(1, 1)), Choice::Confirmed(_)));
    state.ready("a");
    assert_eq!(state.starts, 0);
    state.could_not_start("a", "damaged", &at(1, 1));
    assert_eq!(state.start(&base(), &at(1, 1)), Choice::Base);
    assert!(state.failed.is_empty(), "the library brings it again");
}

#[test]
fn by_hand_everything_is_taken_back() {
    let mut state = trying("b");
    state.confirmed = Some(agent("a", "1.0.5"));
    assert!(state.revert(&at(1, 1)));
    assert_eq!(state.start(&base(), &at(1, 1)), Choice::Base);
    assert_eq!((verdict(&state, "a"), verdict(&state, "b")), (&Verdict::Bad, &Verdict::Bad));
    assert!(!state.revert(&at(1, 1)));
}

#[test]
fn reasons_and_their_number_are_bounded() {
    let mut state = State::default();
    for n in 0..100 {
        let reason = "x\n".repeat(1000);
        state.fail(n.to_string(), None, &reason, Verdict::Bad, DateTime::UNIX_EPOCH);
    }
    assert_eq!(state.failed.len(), FAILED_KEPT);
    assert!(state.failed.iter().all(|failed| failed.reason.len() == REASON_MAX));
    assert!(!state.failed[0].reason.contains('\n'));
}

#[test]
fn the_state_of_another_version_is_read() {
    // The form is frozen: a base of today reads it in years.
    let text = include_str!("state_test.json");
    let state: State = serde_json::from_str(text).unwrap();
    assert_eq!(state.confirmed.as_ref().unwrap().version, version("1.1.0"));
    assert_eq!(state.trial.as_ref().unwrap().begun.as_ref().unwrap().at, 12);
    assert!(matches!(state.failed[0].verdict, Verdict::Open { until: 900, .. }));
    let again: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(again, state);
}

/// What an agent does when it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nature {
    Good,
    Unexecutable,
    EndsAtOnce,
    CannotSync,
    Hangs,
    TakesTheMachineDown,
}

const NATURES: [Nature; 6] = [
    Nature::Good,
    Nature::Unexecutable,
    Nature::EndsAtOnce,
    Nature::CannotSync,
    Nature::Hangs,
    Nature::TakesTheMachineDown,
];

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The library brings this agent.
    Offer(usize),
    /// The service manager starts the base; with a crash after the decision was written down.
    Start { crash: bool },
    /// Somebody kills the daemon.
    Crash,
    /// The power goes. What was written down was synced to the disk.
    Reboot,
    /// Time passes.
    Pass(u64),
    /// What runs tries its proof.
    Prove,
    /// The watcher looks, if one lives.
    Watch,
    /// The watcher is killed.
    KillWatcher,
    /// The network comes or goes.
    Network(bool),
    /// The administrator stops the service.
    Stop,
    /// From here on no agent comes up, good as it was.
    Break,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..NATURES.len()).prop_map(Event::Offer),
        6 => any::<bool>().prop_map(|crash| Event::Start { crash }),
        1 => Just(Event::Crash),
        1 => Just(Event::Reboot),
        3 => (1u64..600).prop_map(Event::Pass),
        4 => Just(Event::Prove),
        3 => Just(Event::Watch),
        1 => Just(Event::KillWatcher),
        1 => any::<bool>().prop_map(Event::Network),
        1 => Just(Event::Stop),
        1 => Just(Event::Break),
    ]
}

/// A machine with a service manager, as far as it matters here.
struct World {
    state: State,
    boot: u32,
    clock: u64,
    network: bool,
    watcher: bool,
    broken: bool,
    /// Who runs: `Some(None)` is the base.
    process: Option<Option<usize>>,
}

impl World {
    fn new() -> Self {
        Self {
            state: State::default(),
            boot: 1,
            clock: 0,
            network: true,
            watcher: false,
            broken: false,
            process: None,
        }
    }

    fn now(&self) -> Moment {
        at(self.boot, self.clock)
    }

    fn running(&self) -> Option<String> {
        self.process.flatten().map(|n| n.to_string())
    }

    fn offer(&mut self, n: usize) {
        let name = n.to_string();
        let known = self.state.failure(&name).is_some_and(|f| f.verdict != Verdict::Retry);
        let confirmed = self.state.confirmed.as_ref().is_some_and(|a| a.sha256 == name);
        let serves =
            matches!(self.process, Some(p) if p.is_none_or(|n| NATURES[n] == Nature::Good));
        // The probe before a trial finds what cannot be executed at all, mostly.
        if serves && self.network && !known && !confirmed && self.state.trial.is_none() {
            self.state.trial = Some(trial(agent(&name, "1.1.0")));
            // It makes room.
            self.process = None;
        }
    }

    fn start(&mut self, crash: bool) {
        if self.process.is_some() {
            return;
        }
        // As `start::start`, with a power cut or a kill between writing down and executing.
        for _ in 0..4 {
            let now = self.now();
            let choice = self.state.start(&base(), &now);
            let chosen = match &choice {
                Choice::Base => None,
                Choice::Confirmed(agent) | Choice::Trial(agent) => Some(agent.sha256.clone()),
            };
            if let Some(name) = &chosen {
                let bad = self.state.failure(name).is_some_and(|f| f.verdict == Verdict::Bad);
                assert!(!bad, "a bad agent was chosen: {:?}", self.state);
            }
            if crash {
                return;
            }
            if matches!(choice, Choice::Trial(_)) {
                self.watcher = true;
            }
            let Some(name) = chosen else {
                self.process = Some(None);
                return;
            };
            let n: usize = name.parse().unwrap();
            match NATURES[n] {
                Nature::Unexecutable => self.state.could_not_start(&name, "no", &now),
                Nature::EndsAtOnce => return,
                Nature::Good if self.broken => return,
                Nature::TakesTheMachineDown => return self.reboot(),
                Nature::Good | Nature::CannotSync | Nature::Hangs => {
                    self.process = Some(Some(n));
                    if NATURES[n] != Nature::Hangs {
                        self.state.ready(&name);
                    }
                    return;
                }
            }
        }
        self.process = Some(None);
    }

    fn reboot(&mut self) {
        self.boot += 1;
        self.clock = 0;
        self.process = None;
        self.watcher = false;
    }

    fn prove(&mut self) {
        let Some(process) = self.process else { return };
        let running = self.running();
        let now = self.now();
        match process.map(|n| NATURES[n]) {
            None | Some(Nature::Good) if self.network => {
                self.state.proven(running.as_deref(), &now);
            }
            Some(Nature::Hangs) => {}
            _ => self.state.not_proven(running.as_deref(), "unreachable", &now),
        }
    }

    fn watch(&mut self) {
        if !self.watcher {
            return;
        }
        let now = self.now();
        match self.state.watch(&now) {
            Watch::Over => self.watcher = false,
            Watch::Wait(_) => {}
            Watch::Restart => self.process = None,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Offer(n) => self.offer(n),
            Event::Start { crash } => self.start(crash),
            Event::Crash => self.process = None,
            Event::Reboot => self.reboot(),
            Event::Pass(seconds) => self.clock += seconds,
            Event::Prove => self.prove(),
            Event::Watch => self.watch(),
            Event::KillWatcher => self.watcher = false,
            Event::Network(up) => self.network = up,
            Event::Break => self.broken = true,
            Event::Stop => {
                if let Some(name) = self.running()
                    && NATURES[self.process.flatten().unwrap_or(0)] != Nature::Hangs
                {
                    self.state.stopped(&name);
                }
                self.process = None;
            }
        }
        if let Some(confirmed) = &self.state.confirmed {
            let n: usize = confirmed.sha256.parse().unwrap();
            assert_eq!(NATURES[n], Nature::Good, "confirmed without a proof");
        }
        if let Some(n) = self.process.flatten() {
            let trial = self.state.trial.as_ref().is_some_and(|t| t.agent.sha256 == n.to_string());
            let confirmed =
                self.state.confirmed.as_ref().is_some_and(|a| a.sha256 == n.to_string());
            assert!(trial || confirmed, "an agent runs that nobody answers for: {:?}", self.state);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_something_good_serves_in_the_end(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        // From here on nobody interferes, and the service manager does its work: at most so many
        // starts until a base, a confirmed agent or a trial with a watcher runs: those of a trial,
        // those of a confirmed agent, and the base's.
        const MOST: u32 = 2 * STARTS + 1;
        let mut starts = 0;
        while world.process.is_none() {
            world.apply(Event::Start { crash: false });
            starts += 1;
            prop_assert!(starts <= MOST, "{:?}", world.state);
        }
        // A trial whose watcher was killed is watched again from the next start on; without one a
        // hanging agent stays until then, so the watcher lives from here on.
        world.watcher = true;
        let mut left = DEADLINE + 1;
        let mut starts = 0;
        while world.state.trial.is_some() {
            prop_assert!(left > 0 || starts <= MOST, "{:?}", world.state);
            world.apply(Event::Watch);
            if world.process.is_none() {
                world.apply(Event::Start { crash: false });
                starts += 1;
            }
            world.apply(Event::Prove);
            world.apply(Event::Pass(100));
            left = left.saturating_sub(100);
        }
        for _ in 0..MOST {
            world.apply(Event::Start { crash: false });
        }
        let good = match world.process {
            Some(None) => true,
            Some(Some(n)) => NATURES[n] == Nature::Good,
            None => false,
        };
        prop_assert!(good, "{:?} {:?}", world.process, world.state);
    }
}
