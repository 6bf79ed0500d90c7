//! One field of a cron expression: what it names, and what is wrong with it, in one sentence.

use std::collections::BTreeSet;

/// A field: its name, its bounds, and the names of its values, from the lowest on.
pub(super) struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];
const DAYS: [&str; 7] =
    ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"];
/// How much of a name is enough.
const SHORT: usize = 3;

/// In the order in which they stand.
pub(super) const FIELDS: [Field; 6] = [
    Field { name: "second", low: 0, high: 59, names: &[] },
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    // Sunday is 0 and 7.
    Field { name: "weekday", low: 0, high: 7, names: &DAYS },
];

impl Field {
    fn is_weekday(&self) -> bool {
        self.high == 7
    }

    /// The field `text` as the `cron` crate means it: `*`, or a list that leaves nothing to count
    /// differently (it has weekdays from 1, crontab(5) from 0).
    pub(super) fn plain(&self, text: &str) -> Result<String, String> {
        let mut chosen = BTreeSet::new();
        for item in text.split(',') {
            let (first, last, step) = self.item(item)?;
            let step = usize::try_from(step).unwrap_or(1);
            let days = |n: u32| if self.is_weekday() { n % 7 } else { n };
            chosen.extend((first..=last).step_by(step).map(days));
        }
        let all = if self.is_weekday() { 7 } else { self.high - self.low + 1 };
        if chosen.len() == usize::try_from(all).unwrap_or(usize::MAX) {
            return Ok("*".to_owned());
        }
        let word = |n: &u32| match usize::try_from(*n).ok().and_then(|n| self.names.get(n)) {
            Some(name) if self.is_weekday() => short(name).to_owned(),
            _ => n.to_string(),
        };
        Ok(chosen.iter().map(word).collect::<Vec<_>>().join(","))
    }

    /// First, last and step of one item of a list.
    fn item(&self, item: &str) -> Result<(u32, u32, u32), String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => {
                let wrong = || {
                    format!("the step {step:?} of the {} is not from 1 to {}", self.name, self.high)
                };
                let step =
                    number(step).filter(|n| (1..=self.high).contains(n)).ok_or_else(wrong)?;
                (range, Some(step))
            }
            None => (item, None),
        };
        let whole = if self.is_weekday() { 6 } else { self.high };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (self.low, whole),
            Some((first, last)) => {
                let (first, last) = (self.value(first)?, self.value(last)?);
                match last < first {
                    true if self.is_weekday() => (first, last + 7),
                    true => {
                        let name = self.name;
                        return Err(format!("the {name} {range:?} ends before it begins"));
                    }
                    false => (first, last),
                }
            }
            None => {
                let first = self.value(range)?;
                (first, if step.is_some() { whole.max(first) } else { first })
            }
        };
        Ok((first, last, step.unwrap_or(1)))
    }

    fn value(&self, word: &str) -> Result<u32, String> {
        let upper = word.to_ascii_uppercase();
        let named = (upper.len() >= SHORT)
            .then(|| self.names.iter().position(|name| name.starts_with(&upper)))
            .flatten();
        let found = match named.and_then(|at| u32::try_from(at).ok()) {
            Some(at) => Some(self.low + at),
            None => number(word).filter(|n| (self.low..=self.high).contains(n)),
        };
        found.ok_or_else(|| {
            let (name, low, high) = (self.name, self.low, self.high);
            let names = match self.names {
                [first, .., last] => format!(", or {} to {}", short(first), short(last)),
                _ => String::new(),
            };
            format!("the {name} {word:?} is not from {low} to {high}{names}")
        })
    }
}

fn short(name: &str) -> &str {
    name.get(..SHORT).unwrap_or(name)
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_are_crontabs() {
        let days = |text: &str| FIELDS[5].plain(text).unwrap();
        assert_eq!(days("0"), "SUN");
        assert_eq!(days("7"), "SUN");
        assert_eq!(days("1-5"), "MON,TUE,WED,THU,FRI");
        assert_eq!(days("5-7"), "SUN,FRI,SAT");
        assert_eq!(days("sat-mon"), "SUN,MON,SAT");
        assert_eq!(days("Wednesday"), "WED");
        assert_eq!(days("*/2"), "SUN,TUE,THU,SAT");
        assert_eq!(days("4/2"), "THU,SAT");
        assert_eq!(days("7/2"), "SUN");
        assert_eq!(days("0-7"), "*");
        assert_eq!(days("?"), "*");
    }

    #[test]
    fn lists_ranges_and_steps() {
        assert_eq!(FIELDS[1].plain("*").unwrap(), "*");
        assert_eq!(FIELDS[1].plain("*/20,5-7,59").unwrap(), "0,5,6,7,20,40,59");
        assert_eq!(FIELDS[1].plain("50/5").unwrap(), "50,55");
        assert_eq!(FIELDS[4].plain("feb-APR,12").unwrap(), "2,3,4,12");
        assert_eq!(FIELDS[3].plain("1-31").unwrap(), "*");
    }
}
