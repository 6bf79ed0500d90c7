//! `ldi history` and `ldi logs`: past runs, and what they wrote; also while it happens.

use std::{
    collections::HashSet,
    io::{IsTerminal, Write},
    path::Path,
    thread::sleep,
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    Failure, Result,
    cli::{print, print_json},
    config::Config,
    error::code,
    journal::{Filter, Journal, Run},
    logs::{self, Frame, Lines, Reader, Stream},
    machine::Machine,
    schedule::Zone,
    supervise,
    table::{self, table},
    tier,
};

/// Between two looks at what may have changed.
const LOOK: Duration = Duration::from_millis(250);
/// Ends that are written down at the same time may become visible in another order.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);

fn journal(config: &Config) -> Result<Journal> {
    Journal::look(&config.root, &Machine::this())?.ok_or_else(|| {
        let file = config.root.join("state.db");
        let why = format!("{} does not exist: nothing has run here yet", file.display());
        Failure::new(code::USAGE, why)
    })
}

/// How to show something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// As JSON.
    pub json: bool,
    /// Also what comes, until it has come to an end.
    pub follow: bool,
    /// Only this pipe, byte for byte.
    pub only: Option<Stream>,
}

/// `ldi history`.
pub fn history(config: &Config, filter: &Filter, shape: Shape) -> Result<u8> {
    if let Some(word) = &filter.outcome
        && word != "running"
        && !supervise::Outcome::ALL.iter().any(|o| o.as_str() == word)
    {
        let known: Vec<&str> = supervise::Outcome::ALL.iter().map(|o| o.as_str()).collect();
        return Err(Failure::new(
            code::USAGE,
            format!("{word:?} is no outcome; known: {}, running", known.join(", ")),
        ));
    }
    let journal = journal(config)?;
    if shape.follow {
        return follow_history(&journal, filter, shape.json);
    }
    let runs = journal.history_now(filter)?;
    if shape.json {
        print_json(&runs)?;
        return Ok(0);
    }
    let mut rows = table(&["RUN", "JOB", "OUTCOME", "STARTED", "TIME", "REASON"]);
    for run in &runs {
        rows.add_row(vec![
            run.run.clone().into(),
            run.job.clone().into(),
            table::outcome(&run.outcome),
            Zone::Local.show(run.started).into(),
            run.seconds().map_or_else(String::new, tier::seconds).into(),
            run.reason.clone().unwrap_or_default().into(),
        ]);
    }
    print(&table::text(&rows))?;
    Ok(0)
}

/// The newest ended runs, oldest first, and then each as it ends, until the reader goes away.
fn follow_history(journal: &Journal, filter: &Filter, json: bool) -> Result<u8> {
    let mut version = journal.version()?;
    let mut runs = journal.history_now(filter)?;
    let mut from = Utc::now();
    let mut told: HashSet<String> = HashSet::new();
    loop {
        runs.retain(|run| run.ended.is_some() && !told.contains(&run.run));
        runs.sort_by(|a, b| (a.ended, &a.run).cmp(&(b.ended, &b.run)));
        for run in &runs {
            let text = if json { json_line(run) } else { line(run) };
            if !told_reader(text.as_bytes())? {
                return Ok(0);
            }
        }
        from = runs.iter().filter_map(|run| run.ended).fold(from, Ord::max);
        told.extend(runs.drain(..).map(|run| run.run));
        while journal.version()? == version {
            sleep(LOOK);
        }
        version = journal.version()?;
        let since = from - OVERLAP;
        let new = Filter { ended_since: Some(since), limit: u32::MAX, ..filter.clone() };
        runs = journal.history_now(&new)?;
        // What ended before is not asked for again.
        let asked: HashSet<&str> = runs.iter().map(|run| run.run.as_str()).collect();
        told.retain(|run| asked.contains(run.as_str()));
    }
}

fn line(run: &Run) -> String {
    let ended = run.ended.map_or_else(String::new, |ended| Zone::Local.show(ended));
    let seconds = run.seconds().map_or_else(String::new, tier::seconds);
    let reason = run.reason.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{ended} {} {} {} {seconds}{reason}\n", run.outcome, run.job, run.run)
}

fn json_line(value: &impl serde::Serialize) -> String {
    // What is shown here has text keys only, which is all that could fail.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// Writes to standard output; `false` when nobody reads it any more.
fn told_reader(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::io("write to", Path::new("standard output"), &e)),
    }
}

