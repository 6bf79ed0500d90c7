//! `receive`: a session on stdin and stdout, and its lines in the record.

use std::path::Path;

use chrono::{DateTime, Utc};
use codesync::{
    Result, receive,
    record::{Counted, Log, Visit},
    serve::stdio,
};

use crate::cli::LogOption;

/// `receive`.
pub fn receive(library: &Path, log: &LogOption, now: DateTime<Utc>) -> Result<()> {
    let mut log = Log::open("pushed", log.log.as_deref());
    let (reader, writer) = stdio()?;
    let (mut reader, mut writer) = (Counted::new(reader), Counted::new(writer));
    let result = receive::receive(library, &mut reader, &mut writer, now);
    let mut visit = Visit { received: reader.bytes, sent: writer.bytes, ..Visit::default() };
    let mut steps = Vec::new();
    let result = result.map(|done| steps = done);
    // A line for each ring; the first tells the bytes of all.
    for step in steps {
        visit = Visit {
            ring: Some(step.ring),
            previous: step.previous,
            release: step.release,
            ..visit
        };
        log.write(&visit, &result);
        (visit.received, visit.sent) = (0, 0);
    }
    if visit.ring.is_none() {
        log.write(&visit, &result);
    }
    result
}
