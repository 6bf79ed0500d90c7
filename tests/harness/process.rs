//! Running a program to its end, with its output captured and a time limit.

use std::{
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// No captured stream may be longer than this.
const MAX_OUTPUT: u64 = 64 << 20;
const POLL: Duration = Duration::from_micros(300);
/// The limit of [`run`].
pub const USUAL: Duration = Duration::from_secs(120);

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    /// What was run, for messages.
    pub words: String,
    /// Its status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Wall-clock time from start to exit.
    pub wall: Duration,
}

impl Done {
    /// The exit code; 128 + signal number if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.stdout).with_context(|| format!("no JSON from {self}"))
    }

    /// Requires exit code `code`.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(self.code() == code, "expected exit {code}: {self}");
        Ok(self)
    }

    /// Requires exit code 0.
    pub fn success(self) -> Result<Self> {
        self.expect_code(0)
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |text: String| text.chars().take(2000).collect::<String>();
        write!(
            f,
            "`{}` ended with {} after {:.1} s\nstdout: {}\nstderr: {}",
            self.words,
            self.code(),
            self.wall.as_secs_f64(),
            cut(self.out()),
            cut(self.err())
        )
    }
}

/// A command with a small fixed environment, so that the caller's settings change no result.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    command.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
    // Coverage and sanitizers tell their programs where to write through these.
    for name in ["LLVM_PROFILE_FILE", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs `command` to its end, for at most two minutes.
pub fn run(command: &mut Command) -> Result<Done> {
    run_within(command, USUAL)
}

/// Runs `command` to its end; after `limit` its process group is killed and that is an error.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<Done> {
    let words = words(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{words}`"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            break status;
        }
        if start.elapsed() > limit {
            let group = Pid::from_raw(i32::try_from(child.id()).context("a pid beyond i32")?);
            killpg(group, Signal::SIGKILL).ok();
            child.wait().ok();
            let got = collect(&stdout) + &collect(&stderr);
            bail!("`{words}` did not end within {} s and was killed: {got}", limit.as_secs());
        }
        thread::sleep(POLL);
    };
    let wall = start.elapsed();
    Ok(Done { words, status, stdout: bytes(&stdout), stderr: bytes(&stderr), wall })
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        words.push(' ');
        words.push_str(&arg.to_string_lossy());
    }
    words
}

fn drain(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    if let Some(stream) = stream {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.take(MAX_OUTPUT).read_to_end(&mut bytes).ok();
            send.send(bytes).ok();
        });
    }
    receive
}

// A grandchild that holds the pipe open must not hang the test.
fn bytes(stream: &Receiver<Vec<u8>>) -> Vec<u8> {
    stream.recv_timeout(Duration::from_secs(5)).unwrap_or_default()
}

fn collect(stream: &Receiver<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes(stream)).chars().take(2000).collect()
}
