//! What follows from one exchange with the fleet server: which entries are told, which are set
//! aside, and what is sent next. Pure.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use chrono::TimeDelta;
use ldi_api::submission::{Answer, FORMAT, MOST_BYTES, MOST_ENTRIES, Outcome};

use crate::{Failure, error::code, journal::Entry};

/// Seconds that the first failure costs at most; doubles with each further one.
const FIRST: u64 = 60;
/// Seconds that our own waits do not exceed.
const LONGEST: u64 = 3600;
/// Seconds that a server may ask for.
const MOST_ASKED: u64 = 86_400;
/// Characters kept of a reason.
const REASON_MAX: usize = 300;

/// Entries that are sent together, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
}

impl Batch {
    /// The first of `entries`, as many as a request may hold, and one whatever its size.
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        let mut bytes = 0;
        let fit = entries.iter().take_while(|entry| {
            bytes += entry.body.len() + 1;
            bytes <= MOST_BYTES
        });
        let fit = fit.count().max(1);
        entries.truncate(fit);
        Self { entries }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The request's body.
    pub(super) fn body(&self) -> String {
        let bodies: Vec<&str> = self.entries.iter().map(|entry| entry.body.as_str()).collect();
        format!("{{\"format\":{FORMAT},\"entries\":[{}]}}", bodies.join(","))
    }
}

/// How an exchange went.
#[derive(Debug)]
pub(super) enum Exchange {
    /// 2xx, with this body.
    Answered(Vec<u8>),
    /// The server itself refused the request (400, 413, 422): one of its entries is at fault.
    Refused(String),
    /// Somebody on the way refused it as too large (413).
    TooLarge(String),
    /// This machine may not (401, 403), the address is wrong (404), or the settings are.
    NotPermitted(Failure),
    /// Nobody was there, or too busy.
    Later {
        /// One sentence.
        why: String,
        /// Seconds that the server asks to wait.
        retry_after: Option<u64>,
    },
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send the next batch, of at most so many entries.
    Batch {
        /// At least one.
        of: usize,
    },
    /// Come back later.
    Later {
        /// Why.
        failure: Failure,
        /// Seconds that the server asks to wait.
        retry_after: Option<u64>,
    },
}

/// What follows from an exchange.
#[derive(Debug)]
pub(super) struct After {
    /// The server has these.
    pub(super) stored: Vec<Entry>,
    /// The server will never take these, each with its reason.
    pub(super) rejected: Vec<(Entry, String)>,
    /// What then.
    pub(super) next: Next,
    /// This machine's certificate should be renewed.
    pub(super) renew: bool,
}

/// What follows from the `exchange` of `batch`, for which `most` entries were asked for.
pub(super) fn step(batch: &Batch, exchange: Exchange, most: usize) -> After {
    let later = |failure, retry_after| Next::Later { failure, retry_after };
    let nothing = |next| After { stored: Vec::new(), rejected: Vec::new(), next, renew: false };
    match exchange {
        Exchange::Answered(bytes) => answered(batch, &bytes, most),
        Exchange::Refused(why) => match batch.entries.as_slice() {
            [only] => After {
                stored: Vec::new(),
                rejected: vec![(only.clone(), cut(&why))],
                next: Next::Batch { of: 1 },
                renew: false,
            },
            // Halves find the one at fault in few requests.
            entries => nothing(Next::Batch { of: entries.len() / 2 }),
        },
        Exchange::TooLarge(_) if batch.entries.len() > 1 => {
            nothing(Next::Batch { of: batch.entries.len() / 2 })
        }
        Exchange::TooLarge(why) => nothing(later(Failure::new(code::UNREACHABLE, why), None)),
        Exchange::NotPermitted(failure) => nothing(later(failure, None)),
        Exchange::Later { why, retry_after } => {
            nothing(later(Failure::new(code::UNREACHABLE, why), retry_after))
        }
    }
}

fn answered(batch: &Batch, bytes: &[u8], most: usize) -> After {
    let mut renew = false;
    let mut verdicts: BTreeMap<String, (Outcome, String)> = BTreeMap::new();
    if let Ok(answer) = serde_json::from_slice::<Answer<'_>>(bytes) {
        renew = answer.renew;
        for verdict in answer.entries {
            let reason = verdict.reason.unwrap_or("no reason was given".into());
            verdicts.insert(verdict.entry.into_owned(), (verdict.outcome, cut(&reason)));
        }
    }
    let (mut stored, mut rejected) = (Vec::new(), Vec::new());
    for entry in &batch.entries {
        match verdicts.remove(&entry.name) {
            Some((Outcome::Stored, _)) => stored.push(entry.clone()),
            Some((Outcome::Rejected, reason)) => rejected.push((entry.clone(), reason)),
            None => {}
        }
    }
    let decided = stored.len() + rejected.len();
    let next = match decided {
        // Asking again at once would be asking for ever.
        0 => Next::Later {
            failure: Failure::new(
                code::UNREACHABLE,
                "the fleet server's answer does not say what became of the entries; \
                 is [server] url the address of an ldi-server?",
            ),
            retry_after: None,
        },
        _ => Next::Batch { of: (most * 2).min(MOST_ENTRIES) },
    };
    After { stored, rejected, next, renew }
}

fn cut(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect()
}

/// How long to stay away after so many failures: between half and all of what they cost, so that
/// machines that lost the server together do not come back to it together. What the server asks
/// for is the least, and up to as long again is added.
pub(super) fn wait(failures: u32, retry_after: Option<u64>, dice: u64) -> Duration {
    let own = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let own = own / 2 + dice % (own / 2 + 1);
    let asked = retry_after.map_or(0, |seconds| {
        let seconds = seconds.min(MOST_ASKED);
        seconds + dice % (seconds + 1)
    });
    Duration::from_secs(own.max(asked))
}

/// No wait is longer.
pub(super) fn longest() -> TimeDelta {
    TimeDelta::seconds(2 * 86_400)
}

/// A number that differs from machine to machine and from call to call.
pub(super) fn dice() -> u64 {
    RandomState::new().build_hasher().finish()
}
