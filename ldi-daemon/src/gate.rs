//! Gates: a job that waits for a network asks the library's own `check_corp` and
//! `check_internet`, one that waits for mains power asks the kernel, until they say yes or its
//! deadline has passed.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use crate::{
    launch::{self, Fault, Scene},
    logs::Log,
    machine,
    supervise::{Limits, Outcome, supervise},
    tiers::Gate,
};

/// How long a job waits when it does not say.
pub const DEADLINE: Duration = Duration::from_secs(4 * 3600);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(60);

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All gates are open.
    Open,
    /// The deadline passed: the sentence.
    Closed(String),
    /// `ldi` was stopped.
    Stopped,
}

/// Waits until all of `gates` were open in one look. Those that had to open first are passed
/// `splay` later, if they are still open then: a network comes back for a whole fleet at once.
pub async fn wait(
    scene: &Scene<'_>,
    gates: &[Gate],
    (deadline, splay): (Duration, Duration),
    run: &str,
    mut stop: watch::Receiver<bool>,
) -> Verdict {
    let begun = Instant::now();
    let mut was_closed = false;
    let mut splayed = false;
    loop {
        let mut closed = None;
        for gate in gates {
            if let Err(why) = look(scene, *gate, run, stop.clone()).await {
                closed = Some(format!("gate {gate} is closed: {why}"));
                break;
            }
        }
        if *stop.borrow() {
            return Verdict::Stopped;
        }
        let pause = match closed {
            None if splayed || !was_closed || splay.is_zero() => return Verdict::Open,
            None => {
                splayed = true;
                splay
            }
            Some(why) => {
                was_closed = true;
                let left = deadline.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    return Verdict::Closed(format!(
                        "{why}; it did not open within {}",
                        crate::parse::Span(deadline)
                    ));
                }
                left.min(scene.config.run.gate_interval.0)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            stopped = stop.wait_for(|stop| *stop) => {
                if stopped.is_ok() {
                    return Verdict::Stopped;
                }
            }
        }
    }
}

async fn look(
    scene: &Scene<'_>,
    gate: Gate,
    run: &str,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let Some(function) = gate.function() else {
        return if machine::on_mains() { Ok(()) } else { Err("it runs on battery".to_owned()) };
    };
    let command = launch::gate(scene, function, run).map_err(|fault| match fault {
        Fault::Tampered(_, sentence) | Fault::Other(sentence) => sentence,
    })?;
    let limits = Limits { timeout: LOOK, kill_after: Duration::from_secs(1), nice: 0 };
    let ended = supervise(command, run, limits, &mut Log::none(), stop).await;
    match ended.outcome {
        Outcome::Ok => Ok(()),
        _ => Err(format!("{function} said no ({})", ended.reason.unwrap_or_default())),
    }
}