/// `ldi logs`.
pub fn logs(config: &Config, word: &str, shape: Shape) -> Result<u8> {
    let journal = journal(config)?;
    let run = journal.find(word)?;
    let folder = config.root.join("logs");
    let text = Text { shape, terminal: std::io::stdout().is_terminal() };
    if shape.follow && run.outcome == "running" {
        return follow_log(&journal, &folder, run, text);
    }
    let frames = match logs::read(&folder, &run.run) {
        Ok((_, frames)) => frames,
        // A run that never started has no log, and its reason says why.
        Err(_) if run.reason.is_some() && run.stdout_bytes + run.stderr_bytes == 0 => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if shape.json && !shape.follow {
        print_json(&whole(&run, &frames))?;
        return Ok(0);
    }
    let mut all = text.head(&run);
    if shape.only.is_some() {
        all.extend(frames.iter().flat_map(|frame| text.frame(frame, &mut Lines::default())));
    } else {
        all.extend(text.lines(logs::lines(&frames)));
    }
    if shape.follow {
        all.extend(text.tail(&run));
    }
    told_reader(&all)?;
    Ok(0)
}

/// Shows a log as it grows, until its run has ended.
fn follow_log(journal: &Journal, folder: &Path, mut run: Run, text: Text) -> Result<u8> {
    let (mut reader, mut lines) = (None, Lines::default());
    if !told_reader(&text.head(&run))? {
        return Ok(0);
    }
    loop {
        // Asked first: what was written before the end is read after it.
        let ended = run.outcome != "running";
        if reader.is_none() {
            reader = Reader::open(folder, &run.run)?;
        }
        let frames = reader.as_mut().map_or_else(|| Ok(Vec::new()), Reader::more)?;
        for frame in &frames {
            if !told_reader(&text.frame(frame, &mut lines))? {
                return Ok(0);
            }
        }
        if frames.is_empty() {
            if ended {
                break;
            }
            sleep(LOOK);
        }
        run = journal.find(&run.run)?;
    }
    if let Some(torn) = reader.and_then(Reader::torn) {
        told_reader(&text.frame(&torn, &mut lines))?;
    }
    let mut rest = if text.shape.only.is_none() { text.lines(lines.rest()) } else { Vec::new() };
    rest.extend(text.tail(&run));
    told_reader(&rest)?;
    Ok(0)
}

/// How a log is shown.
#[derive(Clone, Copy)]
struct Text {
    shape: Shape,
    terminal: bool,
}

impl Text {
    fn head(self, run: &Run) -> Vec<u8> {
        if self.shape.json || self.shape.only.is_some() {
            return Vec::new();
        }
        let reason = run.reason.as_deref().map_or_else(String::new, |r| format!(" ({r})"));
        let started = Zone::Local.show(run.started);
        let (name, job, outcome) = (&run.run, &run.job, &run.outcome);
        format!("{name} {job} of release {}, {started}: {outcome}{reason}\n", run.release).into()
    }

    fn tail(self, run: &Run) -> Vec<u8> {
        match self.shape {
            Shape { only: Some(_), .. } => Vec::new(),
            Shape { json: true, .. } => json_line(run).into(),
            _ => line(run).into(),
        }
    }

    fn frame(self, frame: &Frame, lines: &mut Lines) -> Vec<u8> {
        match (self.shape.only, frame) {
            (None, frame) => self.lines(lines.push(frame)),
            (Some(wanted), Frame::Bytes(stream, bytes)) if wanted == *stream => bytes.clone(),
            (Some(_), _) => Vec::new(),
        }
    }

    fn lines(self, lines: Vec<(Stream, Vec<u8>)>) -> Vec<u8> {
        let mut text = Vec::new();
        for (stream, line) in lines {
            if self.shape.json {
                text.extend(json_line(&as_json(stream, &line)).into_bytes());
                continue;
            }
            text.extend_from_slice(if stream == Stream::Out { b"out| " } else { b"err| " });
            if self.terminal {
                text.extend_from_slice(logs::harmless(&line).as_bytes());
            } else {
                text.extend_from_slice(&line);
            }
            text.push(b'\n');
        }
        text
    }
}

fn as_json(stream: Stream, line: &[u8]) -> Value {
    json!({ "stream": stream, "text": String::from_utf8_lossy(line) })
}

/// A run and all that was kept of its output.
fn whole(run: &Run, frames: &[Frame]) -> Value {
    let mut value = serde_json::to_value(run).unwrap_or_default();
    let text = |wanted: Stream| -> String {
        let pieces = frames.iter().filter_map(|frame| match frame {
            Frame::Bytes(stream, bytes) if *stream == wanted => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8_lossy(&pieces.flatten().copied().collect::<Vec<u8>>()).into_owned()
    };
    value["stdout"] = text(Stream::Out).into();
    value["stderr"] = text(Stream::Err).into();
    let lines = logs::lines(frames);
    value["lines"] = lines.iter().map(|(stream, line)| as_json(*stream, line)).collect();
    value
}
