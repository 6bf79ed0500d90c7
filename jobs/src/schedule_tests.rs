//! Tests of [`super`]: schedule.

use chrono::{DateTime, Utc};

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

#[test]
fn a_day_field_that_begins_with_a_star_restricts_nothing_else() {
    // crontab(5): either day matches only if neither field begins with a star. The 1st of the
    // month, when it is a Sunday, Tuesday, Thursday or Saturday.
    let both = runs("0 0 1 * */2", "UTC", "2026-01-01T12:00:00Z", "2026-07-01T00:00:00Z");
    assert_eq!(both, [at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z")]);
}

#[test]
fn each_time_of_a_list_is_a_time_of_its_own() {
    // Both are missing on the day of the change: once, right after the gap. Twice there in autumn:
    // the first time only.
    let (spring, autumn) = ("2026-03-29", "2026-10-25");
    let day = |day: &str| {
        let (from, to) = (format!("{day}T00:00:00Z"), format!("{day}T20:00:00Z"));
        runs("0,20 2 * * *", "Europe/Vienna", &from, &to)
    };
    assert_eq!(day(spring), [at("2026-03-29T01:00:00Z")]);
    assert_eq!(day(autumn), [at("2026-10-25T00:20:00Z")]);
}

#[test]
fn what_is_wrong_is_one_sentence() {
    for text in [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "1-90 * * * *",
        "x * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * FOO *",
        "1,,2 * * * *",
        "- * * * *",
        "* * * * MON#2",
        "0 0 L * *",
        "@reboot",
        "\u{7f} * * * *",
        "99999999999 * * * *",
    ] {
        let error = text.parse::<Cron>().unwrap_err();
        println!("{error}");
        assert!(error.starts_with(&format!("{text:?} is not a cron expression: ")), "{error}");
        assert!(!error.contains('\n') && error.len() < 200, "{error}");
    }
}
