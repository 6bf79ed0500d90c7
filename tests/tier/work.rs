//! What a well-behaved job may rely on.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::client::{Client, ended, job};

const SH: &str = "#!/bin/bash\n";

#[test]
fn arguments_arrive_exact_in_all_kinds_of_jobs() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let args = r#"args = ["", "a b", "*", "-n", "--", "$HOME", "x\ny", "ü'\"\\"]"#;
    let show = "for a in \"$@\"; do printf '<%s>' \"$a\"; done";
    client
        .file("modules/args.sh", &format!("show_args() {{ {show}; }}\n"))?
        .file(
            "modules/args_tools.py",
            "import sys\ndef show(*args):\n    sys.stdout.write(''.join('<%s>' % a for a in args))\n",
        )?
        .script("scripts/tools/args.py", "#!/usr/bin/env python3\nimport sys, args_tools\nargs_tools.show(*sys.argv[1:])\n")?
        .script("scripts/tools/args", &format!("{SH}{show}\n"))?
        .file(
            "conf/tiers.toml",
            &format!(
                "[[job]]\nname = \"bash\"\ntier = \"daily\"\nscript = \"scripts/tools/args\"\n{args}\n\
                 [[job]]\nname = \"python\"\ntier = \"daily\"\nscript = \"scripts/tools/args.py\"\n{args}\n\
                 [[job]]\nname = \"function\"\ntier = \"daily\"\nfunction = \"show_args\"\n{args}\n\
                 [[job]]\nname = \"python_function\"\ntier = \"daily\"\nfunction = \"args_tools.show\"\n{args}\n\
                 [[job]]\nname = \"command\"\ntier = \"daily\"\ncommand = [\"/bin/bash\", \"-c\", '''{show}''', \"me\"]\n{args}\n"
            ),
        )?
        .publish()?;
    client.daily(0)?;
    let expected = "<><a b><*><-n><--><$HOME><x\ny><ü'\"\\>";
    for name in ["bash", "python", "function", "python_function", "command"] {
        let out = String::from_utf8(client.output(name)?)?;
        ensure!(out == expected, "{name}: {out}");
    }
    Ok(())
}

#[test]
fn the_environment_is_clean_and_complete() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script(
            "scripts/daily/env",
            &format!("{SH}env | sort; umask; pwd; wc -c; stat -c %a \"$LDI_STATE_DIR\"\n"),
        )?
        .publish()?;
    let mut command = client.sandbox.ldi_command(&client.sandbox.config(), &["run", "daily"])?;
    command.env("SECRET_OF_THE_CALLER", "1").env("BASH_ENV", "/nonexistent").env("TZ", "UTC");
    e2e::run(&mut command)?.success()?;
    let out = String::from_utf8(client.output("daily/env")?)?;
    let root = client.sandbox.root();
    let root = root.display();
    for line in [
        format!("LDI_ROOT={root}"),
        format!("LDI_LIB={root}/releases/1"),
        format!("LDI_STATE_DIR={root}/var/daily/env"),
        "LDI_TIER=daily".to_owned(),
        "LDI_JOB=daily/env".to_owned(),
        "LDI_RELEASE=1".to_owned(),
        "TZ=UTC".to_owned(),
        "LANG=C.UTF-8".to_owned(),
        "0022".to_owned(),
        "/".to_owned(),
        "0".to_owned(),
        "700".to_owned(),
    ] {
        ensure!(out.lines().any(|l| l == line), "{line} is missing in\n{out}");
    }
    ensure!(out.contains("LDI_RUN=") && out.contains("HOME=/"), "{out}");
    ensure!(!out.contains("SECRET") && !out.contains("BASH_ENV"), "{out}");
    Ok(())
}

