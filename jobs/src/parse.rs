//! TOML with errors that an administrator can act on: file, line, key, and the nearest known key.

use std::{fmt, path::Path, time::Duration};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// Where in a file something is wrong, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The file as people name it.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The key concerned, when there is one.
    pub key: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, " line {}", self.line)?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key {key}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Reads `text`, which is called `file` in errors.
pub fn toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Wrong> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        let (key, what) = explain(error.message(), text, line);
        Wrong { file: file.to_owned(), line, key, what }
    })
}

/// The line, from 1, of the byte at `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// Splits serde's "unknown field `a`, expected one of `b`, `c`" into its names; everything else
/// is said as it is, with the key that stands on the line.
fn explain(message: &str, text: &str, line: usize) -> (Option<String>, String) {
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(unknown) = names.next()
    {
        let known: Vec<&str> = names.collect();
        let hint = match nearest(unknown, &known) {
            Some(near) => format!("is not a known key; did you mean {near}?"),
            None => format!("is not a known key; known here: {}", known.join(", ")),
        };
        return (Some(unknown.to_owned()), hint);
    }
    let on_line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let key = on_line
        .split_once('=')
        .map(|(key, _)| key.trim().trim_matches('"').to_owned())
        .filter(|key| !key.is_empty() && key.len() <= 64 && !key.starts_with('#'));
    (key, message.trim_end().replace('\n', "; "))
}

/// The known name with the smallest edit distance, if it is small.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|k| (distance(name, k), *k))
        .min()
        .filter(|(d, k)| *d <= 2.max(k.len() / 3))
        .map(|(_, k)| k)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Reads a file that must be small.
pub fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A length of time as people write it: `150s`, `2m`, `4h`, `1d`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a length of time; write for example 90s, 15m, 4h or 1d");
        let mut total = 0u64;
        let mut number = String::new();
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86400,
                'w' => 604_800,
                _ => return Err(wrong()),
            };
            let value: u64 = number.parse().map_err(|_| wrong())?;
            total = value
                .checked_mul(unit)
                .and_then(|v| total.checked_add(v))
                .filter(|t| *t <= 3660 * 86400)
                .ok_or_else(|| format!("{text:?} is longer than ten years"))?;
            number.clear();
        }
        if !number.is_empty() || text.trim().is_empty() {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in [(86400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes a second as people write them: `500K`, `2M`, `1G`, or the number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

/// Bytes as people write them, like a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// A number with a unit of [`UNITS`] or none; `None` is anything else.
fn with_unit(text: &str) -> Option<u64> {
    let trimmed = text.trim();
    let unit = UNITS.iter().find(|(letter, _)| trimmed.ends_with(*letter));
    let (number, unit) = match unit {
        Some((letter, unit)) => (trimmed.trim_end_matches(*letter), *unit),
        None => (trimmed, 1),
    };
    // `parse` would take a sign.
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn write_with_unit(f: &mut fmt::Formatter<'_>, n: u64) -> fmt::Result {
    match UNITS.iter().find(|(_, unit)| n >= *unit && n.is_multiple_of(*unit)) {
        Some((letter, unit)) => write!(f, "{}{letter}", n / unit),
        None => write!(f, "{n}"),
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a rate; write for example 500K or 2M"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, self.0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a size; write for example 512M or 2G"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        source: String,
        wait: Option<Span>,
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        let wrong = toml::<Sample>("x.toml", "source = \"a\"\n\nwiat = \"2m\"\n").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "x.toml line 3, key wiat: is not a known key; did you mean wait?"
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line_and_key() {
        let wrong = toml::<Sample>("x.toml", "source = \"a\"\nwait = \"2 parsecs\"").unwrap_err();
        assert_eq!(wrong.line, 2);
        assert_eq!(wrong.key.as_deref(), Some("wait"));
        assert!(wrong.what.contains("not a length of time"), "{wrong}");
    }

    #[test]
    fn spans() {
        for (text, seconds) in
            [("150s", 150), ("2m", 120), ("4h", 14400), ("1d", 86400), ("1h30m", 5400)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span::seconds(seconds));
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for text in ["", "5", "m", "-1s", "1.5h", "99999999999999999999s", "20000d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, bytes) in
            [("500K", 512_000), ("2M", 2 << 20), ("1G", 1 << 30), ("20000", 20_000)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate, Rate(bytes));
            assert_eq!(rate.to_string(), text);
        }
        for text in
            ["", "K", "2MK", "-1K", "+1K", "1.5M", "2 M", "99999999999999999999", "9999999999999G"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
