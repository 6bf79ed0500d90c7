//! A web server on loopback for tests: hands out a folder, and breaks rules when it is told to.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What the server does wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Answers with whole files whatever range is asked for.
    pub(crate) no_ranges: bool,
    /// Ends the connection after so many bytes of a body.
    pub(crate) cut_after: Option<usize>,
    /// Answers these paths with these status lines and header lines.
    pub(crate) answers: BTreeMap<String, String>,
    /// Sends so many more bytes than the file has, without saying how many.
    pub(crate) surplus: usize,
}

/// One server; it ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    folder: PathBuf,
    faults: Mutex<Faults>,
    /// `GET` paths, with the range if there was one.
    asked: Mutex<Vec<String>>,
    end: AtomicBool,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            folder: folder.to_owned(),
            faults: Mutex::default(),
            asked: Mutex::default(),
            end: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.end.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(stream), state) = (stream, Arc::clone(&shared)) else { continue };
                std::thread::spawn(move || {
                    let _ = answer(&state, stream);
                });
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn fault(&self, faults: Faults) {
        *self.state.faults.lock().unwrap() = faults;
    }

    /// What was asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.end.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut from = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(range) = header.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse::<usize>().ok();
            }
        }
        let words = from.map_or(path.clone(), |from| format!("{path} from {from}"));
        state.asked.lock().unwrap().push(words);
        let faults = state.faults.lock().unwrap().clone();
        if let Some(head) = faults.answers.get(&path) {
            write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let Ok(mut bytes) = fs::read(state.folder.join(path.trim_start_matches('/'))) else {
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let total = bytes.len();
        match from.filter(|_| !faults.no_ranges) {
            Some(from) if from < total => {
                bytes.drain(..from);
                write!(
                    stream,
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n",
                    total - 1
                )?;
            }
            Some(_) => {
                write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
        }
        if faults.surplus > 0 {
            bytes.resize(bytes.len() + faults.surplus, b'x');
            write!(stream, "Connection: close\r\n\r\n")?;
            stream.write_all(&bytes)?;
            return Ok(());
        }
        write!(stream, "Content-Length: {}\r\n\r\n", bytes.len())?;
        let cut = faults.cut_after.filter(|cut| *cut < bytes.len());
        stream.write_all(&bytes[..cut.unwrap_or(bytes.len())])?;
        if cut.is_some() {
            return Ok(());
        }
    }
}
