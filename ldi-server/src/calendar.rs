//! Business time: grace counts the hours in which somebody is at work. Pure.

use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::Deserialize;

/// A span that is longer is as good as any: what waited for years has waited long enough.
const MOST_DAYS: i32 = 3 * 366;

/// When people are at work.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    days: Vec<Weekday>,
    from: Time,
    /// Midnight is the end of the day.
    until: Time,
    zone: TimeZone,
    holidays: Vec<Date>,
}

/// `[calendar]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `mon` to `sun`.
    pub days: Vec<String>,
    /// As `09:00`.
    pub from: String,
    /// As `17:00`; `24:00` is the end of the day.
    pub until: String,
    /// As `Europe/Vienna`; the server's where it is missing.
    pub zone: Option<String>,
    /// Days on which nobody is, as `2026-12-25`.
    pub holidays: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            days: ["mon", "tue", "wed", "thu", "fri"].map(str::to_owned).into(),
            from: "09:00".to_owned(),
            until: "17:00".to_owned(),
            zone: None,
            holidays: Vec::new(),
        }
    }
}

impl Calendar {
    /// Of these settings; otherwise the key that is wrong, and why.
    pub fn new(settings: &Settings) -> Result<Self, (&'static str, String)> {
        let days = settings.days.iter().map(|day| weekday(day)).collect::<Result<Vec<_>, _>>();
        let days = days.map_err(|what| ("days", what))?;
        if days.is_empty() {
            return Err(("days", "names no day; then no grace would ever end".to_owned()));
        }
        let from = time(&settings.from).map_err(|what| ("from", what))?;
        let until = match settings.until.as_str() {
            "24:00" => Time::midnight(),
            text => time(text).map_err(|what| ("until", what))?,
        };
        if until != Time::midnight() && until <= from {
            return Err(("until", format!("must be later than {from}")));
        }
        let zone = match settings.zone.as_deref() {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name)
                .map_err(|_| ("zone", format!("no time zone is called {name:?}")))?,
        };
        let holiday = |text: &String| {
            text.parse::<Date>()
                .map_err(|_| ("holidays", format!("{text:?} is no date as 2026-12-25")))
        };
        let holidays = settings.holidays.iter().map(holiday).collect::<Result<_, _>>()?;
        Ok(Self { days, from, until, zone, holidays })
    }

    /// The seconds of business between two moments; 0 where the second is not later.
    pub fn seconds(&self, from: Timestamp, until: Timestamp) -> i64 {
        let mut date = self.zone.to_datetime(from).date();
        let mut sum = 0;
        for _ in 0..MOST_DAYS {
            let Some((opens, closes)) = self.hours(date) else { break };
            if opens >= until {
                break;
            }
            if self.works_on(date) {
                let begin = opens.max(from);
                let end = closes.min(until);
                sum += (end.as_second() - begin.as_second()).max(0);
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        sum
    }

    fn works_on(&self, date: Date) -> bool {
        self.days.contains(&date.weekday()) && !self.holidays.contains(&date)
    }

    /// When business opens and closes on a day, were it one. Where clocks change the day is as long
    /// as it is.
    fn hours(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        let at = |date: Date, time: Time| {
            self.zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()
        };
        let closes = if self.until == Time::midnight() {
            at(date.tomorrow().ok()?, self.until)
        } else {
            at(date, self.until)
        };
        Some((at(date, self.from)?, closes?))
    }
}

fn weekday(text: &str) -> Result<Weekday, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return Err(format!("{text:?} is no day; known: mon tue wed thu fri sat sun")),
    })
}

fn time(text: &str) -> Result<Time, String> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        if hour.len() != 2 || minute.len() != 2 {
            return None;
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    read().ok_or_else(|| format!("{text:?} is no time as 09:00"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(change: impl Fn(&mut Settings)) -> Calendar {
        let mut settings = Settings { zone: Some("Europe/Vienna".into()), ..Settings::default() };
        change(&mut settings);
        Calendar::new(&settings).unwrap()
    }

    fn hours(calendar: &Calendar, from: &str, until: &str) -> f64 {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        calendar.seconds(at(from), at(until)) as f64 / 3600.0
    }

    #[test]
    fn a_weekend_does_not_count() {
        let own = calendar(|_| ());
        // Friday 16:00 to Monday 10:00 in Vienna.
        assert_eq!(hours(&own, "2026-11-20T15:00:00Z", "2026-11-23T09:00:00Z"), 2.0);
        assert_eq!(hours(&own, "2026-11-21T15:00:00Z", "2026-11-22T09:00:00Z"), 0.0);
        assert_eq!(hours(&own, "2026-11-23T09:00:00Z", "2026-11-20T15:00:00Z"), 0.0);
        assert_eq!(hours(&own, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"), 40.0);
    }

    #[test]
    fn holidays_and_other_hours() {
        let own = calendar(|s| s.holidays = vec!["2026-12-25".into()]);
        assert_eq!(hours(&own, "2026-12-24T00:00:00Z", "2026-12-26T00:00:00Z"), 8.0);
        let always = calendar(|s| {
            s.days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(str::to_owned).into();
            (s.from, s.until) = ("00:00".into(), "24:00".into());
        });
        assert_eq!(hours(&always, "2026-11-20T15:00:00Z", "2026-11-23T09:30:00Z"), 66.5);
        // A day of 23 hours and one of 25.
        assert_eq!(hours(&always, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), 23.0);
        assert_eq!(hours(&always, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 25.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (key, change) in [
            ("days", (|s| s.days = vec!["day".into()]) as fn(&mut Settings)),
            ("days", |s| s.days.clear()),
            ("from", |s| s.from = "9".into()),
            ("until", |s| s.until = "08:00".into()),
            ("until", |s| s.until = "25:00".into()),
            ("zone", |s| s.zone = Some("Vienna".into())),
            ("holidays", |s| s.holidays = vec!["25.12.".into()]),
        ] {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(Calendar::new(&settings).unwrap_err().0, key);
        }
    }

    proptest! {
        #[test]
        fn time_passes_once(a in 0..60_000_000_i64, b in 0..60_000_000_i64, c in 0..60_000_000_i64) {
            let own = calendar(|_| ());
            let mut at = [a, b, c].map(|s| Timestamp::from_second(1_750_000_000 + s).unwrap());
            at.sort();
            let whole = own.seconds(at[0], at[2]);
            prop_assert_eq!(whole, own.seconds(at[0], at[1]) + own.seconds(at[1], at[2]));
            prop_assert!(whole <= at[2].as_second() - at[0].as_second());
        }
    }
}
