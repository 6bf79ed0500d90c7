//! Where the daemon's log lines go, and that each says of which tier, job and run it speaks.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{disk::Small, parts, program};

use crate::{
    client::{Client, soon},
    clock::Daemon,
};

const TIERS: &str = "[tier.often]\ncron = \"* * * * * *\"\n";

fn often() -> Result<Option<Client>> {
    let Some(client) = Client::new()? else { return Ok(None) };
    client
        .file("conf/tiers.toml", TIERS)?
        .script("scripts/often/job", "#!/bin/bash\nexit 3\n")?
        .publish()?
        .ldi(0, &["sync"])?;
    Ok(Some(client))
}

#[test]
fn every_line_of_a_run_names_it_in_the_file() -> Result<()> {
    let Some(client) = often()? else { return Ok(()) };
    let daemon = Daemon::start(&client)?;
    let file = client.sandbox.root().join("logs/ldi.log");
    let mut text = String::new();
    let marks =
        ["WARN tier{tier=\"often\"}:run{job=\"often/job\" run=\"2", "failed: exit status 3"];
    soon("the run is told", || {
        text = fs::read_to_string(&file).unwrap_or_default();
        text.lines().any(|line| marks.iter().all(|mark| line.contains(mark)))
    })
    .with_context(|| text.clone())?;
    ensure!(!text.contains('\x1b'), "{text}");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o640);
    // Standard error says the same, where nobody took it for the journal.
    let told = fs::read_to_string(client.sandbox.path("daemon.log"))?;
    ensure!(told.contains(marks[0]), "{told}");
    daemon.stop()
}

#[test]
fn figures_for_prometheus() -> Result<()> {
    let Some(client) = often()? else { return Ok(()) };
    let file = client.sandbox.path("ldi.prom");
    client.configure(&format!("[metrics]\ntextfile = \"{}\"\n", file.display()))?;
    let daemon = Daemon::start(&client)?;
    let mut text = String::new();
    let wanted = [
        "ldi_job_last_outcome{job=\"often/job\",outcome=\"failed\"} 1\n",
        "ldi_runs_total{outcome=\"failed\"} ",
        "ldi_tier_next_timestamp_seconds{tier=\"often\"} 1",
        "ldi_last_sync_success 1\n",
        "ldi_release 1\n",
    ];
    soon("the figures", || {
        text = fs::read_to_string(&file).unwrap_or_default();
        wanted.iter().all(|line| text.contains(line))
    })
    .with_context(|| text.clone())?;
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o644);
    daemon.stop()
}

/// A field as the journal's native protocol carries it.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = (value.len() as u64).to_le_bytes();
    [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat()
}

#[test]
fn under_systemd_the_journal_gets_fields() -> Result<()> {
    if !Small::possible()? {
        if parts::strict() && cfg!(target_os = "linux") {
            bail!("no disk can be mounted: run as root");
        }
        eprintln!("left out: it needs Linux, root and a folder that can be mounted on /run");
        return Ok(());
    }
    let Some(client) = often()? else { return Ok(()) };
    let run = client.sandbox.path("run");
    fs::create_dir_all(run.join("systemd/journal"))?;
    let journal = UnixDatagram::bind(run.join("systemd/journal/socket"))?;
    journal.set_read_timeout(Some(Duration::from_secs(30)))?;
    let errors = fs::File::create(client.sandbox.path("stderr"))?;
    // As systemd starts it: JOURNAL_STREAM names what standard error is. In a mount namespace of
    // its own, so that nobody else sees our journal.
    let script = "mount --bind \"$1\" /run && shift && \
                  JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr) exec \"$@\"";
    let mut ldi = client.sandbox.ldi_command(&client.sandbox.config(), &["daemon"])?;
    let mut command = e2e::command(&program("unshare")?);
    command.args(["--mount", "/bin/sh", "-c", script, "sh"]).arg(&run);
    command.arg(ldi.get_program()).args(ldi.get_args());
    for (name, value) in ldi.env("LDI_LOG", "info").get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()?;
    let found = (|| -> Result<()> {
        let wanted = [
            field("TIER", "often"),
            field("JOB", "often/job"),
            field("OUTCOME", "failed"),
            field("SYSLOG_IDENTIFIER", "ldi"),
            field("MESSAGE", "often/job: failed: exit status 3"),
            b"PRIORITY\n\x01\0\0\0\0\0\0\x004\n".to_vec(),
        ];
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = journal.recv(&mut buffer).context("no such entry")?;
            let entry = &buffer[..n];
            let has = |field: &Vec<u8>| entry.windows(field.len()).any(|part| part == field);
            if wanted.iter().all(has) {
                return Ok(());
            }
            eprintln!("{}", String::from_utf8_lossy(entry));
        }
    })();
    child.kill()?;
    child.wait()?;
    found?;
    let errors = fs::read_to_string(client.sandbox.path("stderr"))?;
    ensure!(errors.is_empty(), "said twice: {errors}");
    Ok(())
}
