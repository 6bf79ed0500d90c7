//! Servers on loopback that end with their test.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A server process.
pub struct Web {
    child: Child,
    pub port: u16,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that was free just now.
pub fn port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts `command` and waits until it listens on `port`.
pub fn start(command: &mut Command, port: u16) -> Result<Web> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().context("cannot start the web server")?;
    let mut web = Web { child, port };
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if began.elapsed() > Duration::from_secs(20) {
            bail!("the web server does not listen");
        }
        if let Some(status) = web.child.try_wait()? {
            bail!("the web server ended with {status}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(web)
}

/// Python's own web server over `folder`.
pub fn python(folder: &Path) -> Result<Web> {
    let port = port()?;
    let mut command = e2e::command(&e2e::program("python3")?);
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    start(command.current_dir(folder), port)
}
