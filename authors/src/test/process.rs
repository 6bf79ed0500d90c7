//! One process of a test: started in its own group, watched, and ended with all that it left.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::orphans;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver, sync::watch, time::sleep};

/// So much of the output's beginning is kept, and so much of its end.
const KEPT: usize = 32 << 10;
/// How long what was written is still read when nobody is left who belongs to the test.
const DRAIN: Duration = Duration::from_secs(1);

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// It was killed at its limit.
    pub timed_out: bool,
    /// It was killed because the run ends.
    pub stopped: bool,
    /// Standard output and error, cut in the middle.
    pub output: String,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Runs `command`, whose environment has LDI_RUN=`run`, for at most `limit`.
pub async fn run(
    mut command: Command,
    run: &str,
    limit: Duration,
    mut stop: watch::Receiver<bool>,
) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut output = Output::new(Receiver::from_owned_fd(reader.into())?);
    let begun = Instant::now();
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn()?;
    // With it goes the last end of the pipe that is ours to write to.
    drop(command);
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let (mut timed_out, mut stopped) = (false, false);
    let deadline = sleep(limit);
    tokio::pin!(deadline);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = output.read() => {}
            () = &mut deadline, if !timed_out => {
                timed_out = true;
                kill_group(group);
            }
            _ = stop.wait_for(|stop| *stop), if !stopped => {
                stopped = true;
                kill_group(group);
            }
        }
    };
    kill_group(group);
    orphans::end(Some(run));
    let drained = Instant::now();
    while output.is_open() && drained.elapsed() < DRAIN {
        tokio::select! {
            () = output.read() => {}
            () = sleep(DRAIN) => {}
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Ended { status, timed_out, stopped, output: output.text(), seconds })
}

fn kill_group(group: Option<Pid>) {
    if let Some(group) = group {
        // A group without members is what we want.
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// What a test writes: its beginning and its end are kept.
struct Output {
    pipe: Option<Receiver>,
    head: Vec<u8>,
    tail: Vec<u8>,
    left_out: usize,
    buffer: Vec<u8>,
}

impl Output {
    fn new(pipe: Receiver) -> Self {
        let buffer = vec![0; 1 << 14];
        Self { pipe: Some(pipe), head: Vec::new(), tail: Vec::new(), left_out: 0, buffer }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Takes what is there; waits for ever when the last writer has closed it.
    async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        match pipe.read(&mut self.buffer).await {
            Ok(n) if n > 0 => self.take(n),
            _ => self.pipe = None,
        }
    }

    fn take(&mut self, n: usize) {
        let mut rest = &self.buffer[..n];
        let room = KEPT.saturating_sub(self.head.len()).min(rest.len());
        self.head.extend_from_slice(&rest[..room]);
        rest = &rest[room..];
        self.tail.extend_from_slice(rest);
        if self.tail.len() > 2 * KEPT {
            let cut = self.tail.len() - KEPT;
            self.left_out += cut;
            self.tail.drain(..cut);
        }
    }

    fn text(mut self) -> String {
        let cut = self.tail.len().saturating_sub(KEPT);
        self.left_out += cut;
        self.tail.drain(..cut);
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n[… {} bytes are left out …]\n", self.left_out));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}
