//! A small static web server over a library that damages one run of bytes of what it says.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::relay::Harm;

/// The server; it ends when dropped.
pub struct Web {
    port: u16,
    /// The harm, and how many bytes were said since it was set.
    state: Arc<Mutex<(Option<Harm>, u64)>>,
    over: Arc<AtomicBool>,
}

impl Web {
    /// Serves `folder` on a free port of loopback.
    pub fn start(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new((None, 0)));
        let over = Arc::new(AtomicBool::new(false));
        let (all, stop, folder) = (Arc::clone(&state), Arc::clone(&over), folder.to_owned());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        let (state, folder) = (Arc::clone(&all), folder.clone());
                        thread::spawn(move || answer(client, &folder, &state));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self { port, state, over })
    }

    /// The library's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on does `harm`; returns how many bytes were said since the last call.
    pub fn harm(&self, harm: Option<Harm>) -> u64 {
        self.state.lock().map_or(0, |mut state| std::mem::replace(&mut *state, (harm, 0)).1)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn answer(client: TcpStream, folder: &Path, state: &Mutex<(Option<Harm>, u64)>) -> Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut out = client.try_clone()?;
    let mut reader = BufReader::new(client);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let mut from = 0;
        loop {
            let mut head = String::new();
            reader.read_line(&mut head)?;
            if head.trim().is_empty() {
                break;
            }
            let head = head.to_ascii_lowercase();
            if let Some(range) = head.strip_prefix("range: bytes=") {
                from = range.trim().trim_end_matches('-').parse().unwrap_or(0);
            }
        }
        let mut said = said(folder.join(path), from);
        if let Ok(mut state) = state.lock() {
            let (harm, position) = *state;
            state.1 += said.len() as u64;
            if let Some(harm) = harm {
                harm.bytes(&mut said, position);
            }
        }
        out.write_all(&said)?;
    }
}

fn said(path: PathBuf, from: usize) -> Vec<u8> {
    let Ok(bytes) = fs::read(path) else {
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    };
    let all = bytes.len();
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_owned(),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}\r\n",
            all.saturating_sub(1)
        ),
    };
    let body = bytes.get(from..).unwrap_or_default();
    let mut said = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    said.extend_from_slice(body);
    said
}
