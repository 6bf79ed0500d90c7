//! What a client sees of a fleet server: the endpoint for submissions, over plain HTTP on
//! loopback. Keeps each entry by its name, and answers as a test tells it to.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Stores what it is sent.
    Well,
    /// Stores it, and closes the connection without an answer.
    Mute,
    /// Answers with this status, and asks to wait so many seconds.
    Status(u16, Option<u32>),
    /// Rejects entries of runs that failed.
    Picky,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    entries: BTreeMap<String, Value>,
    /// How often each name came.
    times: BTreeMap<String, u32>,
    requests: u32,
    compressed: u32,
}

/// A running server; it ends with the process of the test.
#[derive(Debug)]
pub struct Fleet {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Fleet {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            entries: BTreeMap::new(),
            times: BTreeMap::new(),
            requests: 0,
            compressed: 0,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &state).ok());
            }
        });
        Ok(Self { state, port })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it answers like this.
    pub fn set(&self, mood: Mood) {
        self.with(|state| state.mood = mood);
    }

    /// Everything that it has, by name.
    pub fn entries(&self) -> BTreeMap<String, Value> {
        self.with(|state| state.entries.clone())
    }

    /// How often each name came.
    pub fn times(&self) -> BTreeMap<String, u32> {
        self.with(|state| state.times.clone())
    }

    /// How many requests came, and how many of them were compressed.
    pub fn requests(&self) -> (u32, u32) {
        self.with(|state| (state.requests, state.compressed))
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut reader, mut out) = (BufReader::new(stream), stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").context("no length")?.parse()?;
        ensure!(length < 8 << 20, "{length} bytes");
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let zstd = headers.get("content-encoding").is_some_and(|coding| coding == "zstd");
        if zstd {
            body = zstd::bulk::decompress(&body, 8 << 20)?;
        }
        let answer = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.requests += 1;
            state.compressed += u32::from(zstd);
            answer(&mut state, line.trim_end(), &body)
        };
        let Some(answer) = answer else { return Ok(()) };
        out.write_all(answer.as_bytes())?;
    }
}

fn answer(state: &mut State, line: &str, body: &[u8]) -> Option<String> {
    if line != "POST /api/v1/submissions HTTP/1.1" {
        return Some(text(404, "", "nothing is here"));
    }
    if let Mood::Status(code, wait) = state.mood {
        let wait = wait.map_or_else(String::new, |s| format!("Retry-After: {s}\r\n"));
        return Some(text(code, &wait, "not now"));
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return Some(text(400, "", r#"{"error":"this is not JSON"}"#));
    };
    let mut told = Vec::new();
    for entry in request["entries"].as_array().into_iter().flatten() {
        let name = entry["entry"].as_str().unwrap_or_default().to_owned();
        if state.mood == Mood::Picky && entry["run"]["outcome"] == "failed" {
            let verdict =
                json!({ "entry": name, "outcome": "rejected", "reason": "I take no failures" });
            told.push(verdict);
            continue;
        }
        *state.times.entry(name.clone()).or_default() += 1;
        told.push(json!({ "entry": name, "outcome": "stored" }));
        state.entries.insert(name, entry.clone());
    }
    (state.mood != Mood::Mute).then(|| text(200, "", &json!({ "entries": told }).to_string()))
}

fn text(code: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {code} As told\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
