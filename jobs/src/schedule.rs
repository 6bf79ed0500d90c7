//! Cron expressions in local time, right at both clock changes.
//!
//! The `cron` crate matches calendar fields; this file gives it crontab's meaning: five fields
//! (seconds are then 0) or six, weekdays 0-7 with Sunday as 0 and 7, day of month OR weekday
//! when both are restricted. Clock changes follow cron(8): an expression with fixed times runs
//! once on each day (a skipped time right after the gap, a repeated one the first time); an
//! expression with a wildcard or step in minutes or hours keeps its rhythm in real time.

mod field;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use jiff::tz::AmbiguousOffset;
use serde::{Deserialize, Deserializer};

use field::FIELDS;

/// The time zone that a tier is planned in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Zone {
    /// This machine's.
    #[default]
    Local,
    /// A named one; `UTC` too.
    Named(jiff::tz::TimeZone),
}

/// What a local time means.
enum Meaning {
    One(DateTime<Utc>),
    /// The clock was set back: it is twice.
    Two(DateTime<Utc>, DateTime<Utc>),
    /// The clock was set forward: it never is.
    Gap,
}

impl Zone {
    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + Duration::seconds(self.offset(at))
    }

    fn offset(&self, at: DateTime<Utc>) -> i64 {
        i64::from(match self {
            Zone::Local => {
                chrono::Local.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
            }
            // Beyond the years that jiff knows (-9999 to 9999) nothing is planned.
            Zone::Named(zone) => jiff::Timestamp::from_second(at.timestamp())
                .map_or(0, |at| zone.to_offset(at).seconds()),
        })
    }

    fn meaning(&self, local: NaiveDateTime) -> Meaning {
        let with = |offset: jiff::tz::Offset| {
            (local - Duration::seconds(i64::from(offset.seconds()))).and_utc()
        };
        match self {
            Zone::Local => match chrono::Local.from_local_datetime(&local) {
                LocalResult::Single(t) => Meaning::One(t.with_timezone(&Utc)),
                LocalResult::Ambiguous(a, b) => {
                    Meaning::Two(a.with_timezone(&Utc), b.with_timezone(&Utc))
                }
                LocalResult::None => Meaning::Gap,
            },
            Zone::Named(zone) => {
                let Ok(as_utc) = jiff::Timestamp::from_second(local.and_utc().timestamp()) else {
                    return Meaning::Gap;
                };
                let civil = jiff::tz::TimeZone::UTC.to_datetime(as_utc);
                match zone.to_ambiguous_timestamp(civil).offset() {
                    AmbiguousOffset::Unambiguous { offset } => Meaning::One(with(offset)),
                    AmbiguousOffset::Fold { before, after } => {
                        Meaning::Two(with(before), with(after))
                    }
                    AmbiguousOffset::Gap { .. } => Meaning::Gap,
                }
            }
        }
    }

    /// `at` as people of this zone read it.
    pub fn show(&self, at: DateTime<Utc>) -> String {
        self.local(at).format("%Y-%m-%d %H:%M:%S").to_string()
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Ok(Zone::Local);
        }
        jiff::tz::TimeZone::get(text).map(Zone::Named).map_err(|_| {
            format!(
                "{text:?} is not a time zone; write \"local\", \"UTC\" or a name such as \"Europe/Vienna\""
            )
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Local => f.write_str("local"),
            Zone::Named(zone) => f.write_str(zone.iana_name().unwrap_or("UTC")),
        }
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A cron expression.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    /// Two when day of month and weekday are both restricted: either may match.
    patterns: Vec<cron::Schedule>,
    rhythm: bool,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is not a cron expression: {why}");
        if text.len() > 200 {
            return Err("a cron expression is at most 200 characters long".to_owned());
        }
        let mut fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let &[_, minute, hour, day, _, weekday] = fields.as_slice() else {
            return Err(wrong(
                "it needs 5 fields (minute hour day month weekday), or 6 with seconds first",
            ));
        };
        let plain: Result<Vec<String>, String> =
            FIELDS.iter().zip(&fields).map(|(field, text)| field.plain(text)).collect();
        let mut plain = plain.map_err(|why| wrong(&why))?;
        let any = |field: &str| field.starts_with(['*', '?']);
        let combinations = if any(day) || any(weekday) {
            vec![plain.join(" ")]
        } else {
            let of_month = std::mem::replace(&mut plain[3], "*".to_owned());
            let on_weekdays = plain.join(" ");
            plain[3] = of_month;
            plain[5] = "*".to_owned();
            vec![plain.join(" "), on_weekdays]
        };
        let mut patterns = Vec::new();
        for expression in combinations {
            let pattern: cron::Schedule = expression.parse().map_err(|e: cron::error::Error| {
                // What the fields say was checked; whatever it is, it is one line.
                wrong(e.to_string().lines().last().unwrap_or_default())
            })?;
            if pattern.after(&Utc.timestamp_nanos(0)).next().is_none() {
                return Err(wrong("no date ever matches it"));
            }
            patterns.push(pattern);
        }
        let rhythm = [minute, hour].iter().any(|f| f.contains('*') || f.contains('/'));
        Ok(Self { text: text.to_owned(), patterns, rhythm })
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// No zone has changed its clock by more than this at once in cron's lifetime but for the date
/// line, where a whole day goes missing.
const AROUND: Duration = Duration::hours(26);

impl Cron {
    /// The first instant after `after` that this expression names in `zone`; `None` past the
    /// year 2099.
    pub fn next(&self, after: DateTime<Utc>, zone: &Zone) -> Option<DateTime<Utc>> {
        let offset = zone.offset(after);
        let candidate = self.next_local(zone.local(after))?;
        let instant = (candidate - Duration::seconds(offset)).and_utc();
        // Far from every clock change local time is UTC plus a constant.
        let near = [after - AROUND, after + AROUND, instant - AROUND, instant + AROUND, instant];
        if near.iter().all(|t| zone.offset(*t) == offset) {
            return Some(instant);
        }
        self.next_near_change(after, zone)
    }

    fn next_near_change(&self, after: DateTime<Utc>, zone: &Zone) -> Option<DateTime<Utc>> {
        let mut best: Option<DateTime<Utc>> = None;
        let mut local = zone.local(after) - AROUND;
        // Every second of both days, at the worst.
        for _ in 0..200_000 {
            local = self.next_local(local)?;
            if let Some(found) = best
                && local > zone.local(found) + Duration::hours(3)
            {
                return best;
            }
            let (first, second) = match zone.meaning(local) {
                Meaning::One(t) => (Some(t), None),
                Meaning::Two(a, b) => (Some(a.min(b)), self.rhythm.then_some(a.max(b))),
                Meaning::Gap if self.rhythm => (None, None),
                Meaning::Gap => (gap_end(zone, local), None),
            };
            for t in [first, second].into_iter().flatten().filter(|t| *t > after) {
                best = Some(best.map_or(t, |b| b.min(t)));
            }
        }
        best
    }

    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = after.and_utc();
        self.patterns.iter().filter_map(|p| p.after(&after).next()).min().map(|t| t.naive_utc())
    }
}

/// The first instant after the gap that `local` falls into.
fn gap_end(zone: &Zone, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let (mut low, mut high) = ((local - AROUND).and_utc(), (local + AROUND).and_utc());
    let before = zone.offset(low);
    while high - low > Duration::seconds(1) {
        let middle = low + (high - low) / 2;
        if zone.offset(middle) == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    DateTime::from_timestamp(high.timestamp(), 0)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "schedule_croner_tests.rs"]
mod croner_tests;
