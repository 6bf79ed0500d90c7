//! Conditions over a client's document: `os_info.distname = "debian" and last_seen < 2d`.
//!
//! One language for rules and for searches. A condition is checked when it is read; what it is
//! asked of may be anything. It answers in three values: what is missing or `"unknown"` in a
//! document makes a comparison neither true nor false, and only what is true raises an issue.
//! Reads values, never files or the clock.

mod parse;
mod value;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Number, Value};

pub use parse::Wrong;

/// A condition that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    node: Node,
}

/// What a condition answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// The document does not say.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Of the elements of a list, or the values of an object.
    Any(Path, Box<Node>),
    All(Path, Box<Node>),
    Exists(Path),
    Compare(Path, Comparison),
}

/// Keys from the document, or from the element that `any` and `all` are at.
#[derive(Debug, Clone, PartialEq)]
struct Path {
    from_root: bool,
    keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Comparison {
    Is(Operand),
    IsNot(Operand),
    Ordered(Order, Measure),
    /// One of these.
    In(Vec<Operand>),
    /// A list has this element, a text this part.
    Contains(Operand),
    /// A glob pattern: `*` and `?`.
    Like(String),
}

/// A value that is written in a condition.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
}

/// What can be less or more.
#[derive(Debug, Clone, PartialEq)]
enum Measure {
    Number(f64),
    /// Of a time in the document: how long ago it was.
    Age(TimeDelta),
    /// Texts with numbers in them, as versions: 9.10 is more than 9.9.
    Version(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Order {
    fn fits(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::More => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }
}

impl Truth {
    fn of(is: bool) -> Self {
        if is { Self::True } else { Self::False }
    }

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    /// True if one is, false if all are.
    fn any(all: impl Iterator<Item = Self>) -> Self {
        let mut found = Self::False;
        for one in all {
            match one {
                Self::True => return Self::True,
                Self::Unknown => found = Self::Unknown,
                Self::False => {}
            }
        }
        found
    }
}

impl Condition {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        parse::condition(text).map(|node| Self { node })
    }

    /// What it says of `document` at `now`.
    pub fn of(&self, document: &Value, now: DateTime<Utc>) -> Truth {
        Scene { root: document, here: document, now }.truth(&self.node)
    }

    /// Whether it holds.
    pub fn holds(&self, document: &Value, now: DateTime<Utc>) -> bool {
        self.of(document, now) == Truth::True
    }
}

/// Where a condition is asked.
#[derive(Clone, Copy)]
struct Scene<'a> {
    root: &'a Value,
    here: &'a Value,
    now: DateTime<Utc>,
}

impl<'a> Scene<'a> {
    fn find(self, path: &Path) -> Option<&'a Value> {
        let from = if path.from_root { self.root } else { self.here };
        path.keys.iter().try_fold(from, |value, key| match value {
            Value::Object(object) => object.get(key),
            _ => None,
        })
    }

    fn truth(self, node: &Node) -> Truth {
        match node {
            Node::And(all) => Truth::any(all.iter().map(|one| self.truth(one).not())).not(),
            Node::Or(all) => Truth::any(all.iter().map(|one| self.truth(one))),
            Node::Not(one) => self.truth(one).not(),
            Node::Any(path, one) => {
                self.elements(path, |all| Truth::any(all.map(|at| at.truth(one))))
            }
            Node::All(path, one) => {
                self.elements(path, |all| Truth::any(all.map(|at| at.truth(one).not())).not())
            }
            Node::Exists(path) => Truth::of(self.find(path).is_some_and(|v| !v.is_null())),
            Node::Compare(path, comparison) => match self.find(path) {
                None => Truth::Unknown,
                Some(value) => comparison.of(value, self.now),
            },
        }
    }

    /// Of a list its elements, of an object its values; an empty one has none.
    fn elements(
        self,
        path: &Path,
        judge: impl Fn(&mut dyn Iterator<Item = Self>) -> Truth,
    ) -> Truth {
        let at = |here| Self { here, ..self };
        match self.find(path) {
            Some(Value::Array(all)) => judge(&mut all.iter().map(at)),
            Some(Value::Object(all)) => judge(&mut all.values().map(at)),
            _ => Truth::Unknown,
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests;
