//! Comparing a value of a document with what a condition says.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Comparison, Measure, Operand, Truth};

/// What collectors say of what cannot be told.
const UNKNOWN: &str = "unknown";

impl Comparison {
    pub(super) fn of(&self, value: &Value, now: DateTime<Utc>) -> Truth {
        // Whoever asks for "unknown" by that name gets an answer.
        if value == UNKNOWN && !self.names_unknown() {
            return Truth::Unknown;
        }
        match self {
            Self::Is(operand) => Truth::of(operand.is(value)),
            Self::IsNot(operand) => Truth::of(!operand.is(value)),
            Self::In(operands) => Truth::of(operands.iter().any(|one| one.is(value))),
            Self::Ordered(order, measure) => measure
                .order(value, now)
                .map_or(Truth::Unknown, |found| Truth::of(order.fits(found))),
            Self::Contains(operand) => match value {
                Value::Array(all) => Truth::of(all.iter().any(|one| operand.is(one))),
                Value::Object(all) => match operand {
                    Operand::Text(key) => Truth::of(all.contains_key(key)),
                    _ => Truth::Unknown,
                },
                Value::String(text) => match operand {
                    Operand::Text(part) => Truth::of(text.contains(part.as_str())),
                    _ => Truth::Unknown,
                },
                _ => Truth::Unknown,
            },
            Self::Like(pattern) => match value {
                Value::String(text) => Truth::of(like(pattern.as_bytes(), text.as_bytes())),
                _ => Truth::Unknown,
            },
        }
    }

    fn names_unknown(&self) -> bool {
        let is = |operand: &Operand| *operand == Operand::Text(UNKNOWN.to_owned());
        match self {
            Self::Is(operand) | Self::IsNot(operand) | Self::Contains(operand) => is(operand),
            Self::In(operands) => operands.iter().any(is),
            Self::Ordered(..) | Self::Like(_) => false,
        }
    }
}

impl Operand {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(own), Value::String(text)) => own == text,
            // 1 and 1.0 are one number.
            (Self::Number(own), Value::Number(number)) => own.as_f64() == number.as_f64(),
            (Self::Bool(own), Value::Bool(is)) => own == is,
            (Self::Null, Value::Null) => true,
            _ => false,
        }
    }
}

impl Measure {
    /// How `value` compares with it; nothing where it cannot.
    fn order(&self, value: &Value, now: DateTime<Utc>) -> Option<Ordering> {
        match self {
            Self::Number(own) => {
                let number = match value {
                    Value::Number(number) => number.as_f64()?,
                    Value::String(text) => text.trim().parse().ok()?,
                    _ => return None,
                };
                number.partial_cmp(own)
            }
            Self::Age(own) => {
                let then = match value {
                    Value::String(text) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
                    Value::Number(seconds) => DateTime::from_timestamp(seconds.as_i64()?, 0)?,
                    _ => return None,
                };
                Some((now - then).cmp(own))
            }
            Self::Version(own) => match value {
                Value::String(text) => Some(by_version(text, own)),
                Value::Number(number) => Some(by_version(&number.to_string(), own)),
                _ => None,
            },
        }
    }
}

/// By their numbers and what stands between them, from left to right.
fn by_version(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = match (number(x), number(y)) {
                    (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
                    _ => x.cmp(y),
                };
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

/// The digits without leading zeros, of any length.
fn number(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit()).then(|| part.trim_start_matches('0'))
}

/// Runs of digits and runs of letters; what separates them is nothing.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| !c.is_alphanumeric() || c.is_ascii_digit() != digits);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(part)
    })
}

/// Whether `text` fits a pattern of `*`, `?` and bytes; never goes back further than one `*`.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|byte| *byte == b'*')
}
