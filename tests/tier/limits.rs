//! What a run may take, who it runs as, and that nothing of it stays: real control groups and
//! accounts of this machine.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use e2e::parts;

use crate::client::{Client, ended, job, lives, pids};

const SH: &str = "#!/bin/bash\n";

/// Whether this machine lets `ldi` limit what it is asked to run by hand. For root it must where
/// control groups are of version 1; those of version 2 need a service that is delegated its own.
fn limited(client: &Client) -> Result<bool> {
    let found = client.sandbox.ldi(&["check", "--json"])?.json()?;
    let found = found.as_array().into_iter().flatten().find(|f| f["what"] == "limits").cloned();
    let good = found.as_ref().is_some_and(|f| f["verdict"] == "good");
    let must = nix::unistd::Uid::effective().is_root()
        && Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists();
    ensure!(good || !(must && parts::strict()), "{found:?}");
    if !good {
        eprintln!("left out: {found:?}");
    }
    Ok(good)
}

#[test]
fn limits_are_kept_and_told() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    if !limited(&client)? || !parts::need(&["tail", "head"])? {
        return Ok(());
    }
    client.configure("processes = 300\n")?;
    client
        // tail keeps all of it, as it has no line.
        .script(
            "scripts/daily/10_memory",
            &format!("{SH}# ldi: memory=48M\nhead -c 300M /dev/zero | tail -n 1 | wc -c; exit \"${{PIPESTATUS[1]}}\"\n"),
        )?
        .script(
            "scripts/daily/20_memory_of_the_job_itself",
            &format!("{SH}# ldi: memory=48M\nexec tail -n 1 <(head -c 300M /dev/zero)\n"),
        )?
        // Bounded, should the limit not work: 1023 at the most.
        .script(
            "scripts/daily/30_bomb",
            &format!(
                "{SH}# ldi: processes=60 timeout=5s\n\
                 bomb() {{ [ \"$1\" = 0 ] && exec sleep 300; bomb $(($1 - 1)) & bomb $(($1 - 1)) & echo $BASHPID >> \"$LDI_STATE_DIR/pids\"; wait; }}\n\
                 bomb 9 2>/dev/null\n"
            ),
        )?
        .script(
            "scripts/daily/40_cpu",
            &format!(
                "{SH}# ldi: cpu=20\nend=$((SECONDS + 3)); while [ $SECONDS -lt $end ]; do :; done; times\n"
            ),
        )?
        .script("scripts/daily/50_default", &format!("{SH}cat /proc/self/cgroup\n"))?
        .publish()?;
    let report = client.daily(1)?;
    // Version 1 ends the greedy process, version 2 all of the run.
    let greedy = job(&report, "daily/10_memory")?;
    let reason = greedy["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("it took more memory than memory = 48M"), "{greedy}");
    ensure!(greedy["outcome"] == "failed" || greedy["outcome"] == "killed", "{greedy}");
    ended(&report, "daily/20_memory_of_the_job_itself", "killed", "memory = 48M")?;
    ended(&report, "daily/30_bomb", "timed-out", "more processes than processes = 60")?;
    let bombs = pids(&client.state("daily/30_bomb").join("pids"))?;
    ensure!(bombs.len() < 60 && !bombs.iter().any(|pid| lives(*pid)), "{bombs:?}");
    ended(&report, "daily/40_cpu", "ok", "")?;
    // "0m0.6s 0m0.1s" of three seconds; nothing limits how much less others leave it.
    let times = String::from_utf8(client.output("daily/40_cpu")?)?;
    let user = times.split(['m', 's']).nth(1).and_then(|s| s.parse::<f64>().ok());
    ensure!(user.is_some_and(|seconds| seconds < 1.5), "{times}");
    let groups = String::from_utf8(client.output("daily/50_default")?)?;
    ensure!(groups.contains("/ldi."), "{groups}");
    Ok(())
}

#[test]
fn a_limited_run_has_a_group_of_its_own_and_none_is_left() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    if !limited(&client)? {
        return Ok(());
    }
    client
        .script("scripts/daily/10_plain", &format!("{SH}cat /proc/self/cgroup\n"))?
        .script(
            "scripts/daily/20_limited",
            &format!(
                "{SH}# ldi: memory=1G cpu=100 processes=50\ncat /proc/self/cgroup; echo \"$0 $#\"\n"
            ),
        )?
        .publish()?;
    client.daily(0)?;
    let explained = client.ldi(0, &["explain", "20_limited"])?.out();
    let limits = "limited to memory = 1G, cpu = 100, processes = 50\n";
    ensure!(explained.contains(limits), "{explained}");
    for name in ["daily/10_plain", "daily/20_limited"] {
        let text = String::from_utf8(client.output(name)?)?;
        let run = client.json(0, &["history", name])?[0]["run"].clone();
        let run = run.as_str().unwrap_or_default();
        // Born in its ldi's group; a limited one has one of its own.
        let in_own = |line: &str| line.contains("/ldi.") && line.ends_with(run);
        let limited = name == "daily/20_limited";
        ensure!(text.contains("/ldi.") && text.lines().any(in_own) == limited, "{text}");
        let named = format!("*{run}");
        let left = Command::new("find").args(["/sys/fs/cgroup", "-name", &named]).output()?;
        ensure!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
    }
    Ok(())
}

#[test]
fn an_account_comes_with_its_groups_and_nothing_of_roots() -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() || !cfg!(target_os = "linux") {
        return Ok(());
    }
    let Some(client) = Client::new()? else { return Ok(()) };
    // One with more groups than its own, if this machine has any.
    let groups = fs::read_to_string("/etc/group")?;
    let mut members = groups.lines().filter_map(|line| line.rsplit(':').next()?.split(',').next());
    let account = members.rfind(|name| !["", "root"].contains(name)).unwrap_or("nobody");
    let expected = Command::new("id").args(["-G", account]).output()?;
    let expected = String::from_utf8(expected.stdout)?;
    client
        .script(
            "scripts/daily/10_who",
            &format!(
                "{SH}# ldi: user={account}\nid -u; id -g; id -G; echo \"$USER $HOME\"; grep -E '^(CapEff|Uid|Gid)' /proc/self/status\n\
                 touch \"$LDI_STATE_DIR/mine\" && umask && pwd\n"
            ),
        )?
        .script("scripts/daily/20_gone", &format!("{SH}# ldi: user=no-such-account\necho never\n"))?
        .script("scripts/daily/30_missing", "#!/no/such/interpreter\n# ldi: user=nobody\n")?
        .file(
            "conf/tiers.toml",
            "[[job]]\nname = \"command\"\ntier = \"daily\"\nuser = \"nobody\"\ncommand = [\"/no/such/program\"]\n",
        )?
        .publish()?;
    // The account must be able to reach its folder and its script's.
    fs::set_permissions(
        client.sandbox.path(""),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let report = client.daily(1)?;
    ended(&report, "daily/10_who", "ok", "")?;
    let out = String::from_utf8(client.output("daily/10_who")?)?;
    let lines: Vec<&str> = out.lines().collect();
    ensure!(lines[2] == expected.trim() && lines[0] != "0" && lines[1] != "0", "{out}");
    ensure!(
        lines[3].starts_with(&format!("{account} ")) && out.contains("CapEff:\t0000000000000000"),
        "{out}"
    );
    ensure!(lines.ends_with(&["0022", "/"]), "{out}");
    ended(&report, "daily/20_gone", "failed", "there is no account no-such-account")?;
    ended(&report, "daily/30_missing", "failed", "/no/such/interpreter")?;
    ended(&report, "command", "failed", "/no/such/program could not be started")?;
    Ok(())
}
