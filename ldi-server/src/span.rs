//! Durations as people write them: `90m`, `4h`, `2d`.

use chrono::TimeDelta;

/// Reads a whole number and one of `s m h d w`; a minus is allowed, and a bare `0`.
pub fn span(text: &str) -> Option<TimeDelta> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: i64 = text[..unit].parse().ok()?;
    let seconds = match &text[unit..] {
        "" if number == 0 => 0,
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    TimeDelta::try_seconds(number.checked_mul(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_or_refused() {
        for (text, seconds) in [("0", 0), ("90m", 5400), ("-7d", -604_800), ("2w", 1_209_600)] {
            assert_eq!(span(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "d", "1", "1.5h", "1 h", "1hour", "9223372036854775807w", "ü", "1ü"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
