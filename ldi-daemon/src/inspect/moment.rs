//! Moments as people write them on a command line.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use crate::{Failure, Result, error::code, parse::Span};

/// A moment in the past: `2h` is two hours ago.
pub fn ago(text: &str) -> Result<DateTime<Utc>> {
    read(text, |span| Utc::now().checked_sub_signed(span))
}

/// A moment in the future: `2h` is in two hours.
pub fn ahead(text: &str) -> Result<DateTime<Utc>> {
    read(text, |span| Utc::now().checked_add_signed(span))
}

fn read(
    text: &str,
    apart: impl FnOnce(chrono::TimeDelta) -> Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>> {
    let span = text.parse::<Span>().ok();
    let span = span.and_then(|span| apart(chrono::TimeDelta::from_std(span.0).ok()?));
    span.or_else(|| text.parse().ok()).or_else(|| local(text)).ok_or_else(|| {
        let why = "is no moment; write for example 2h, 2026-12-31, \"2026-12-31 12:00\" or \
                   2026-12-31T12:00:00Z";
        Failure::new(code::USAGE, format!("{text:?} {why}"))
    })
}

/// A date, or a date and a time, as the wall clock shows it.
fn local(text: &str) -> Option<DateTime<Utc>> {
    let date = |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let time = time.or_else(|| Some(date(text)?.and_time(NaiveTime::MIN)))?;
    Some(Local.from_local_datetime(&time).earliest()?.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_dates_and_times() {
        let then = ago("1h").unwrap();
        let hour = (Utc::now() - then).num_seconds();
        assert!((3600..3700).contains(&hour), "{hour}");
        assert!(ahead("1h").unwrap() > Utc::now());
        let exact = ago("2026-12-31T12:00:00Z").unwrap();
        assert_eq!(exact.to_rfc3339(), "2026-12-31T12:00:00+00:00");
        assert_eq!(ago("2026-12-31").unwrap(), ago("2026-12-31 00:00").unwrap());
        for wrong in ["", "x", "2026-13-01", "12:00", "99999999999h"] {
            assert_eq!(ago(wrong).unwrap_err().code(), code::USAGE, "{wrong}");
        }
    }
}
