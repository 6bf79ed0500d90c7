//! What a test wrote down about itself: records `KIND TAB WHERE TAB TEXT NUL` in a file.

use std::{fs::File, io::Read, path::Path};

/// Longer reports are cut: a test that fails without end has said enough.
const MAX_BYTES: u64 = 1 << 20;

/// What a test, or the listing of a file, said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Tests of a file: line and name, in the order of the text.
    pub tests: Vec<(u64, String)>,
    /// Failed assertions and errors: where, and what.
    pub failures: Vec<(String, String)>,
    /// Functions that ended with another status than 0: where, and the sentence.
    pub statuses: Vec<(String, String)>,
    /// Something ended the process before its time: where, and the sentence.
    pub ended: Option<(String, String)>,
    /// It was left out, and why.
    pub skipped: Option<String>,
    /// It came to its end.
    pub done: bool,
}

impl Records {
    /// Those in `file`; none when there is no file.
    pub fn read(file: &Path) -> Self {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(file) {
            // What was read until an error counts.
            let _ = file.take(MAX_BYTES).read_to_end(&mut bytes);
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let mut records = Self::default();
        for record in bytes.split(|b| *b == 0).filter(|r| !r.is_empty()) {
            let text = String::from_utf8_lossy(record);
            let mut fields = text.splitn(3, '\t');
            let kind = fields.next().unwrap_or_default();
            let place = fields.next().unwrap_or_default().to_owned();
            let text = fields.next().unwrap_or_default().to_owned();
            match kind {
                "test" => records.tests.push((place.parse().unwrap_or(0), text)),
                "fail" => records.failures.push((place, text)),
                "status" => records.statuses.push((place, text)),
                "ended" => records.ended = Some((place, text)),
                "skip" => records.skipped = Some(text),
                "done" => records.done = true,
                // A test that writes here by itself harms only its own report.
                _ => {}
            }
        }
        records.tests.sort();
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_and_nonsense_is_left() {
        let bytes = b"test\t9\ttest_b\0test\t2\ttest_a\0fail\t/x:3\ta\tb\nc\0nonsense\0skip\t/x\twhy\0done\t\t\0half";
        let records = Records::parse(bytes);
        assert_eq!(records.tests, [(2, "test_a".to_owned()), (9, "test_b".to_owned())]);
        assert_eq!(records.failures, [("/x:3".to_owned(), "a\tb\nc".to_owned())]);
        assert_eq!(records.skipped.as_deref(), Some("why"));
        assert!(records.done);
        assert_eq!(Records::read(Path::new("/no/such")), Records::default());
    }
}
