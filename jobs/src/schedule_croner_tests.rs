//! [`super`] against croner, an independent implementation, over years of random expressions in
//! zones whose clocks do what clocks can do.
//!
//! `LDI_LONG=1` takes twenty thousand expressions in place of some hundred (build with --release).

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;

/// A change of half an hour, one at midnight, a day that is not there, changes against the
/// season, twice a year, by two hours, for good, and none.
const ZONES: [&str; 16] = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Vienna",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Gaza",
    "Asia/Tehran",
    "Africa/Cairo",
    "Antarctica/Troll",
    "America/Caracas",
    "Asia/Pyongyang",
    "Europe/Dublin",
];
/// 1990 to 2025: the years that every edition of the time zone database tells alike.
const YEARS: std::ops::Range<i64> = 631_152_000..1_735_689_600;

fn number(low: u32, high: u32) -> impl Strategy<Value = String> {
    (low..=high).prop_map(|n| n.to_string())
}

fn range(low: u32, high: u32) -> impl Strategy<Value = String> {
    (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)))
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let item = prop_oneof![3 => number(low, high).boxed(), 1 => range(low, high).boxed()];
    prop_oneof![
        4 => Just("*".to_owned()),
        4 => number(low, high),
        2 => (2..=(high - low).min(20)).prop_map(|n| format!("*/{n}")),
        1 => (range(low, high), 2u32..=7).prop_map(|(range, n)| format!("{range}/{n}")),
        2 => prop::collection::vec(item, 2..4).prop_map(|items| items.join(",")),
    ]
}

/// croner takes `*/2` for a restriction of the day, cron(8) does not: see
/// `a_day_field_that_begins_with_a_star_restricts_nothing_else`. Written out, both agree.
fn day_field(low: u32, high: u32) -> impl Strategy<Value = String> {
    field(low, high).prop_map(move |text| match text.strip_prefix("*/") {
        Some(step) => format!("{low}-{high}/{step}"),
        None => text,
    })
}

fn expression() -> impl Strategy<Value = String> {
    let day = prop_oneof![3 => Just("*".to_owned()).boxed(), 1 => day_field(1, 28).boxed()];
    let month = prop_oneof![4 => Just("*".to_owned()).boxed(), 1 => field(1, 12).boxed()];
    let weekday = prop_oneof![3 => Just("*".to_owned()).boxed(), 1 => day_field(0, 6).boxed()];
    (field(0, 59), field(0, 23), day, month, weekday).prop_map(
        |(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"),
    )
}

fn cases() -> u32 {
    if std::env::var_os("LDI_LONG").is_some() { 20_000 } else { 120 }
}

/// The instants around which `zone` changed its clock in the year after `start`.
fn changes(zone: &Zone, start: i64) -> Vec<DateTime<Utc>> {
    let hour = |n: i64| DateTime::from_timestamp(start + n * 3600, 0).unwrap();
    (1..366 * 24).filter(|n| zone.offset(hour(n - 1)) != zone.offset(hour(*n))).map(hour).collect()
}

/// The numbers that a list without steps and wildcards names.
fn numbers(field: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let item = |item: &str| match item.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(item)..=number(item),
    };
    field.split(',').flat_map(item).collect()
}

/// The expressions whose dates together are those of `text`, as croner understands them. croner
/// lets a list of times keep the rhythm of real time through a change; by cron(8) only a wildcard
/// does, and each time of a list is a time of its own.
fn singly(text: &str) -> Option<Vec<croner::Cron>> {
    const MOST: usize = 12;
    let fields: Vec<&str> = text.splitn(3, ' ').collect();
    let &[minute, hour, rest] = fields.as_slice() else { return None };
    if [minute, hour].iter().any(|field| field.contains(['*', '/'])) {
        return Some(vec![text.parse().unwrap()]);
    }
    let (minutes, hours) = (numbers(minute), numbers(hour));
    let all = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (minute, hour)));
    (minutes.len() * hours.len() <= MOST)
        .then(|| all.map(|(m, h)| format!("{m} {h} {rest}").parse().unwrap()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_year_of_any_expression_is_croners(
        text in expression(),
        name in prop::sample::select(&ZONES[..]),
        start in YEARS,
    ) {
        let ours: Cron = text.parse().unwrap();
        let Some(theirs) = singly(&text) else { return Ok(()) };
        let (zone, tz): (Zone, chrono_tz::Tz) = (name.parse().unwrap(), name.parse().unwrap());
        // Some dates from anywhere, and all around each change of the year after it.
        let mut begins = vec![DateTime::from_timestamp(start, 0).unwrap()];
        begins.extend(changes(&zone, start).into_iter().map(|at| at - Duration::hours(30)));
        for begin in begins {
            let mut now = begin;
            for _ in 0..30 {
                let Some(next) = ours.next(now, &zone) else { break };
                let from = now.with_timezone(&tz);
                let found: Result<Vec<_>, _> =
                    theirs.iter().map(|cron| cron.find_next_occurrence(&from, false)).collect();
                // croner does not get over a day that is not there; `schedule_tests` has that one.
                if let Ok(found) = found {
                    let expected = found.into_iter().min().unwrap().with_timezone(&Utc);
                    prop_assert_eq!(next, expected, "{} in {} after {}", text, name, now);
                }
                now = next;
            }
        }
    }
}
