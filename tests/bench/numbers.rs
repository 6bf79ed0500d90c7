//! Samples, medians, and the table.

use std::time::Duration;

use serde_json::{Value, json};

/// The same thing measured several times.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one round.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Adds one round's time, in milliseconds.
    pub fn time(&mut self, wall: Duration) {
        self.add(wall.as_secs_f64() * 1000.0);
    }

    /// The median; none without rounds.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let high = *sorted.get(middle)?;
        if sorted.len() % 2 == 1 {
            return Some(high);
        }
        Some((high + *sorted.get(middle - 1)?) / 2.0)
    }

    fn worst(&self) -> Option<f64> {
        self.0.iter().copied().max_by(f64::total_cmp)
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Time,
    /// Bytes.
    Bytes,
    /// Whatever the name says.
    Count,
}

/// What a figure shall be.
#[derive(Debug, Clone)]
pub enum Aim {
    /// At most this, in the figure's unit.
    AtMost(f64),
    /// At most this many times the named figure's median.
    Times(f64, &'static str, Option<f64>),
    /// Shown for comparison.
    None,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The library's size.
    pub files: usize,
    /// What was done.
    pub case: &'static str,
    /// Who did it and what was counted.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The rounds.
    pub samples: Samples,
    /// What it shall be.
    pub aim: Aim,
}

impl Figure {
    /// Whether the aim is reached; none where there is no aim or nothing was measured.
    pub fn reached(&self) -> Option<bool> {
        let median = self.samples.median()?;
        match self.aim {
            Aim::AtMost(limit) => Some(median <= limit),
            Aim::Times(factor, _, Some(other)) => Some(median <= factor * other),
            Aim::Times(_, _, None) | Aim::None => None,
        }
    }

    fn aim(&self) -> String {
        match self.aim {
            Aim::AtMost(limit) => format!("<= {}", self.show(Some(limit))),
            Aim::Times(factor, name, other) => {
                let ratio = self.samples.median().zip(other).map(|(own, other)| own / other);
                let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                format!("{ratio} x {name}, <= {factor}")
            }
            Aim::None => String::new(),
        }
    }

    fn show(&self, value: Option<f64>) -> String {
        match (value, self.unit) {
            (None, _) => "-".to_owned(),
            (Some(value), Unit::Time) => format!("{value:.1} ms"),
            (Some(value), Unit::Bytes) => format!("{value:.0} B"),
            (Some(value), Unit::Count) => format!("{value:.0}"),
        }
    }

    /// The figure for `--json`.
    pub fn json(&self) -> Value {
        json!({
            "files": self.files,
            "case": self.case,
            "name": self.name,
            "unit": match self.unit { Unit::Time => "ms", Unit::Bytes => "bytes", Unit::Count => "count" },
            "median": self.samples.median(),
            "worst": self.samples.worst(),
            "rounds": self.samples.0,
            "aim": self.aim(),
            "reached": self.reached(),
        })
    }
}

/// Prints figures as a table.
pub fn print(figures: &[Figure]) {
    println!("  {:<14} {:<26} {:>14} {:>14}  {:<30}", "case", "figure", "median", "worst", "aim");
    for figure in figures {
        let verdict = match figure.reached() {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let line = format!(
            "  {:<14} {:<26} {:>14} {:>14}  {:<30} {verdict}",
            figure.case,
            figure.name,
            figure.show(figure.samples.median()),
            figure.show(figure.samples.worst()),
            figure.aim()
        );
        println!("{}", line.trim_end());
    }
}
