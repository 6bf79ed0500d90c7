//! A server on loopback, and clients of it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, bin, command, parts, run};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// A fleet server; ended when dropped.
pub struct Server {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
}

impl Server {
    /// A new one that answers; `None` where a part is missing and need not be there.
    pub fn new() -> Result<Option<Self>> {
        if !parts::need_bins(&["ldi", "codesync", "ldi-server"])?
            || !parts::need(&["bash", "curl"])?
        {
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { folder: tempfile::tempdir()?, child: None, port };
        let listen = format!("127.0.0.1:{port}");
        server.ldi_server(&["init", "--name", "localhost", "--listen", &listen])?.success()?;
        server.start()?;
        Ok(Some(server))
    }

    /// From now on with this database.
    pub fn on(&mut self, database: &str) -> Result<()> {
        self.kill()?;
        let settings = self.data().join("ldi-server.toml");
        let text = fs::read_to_string(&settings)?;
        fs::write(&settings, format!("{text}database = \"{database}\"\n"))?;
        self.start()
    }

    /// Its folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn program(&self, words: &[&str]) -> Result<Command> {
        let mut program = command(&bin("ldi-server")?);
        program.arg("--data").arg(self.data()).args(words);
        Ok(program)
    }

    /// `ldi-server WORDS`, to its end.
    pub fn ldi_server(&self, words: &[&str]) -> Result<Done> {
        run(&mut self.program(words)?)
    }

    /// `ldi-server WORDS --json`.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        self.ldi_server(&[words, &["--json"]].concat())?.success()?.json()
    }

    /// A new token.
    pub fn token(&self, words: &[&str]) -> Result<String> {
        let done = self.ldi_server(&[&["token", "create"], words].concat())?.success()?;
        Ok(done.out().trim().to_owned())
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) -> Result<()> {
        let mut serve = self.program(&["serve"])?;
        let log =
            fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(serve.spawn()?);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(30),
                "it does not listen: {}",
                self.log()?
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has; how long that took.
    pub fn stop(&mut self) -> Result<Duration> {
        let mut child = self.child.take().context("it does not run")?;
        let begun = Instant::now();
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        let status = child.wait()?;
        ensure!(status.success(), "it ended with {status}: {}", self.log()?);
        Ok(begun.elapsed())
    }

    /// What it said.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// What curl gets from `path`: the status and the body.
    pub fn curl(&self, path: &str, words: &[&str]) -> Result<(u16, String)> {
        let mut curl = command(&e2e::program("curl")?);
        curl.args(["--silent", "--max-time", "60", "--write-out", "\n%{http_code}"])
            .arg("--cacert")
            .arg(self.data().join("ca.pem"))
            .args(words)
            .arg(format!("{}{path}", self.url()));
        let said = run(&mut curl)?.out();
        let (body, code) = said.rsplit_once('\n').context("no status")?;
        Ok((code.parse()?, body.to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A machine with a release that has a job and a collector.
pub struct Machine {
    /// Where it lives.
    pub sandbox: Sandbox,
}

impl Machine {
    /// A new one that has synced.
    pub fn new() -> Result<Self> {
        let sandbox = Sandbox::with_library()?;
        let text = "#!/bin/bash\necho '{\"distname\": \"debian\", \"version\": \"12\"}'\n";
        e2e::tree::put(&sandbox.tree(), "scripts/collect/os_info", text.as_bytes(), true)?;
        e2e::tree::put(&sandbox.tree(), "scripts/daily/job", b"#!/bin/bash\necho one\n", true)?;
        sandbox.publish()?;
        sandbox.configure(&[&sandbox.file_url()], None)?;
        sandbox.synced()?;
        Ok(Self { sandbox })
    }

    /// `ldi enroll` at `server` with `token`.
    pub fn enroll(&self, server: &Server, token: &str, more: &[&str]) -> Result<Done> {
        let url = server.url();
        let words = [&["enroll", "--server", &url, "--token", token], more].concat();
        self.sandbox.ldi(&words)
    }

    /// `ldi WORDS`, that must succeed.
    pub fn ldi(&self, words: &[&str]) -> Result<Done> {
        self.sandbox.ldi(words)?.success()
    }
}
