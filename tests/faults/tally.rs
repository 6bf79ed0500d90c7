//! Counting how rounds end, and the table.

use std::{collections::BTreeMap, io::Write};

use anyhow::Result;

/// One line of the table.
#[derive(Debug)]
pub struct Tally {
    case: String,
    rounds: usize,
    ends: BTreeMap<String, usize>,
    words: Vec<String>,
    wrong: Vec<String>,
}

/// Prints the head of the table.
pub fn head() {
    println!("{:<44} {:>6}  {:<64} wrong", "case", "rounds", "how it ended");
}

impl Tally {
    /// An empty line for `case`.
    pub fn new(case: impl Into<String>) -> Self {
        let (words, wrong) = (Vec::new(), Vec::new());
        Self { case: case.into(), rounds: 0, ends: BTreeMap::new(), words, wrong }
    }

    /// Counts one round by how it ended; an error is a wrong one.
    pub fn add(&mut self, end: Result<impl Into<String>>) {
        self.rounds += 1;
        match end {
            Ok(end) => *self.ends.entry(end.into()).or_default() += 1,
            Err(error) => self.wrong.push(format!("round {}: {error:#}", self.rounds)),
        }
    }

    /// Adds a check after all rounds.
    pub fn last(&mut self, check: Result<&'static str>) {
        match check {
            Ok(words) => self.words.push(words.to_owned()),
            Err(error) => self.wrong.push(format!("at last: {error:#}")),
        }
    }

    /// Adds words that are no round.
    pub fn say(&mut self, words: String) {
        self.words.push(words);
    }

    /// Whether nothing was wrong, and something was done.
    pub fn right(&self) -> bool {
        self.wrong.is_empty() && self.rounds > 0
    }

    /// Prints the line, and the first wrong rounds below it.
    pub fn print(&self) {
        let mut ends: Vec<String> =
            self.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        ends.extend_from_slice(&self.words);
        println!(
            "{:<44} {:>6}  {:<64} {}",
            self.case,
            self.rounds,
            ends.join(", "),
            self.wrong.len()
        );
        for wrong in self.wrong.iter().take(5) {
            println!("  WRONG {}", wrong.chars().take(1000).collect::<String>());
        }
        std::io::stdout().flush().ok();
    }
}
