//! Tests of [`super`]: schedule.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn runs(cron: &str, name: &str, from: &str, to: &str) -> Vec<DateTime<Utc>> {
    let (cron, zone): (Cron, Zone) = (cron.parse().unwrap(), zone(name));
    let (mut now, end) = (at(from), at(to));
    let mut all = Vec::new();
    while let Some(next) = cron.next(now, &zone).filter(|n| *n < end) {
        assert!(next > now);
        all.push(next);
        now = next;
    }
    all
}

#[test]
fn a_daily_time_runs_once_on_both_change_days() {
    let spring =
        runs("30 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00Z", "2026-03-31T12:00:00Z");
    assert_eq!(
        spring,
        [at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z"), at("2026-03-31T00:30:00Z")]
    );
    let autumn =
        runs("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z", "2026-10-27T12:00:00Z");
    assert_eq!(
        autumn,
        [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z"), at("2026-10-27T01:30:00Z")]
    );
}

#[test]
fn every15_keeps_its_rhythm_through_both_changes() {
    for day in ["2026-03-29", "2026-10-25"] {
        let all = runs(
            "0 */15 * * * *",
            "Europe/Vienna",
            &format!("{day}T00:00:00Z"),
            &format!("{day}T23:59:00Z"),
        );
        assert!(all.windows(2).all(|w| w[1] - w[0] == Duration::minutes(15)), "{day}");
        assert_eq!(all.len(), 95);
    }
}

#[test]
fn weekdays_are_crontabs() {
    let days = |field: &str| weekdays(field).unwrap();
    assert_eq!(days("0"), "SUN");
    assert_eq!(days("7"), "SUN");
    assert_eq!(days("1-5"), "MON,TUE,WED,THU,FRI");
    assert_eq!(days("5-7"), "SUN,FRI,SAT");
    assert_eq!(days("sat-mon"), "SUN,MON,SAT");
    assert_eq!(days("*/2"), "SUN,TUE,THU,SAT");
    assert_eq!(days("0-7"), "*");
    assert!(weekdays("8").is_err());
    assert!(weekdays("1/0").is_err());
}

#[test]
fn day_of_month_or_weekday() {
    // The 13th, and every Friday.
    let all = runs("0 0 13 * 5", "UTC", "2026-02-28T12:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(all.len(), 4, "{all:?}");
    let all = runs("0 0 14 * 5", "UTC", "2026-02-28T12:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(all.len(), 5, "{all:?}");
}

#[test]
fn leap_days_wait_for_their_year() {
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z"),
        [at("2028-02-29T00:00:00Z"), at("2032-02-29T00:00:00Z")]
    );
}

#[test]
fn a_day_that_a_zone_skipped_runs_right_after() {
    // Samoa went over the date line: 30 December 2011 does not exist there.
    let all = runs("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2012-01-15T00:00:00Z");
    assert_eq!(all, [at("2011-12-30T10:00:00Z")]);
}

#[test]
fn what_is_no_expression_is_refused() {
    for text in
        ["", "* * *", "60 * * * *", "* * 31 2 *", "@daily", "0 0 10 * * * 2026", "a b c d e"]
    {
        assert!(text.parse::<Cron>().is_err(), "{text}");
    }
    assert!("Mars/Olympus".parse::<Zone>().is_err());
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        4 => (low..=high).prop_map(|n| n.to_string()),
        2 => (2u32..=15).prop_map(|n| format!("*/{n}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Against an independent implementation, around clock changes of the last and next years.
    #[test]
    fn agrees_with_croner(
        minute in field(0, 59),
        hour in field(0, 23),
        day in prop_oneof![3 => Just("*".to_owned()), 1 => (1u32..=28).prop_map(|n| n.to_string())],
        weekday in prop_oneof![3 => Just("*".to_owned()), 1 => (0u32..=6).prop_map(|n| n.to_string())],
        name in prop_oneof![
            Just("Europe/Vienna"), Just("America/New_York"), Just("Australia/Lord_Howe"),
            Just("UTC"), Just("Asia/Kolkata"), Just("America/Santiago"),
        ],
        start in prop_oneof![
            1_577_836_800i64..1_893_456_000,
            // Days around changes of 2026 in Vienna and New York.
            1_774_700_000i64..1_774_900_000, 1_792_800_000i64..1_793_100_000,
            1_772_900_000i64..1_773_100_000, 1_793_400_000i64..1_793_700_000,
        ],
    ) {
        let text = format!("{minute} {hour} {day} * {weekday}");
        let ours: Cron = text.parse().unwrap();
        let theirs: croner::Cron = text.parse().unwrap();
        let tz: chrono_tz::Tz = name.parse().unwrap();
        let mut now = DateTime::from_timestamp(start, 0).unwrap();
        for _ in 0..12 {
            let next = ours.next(now, &zone(name)).unwrap();
            let expected = theirs
                .find_next_occurrence(&now.with_timezone(&tz), false)
                .unwrap()
                .with_timezone(&Utc);
            prop_assert_eq!(next, expected, "{} in {} after {}", text, name, now);
            now = next;
        }
    }
}
