use std::{fs, process::Command};

use super::*;
use crate::logs;

/// Runs of one process share their orphans; tests do not.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Bench {
    dir: tempfile::TempDir,
    stop: watch::Sender<bool>,
}

impl Bench {
    fn new() -> Self {
        adopt_orphans().unwrap();
        Self { dir: tempfile::tempdir().unwrap(), stop: watch::channel(false).0 }
    }

    async fn run(&self, name: &str, script: &str, timeout: u64) -> Ended {
        let mut command = Command::new("/bin/bash");
        command
            .arg("-c")
            .arg(script)
            .env("LDI_RUN", name)
            .env("D", self.dir.path())
            .current_dir("/");
        let limits = Limits {
            timeout: Duration::from_millis(timeout),
            kill_after: Duration::from_millis(300),
            nice: 0,
        };
        let mut log = Log::create(&self.dir.path().join("logs"), name, &[], 1 << 16);
        let ended = supervise(command, name, limits, &mut log, self.stop.subscribe()).await;
        assert_eq!(log.finish(), None);
        ended
    }

    fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.dir.path().join("pids")).unwrap_or_default();
        text.split_ascii_whitespace().map(|p| p.parse().unwrap()).collect()
    }

    fn assert_all_gone(&self, at_least: usize) {
        let pids = self.pids();
        assert!(pids.len() >= at_least, "{pids:?}");
        for pid in pids {
            assert_eq!(crate::machine::started(pid), None, "process {pid} is still there");
        }
    }
}

#[tokio::test]
async fn exit_statuses_and_signals() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let ok = bench.run("r-ok", "echo a; echo b >&2", 5000).await;
    assert_eq!(
        (ok.outcome, ok.exit_status, ok.stdout_bytes, ok.stderr_bytes),
        (Outcome::Ok, Some(0), 2, 2)
    );
    let failed = bench.run("r-3", "exit 3", 5000).await;
    assert_eq!((failed.outcome, failed.exit_status), (Outcome::Failed, Some(3)));
    assert_eq!(failed.reason.as_deref(), Some("exit status 3"));
    let killed = bench.run("r-kill", "kill -9 $$", 5000).await;
    assert_eq!(
        (killed.outcome, killed.reason.as_deref()),
        (Outcome::Killed, Some("signal 9 SIGKILL"))
    );
}

#[tokio::test]
async fn a_hanging_job_that_ignores_term_is_killed_with_its_children() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let script = "trap '' TERM; (trap '' TERM; echo $BASHPID >> $D/pids; sleep 60) & echo $$ >> $D/pids; while :; do sleep 60; done";
    let ended = bench.run("r-hang", script, 400).await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    assert!(ended.reason.unwrap().contains("ignored the request to end"));
    assert!(ended.seconds < 5.0);
    bench.assert_all_gone(2);
}

#[tokio::test]
async fn what_forks_away_is_ended_with_a_cleared_environment_and_a_new_session_too() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let script = r#"
        setsid bash -c 'setsid bash -c "echo \$\$ >> $D/pids; exec sleep 60" & exit 0' &
        env -i D="$D" /usr/bin/setsid /bin/bash -c 'trap "" TERM HUP; (echo $BASHPID >> $D/pids; exec /bin/sleep 61) & echo $$ >> $D/pids; wait' &
        while [ "$(cat $D/pids 2>/dev/null | wc -l)" -lt 3 ]; do sleep 0.05; done"#;
    let ended = bench.run("r-fork", script, 20000).await;
    assert_eq!(ended.outcome, Outcome::Ok, "{ended:?}");
    assert!(ended.reason.unwrap().contains("left behind"));
    assert!(ended.seconds < 6.0);
    bench.assert_all_gone(3);
}

#[tokio::test]
async fn two_runs_at_once_end_only_their_own() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let other = Bench::new();
    let (first, second) = tokio::join!(
        bench.run("r-one", "setsid sleep 60 & echo $! >> $D/pids; exit 0", 20000),
        other.run("r-two", "setsid bash -c 'sleep 1.5; echo done' & wait; echo end", 20000),
    );
    assert_eq!(first.outcome, Outcome::Ok);
    bench.assert_all_gone(1);
    assert_eq!((second.outcome, second.stdout_bytes), (Outcome::Ok, 9), "{second:?}");
}

#[tokio::test]
async fn what_is_aside_is_no_runs_to_end_or_to_wait_for() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let start = |seconds: &str| {
        let mut command = Command::new("/bin/sleep");
        command.arg(seconds);
        aside(|| command.spawn(), |child| Some(child.id())).unwrap()
    };
    let (mut long, _long) = start("60");
    let (mut short, _short) = start("0");
    let ended = bench.run("r-aside", "setsid sleep 60 & echo $! >> $D/pids; exit 0", 20000).await;
    assert_eq!(ended.reason.as_deref(), Some("1 process that it left behind was ended"));
    bench.assert_all_gone(1);
    assert!(short.wait().unwrap().success(), "it was waited for by another");
    assert!(long.try_wait().unwrap().is_none(), "it was ended");
    long.kill().unwrap();
    long.wait().unwrap();
}

#[tokio::test]
async fn a_flood_is_counted_bounded_and_ended() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let ended = bench.run("r-flood", "yes & yes >&2", 700).await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    assert!(ended.stdout_bytes > 1 << 17 && ended.stderr_bytes > 1 << 17);
    let size = fs::metadata(bench.dir.path().join("logs/r-flood.log")).unwrap().len();
    assert!(size < 150_000, "{size}");
    let (_, frames) = logs::read(&bench.dir.path().join("logs"), "r-flood").unwrap();
    let cut = frames.iter().any(|f| matches!(f, logs::Frame::Cut(Stream::Out, n) if *n > 0));
    assert!(cut, "{} frames, {ended:?}", frames.len());
}

#[tokio::test]
async fn stdin_is_empty_and_a_stop_interrupts() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    assert_eq!(bench.run("r-in", "cat", 5000).await.outcome, Outcome::Ok);
    let (ended, ()) = tokio::join!(bench.run("r-stop", "sleep 60", 50000), async {
        sleep(Duration::from_millis(200)).await;
        bench.stop.send_replace(true);
    });
    assert_eq!(
        (ended.outcome, ended.reason.as_deref()),
        (Outcome::Interrupted, Some("ldi was stopped"))
    );
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let _alone = ALONE.lock().await;
    let bench = Bench::new();
    let mut log = Log::none();
    let limits =
        Limits { timeout: Duration::from_secs(5), kill_after: Duration::from_secs(1), nice: 0 };
    let ended =
        supervise(Command::new("/no/such"), "r", limits, &mut log, bench.stop.subscribe()).await;
    assert_eq!(ended.outcome, Outcome::Failed);
    assert!(ended.reason.unwrap().contains("/no/such could not be started"));
}