#[test]
fn order_filters_retries_and_run_once() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let order = client.sandbox.path("order");
    let note = format!("echo \"${{LDI_JOB##*/}}\" >> {}", order.display());
    client
        .script("scripts/daily/10_last", &format!("{SH}# ldi: after=30_first\n{note}\n"))?
        .script("scripts/daily/20_once", &format!("{SH}# ldi: run_once\n{note}\n"))?
        .script("scripts/daily/30_first", &format!("{SH}{note}\n"))?
        .script("scripts/daily/40_mac", &format!("{SH}# ldi: os=macos,freebsd\n{note}\n"))?
        .script("scripts/daily/50_nobody", &format!("{SH}# ldi: percent=0\n{note}\n"))?
        .script("scripts/daily/60_tagged", &format!("{SH}# ldi: tags=lab\n{note}\n"))?
        .script(
            "scripts/daily/70_third_time",
            &format!(
                "{SH}# ldi: retries=2\n{note}\n[ \"$(grep -c 70_third {})\" -ge 3 ]\n",
                order.display()
            ),
        )?
        .publish()?;
    fs::create_dir_all(client.sandbox.root().join("tags"))?;
    let report = client.daily(0)?;
    let ran: Vec<String> = fs::read_to_string(&order)?.lines().map(str::to_owned).collect();
    let third = "70_third_time";
    ensure!(ran == ["20_once", "30_first", "10_last", third, third, third], "{ran:?}");
    ended(&report, "daily/40_mac", "skipped", "os is")?;
    ended(&report, "daily/50_nobody", "skipped", "percent")?;
    ended(&report, "daily/60_tagged", "skipped", "no tag lab")?;
    fs::write(client.sandbox.root().join("tags/lab"), "")?;
    let report = client.daily(0)?;
    ended(&report, "daily/20_once", "skipped", "succeeded once")?;
    ended(&report, "daily/60_tagged", "ok", "")?;
    client.ldi(0, &["reset", "20_once"])?;
    ended(&client.daily(0)?, "daily/20_once", "ok", "")?;
    client
        .script("scripts/daily/20_once", &format!("{SH}# ldi: run_once\n{note}\n: changed\n"))?
        .publish()?;
    ended(&client.daily(0)?, "daily/20_once", "ok", "")?;

    let dry = client.json(0, &["run", "daily", "--dry-run"])?;
    ended(&dry, "daily/30_first", "would-run", "")?;
    ended(&dry, "daily/40_mac", "skipped", "os is")?;
    let explained = client.ldi(0, &["explain", "40_mac"])?.out();
    ensure!(explained.contains("not here: os is"), "{explained}");
    ensure!(client.ldi(0, &["plan"])?.out().contains("every15"));
    Ok(())
}

#[test]
fn a_gate_keeps_only_its_own_job_waiting() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let open = client.sandbox.path("open");
    client
        .file(
            "modules/network.sh",
            &format!(
                "check_corp() {{ [ -e {} ]; }}\ncheck_internet() {{ false; }}\n",
                open.display()
            ),
        )?
        .script(
            "scripts/daily/10_corp",
            &format!("{SH}# ldi: wait_for=corp wait_deadline=1m\necho in\n"),
        )?
        .script(
            "scripts/daily/20_never",
            &format!("{SH}# ldi: wait_for=internet wait_deadline=2s\necho in\n"),
        )?
        .script("scripts/daily/30_opens", &format!("{SH}sleep 1; touch {}\n", open.display()))?
        .publish()?;
    let report = client.daily(0)?;
    ended(&report, "daily/10_corp", "ok", "")?;
    ended(&report, "daily/20_never", "skipped", "did not open within 2s")?;
    ended(&report, "daily/30_opens", "ok", "")?;
    let history = client.json(0, &["history", "daily/20_never"])?;
    ensure!(history[0]["outcome"] == "skipped", "{history}");
    Ok(())
}

#[test]
fn parallel_jobs_run_side_by_side_and_others_do_not() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    for name in ["a", "b", "c"] {
        client
            .script(&format!("scripts/daily/{name}"), &format!("{SH}# ldi: parallel\nsleep 1\n"))?;
    }
    let mark = client.sandbox.path("mark");
    let alone = format!("{SH}mkdir {0} || exit 1\nsleep 0.3\nrmdir {0}\n", mark.display());
    for name in ["x", "y"] {
        client.script(&format!("scripts/daily/{name}"), &alone)?;
    }
    let report = client.publish()?.daily(0)?;
    ensure!(report["seconds"].as_f64().is_some_and(|s| s < 2.9), "{report}");
    Ok(())
}

#[test]
fn a_job_runs_as_the_user_that_it_names() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("left out: only root can run a job as another user");
        return Ok(());
    }
    // The sandbox's folder is private by default.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(client.sandbox.path(""), open)?;
    client
        .script(
            "scripts/daily/who",
            &format!("{SH}# ldi: user=nobody nice=5\nid -un; id -G; nice; echo x > \"$LDI_STATE_DIR/mine\"; echo to stderr > /dev/stderr\n"),
        )?
        .script("scripts/daily/wrong", &format!("{SH}# ldi: user=no-such-account\n"))?
        .publish()?;
    let report = client.daily(1)?;
    ended(&report, "daily/wrong", "failed", "no account no-such-account")?;
    ended(&report, "daily/who", "ok", "").with_context(|| {
        client.ldi(0, &["logs", "daily/who"]).map_or_else(|e| e.to_string(), |d| d.out())
    })?;
    let out = String::from_utf8(client.output("daily/who")?)?;
    let lines: Vec<&str> = out.lines().collect();
    ensure!(
        lines[0] == "nobody" && !lines[1].split(' ').any(|g| g == "0") && lines[2] == "5",
        "{out}"
    );
    ensure!(job(&report, "daily/who")?["run"].is_string());
    Ok(())
}
