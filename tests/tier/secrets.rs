//! Secrets: they reach the job that asks for them, and nothing else.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};
use e2e::parts;

use crate::client::{Client, ended, job};

const SH: &str = "#!/bin/bash\n";
const PSK: &str = "correct-horse-battery";
const KEY: &str = "-----BEGIN THING-----\nQUJDREVGR0hJSktMTU5P\n-----END THING-----\n";

fn with_secrets() -> Result<Option<Client>> {
    let Some(client) = Client::new()? else { return Ok(None) };
    let folder = client.sandbox.path("secrets");
    fs::create_dir(&folder)?;
    for (name, value) in [("wifi_psk", PSK), ("key", KEY)] {
        let file = folder.join(name);
        fs::write(&file, value)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    client.configure(&format!("secrets = {folder:?}\n"))?;
    Ok(Some(client))
}

#[test]
fn a_secret_reaches_its_job_and_is_seen_nowhere() -> Result<()> {
    let Some(client) = with_secrets()? else { return Ok(()) };
    if !parts::need(&["python3"])? {
        return Ok(());
    }
    let sum = format!("[ \"$psk\" = {} ] && echo right", PSK.replace("-", "'-'"));
    client
        .script(
            "scripts/daily/10_bash",
            &format!(
                "{SH}# ldi: secrets=wifi_psk,key\n\
                 tr '\\0' ' ' < /proc/self/cmdline; env\n\
                 psk=$(cat <&\"$LDI_SECRET_WIFI_PSK_FD\"); {sum}\n\
                 echo \"psk is $psk.\"; for part in correct -horse- battery; do printf %s $part; sleep 0.2; done\n\
                 echo; key=$(cat \"/dev/fd/$LDI_SECRET_KEY_FD\"); echo \"$key\"; echo \"$key\" | sed -n 2p >&2\n"
            ),
        )?
        .script(
            "scripts/daily/20_python",
            "#!/usr/bin/env python3\n# ldi: secrets=wifi_psk\nimport os\n\
             psk = open(int(os.environ['LDI_SECRET_WIFI_PSK_FD'])).read()\nprint(len(psk), psk)\n",
        )?
        .script("scripts/daily/30_none", &format!("{SH}env; ls /proc/self/fd\n"))?
        .script("scripts/daily/40_missing", &format!("{SH}# ldi: secrets=nobody_knows\necho no\n"))?
        .publish()?;
    let report = client.daily(1)?;
    ended(&report, "daily/10_bash", "ok", "")?;
    let out = String::from_utf8(client.output("daily/10_bash")?)?;
    ensure!(
        out.contains("LDI_SECRET_KEY_FD=65") && out.contains("\nright\npsk is ***.\n***\n"),
        "{out}"
    );
    let err = client.ldi(0, &["logs", "daily/10_bash", "--stderr"])?.out();
    ensure!(err == "***\n", "{err}");
    ensure!(client.output("daily/20_python")? == b"21 ***\n");
    let out = String::from_utf8(client.output("daily/30_none")?)?;
    ensure!(!out.contains("SECRET") && !out.lines().any(|line| line == "64"), "{out}");
    ended(&report, "daily/40_missing", "failed", "secret nobody_knows is not on this machine")?;
    ensure!(job(&report, "daily/40_missing")?["stdout_bytes"] == 0);

    // Nothing under ROOT has any of it.
    let mut folders = vec![client.sandbox.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = fs::read(entry.path())?;
                for word in [PSK, "QUJDREVGR0hJSktMTU5P"] {
                    let found = bytes.windows(word.len()).any(|w| w == word.as_bytes());
                    ensure!(!found, "{word} is in {}", entry.path().display());
                }
            }
        }
    }
    let checked = client.ldi(0, &["check"])?.out();
    ensure!(checked.contains("nobody_knows") && !checked.contains("wifi_psk"), "{checked}");
    Ok(())
}

#[test]
fn a_secret_that_others_could_read_is_not_used_and_the_service_managers_comes_first() -> Result<()>
{
    let Some(client) = with_secrets()? else { return Ok(()) };
    client
        .script(
            "scripts/daily/job",
            &format!("{SH}# ldi: secrets=wifi_psk\ncat <&\"$LDI_SECRET_WIFI_PSK_FD\" | wc -c\n"),
        )?
        .publish()?;
    let loose = client.sandbox.path("secrets/wifi_psk");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o644))?;
    ended(&client.daily(1)?, "daily/job", "failed", "chmod 600")?;

    let credentials = client.sandbox.path("credentials");
    fs::create_dir(&credentials)?;
    fs::write(credentials.join("wifi_psk"), "another one")?;
    let mut command = client.sandbox.ldi_command(&client.sandbox.config(), &["run", "daily"])?;
    e2e::run(command.env("CREDENTIALS_DIRECTORY", &credentials))?.success()?;
    ensure!(client.output("daily/job")? == b"11\n");
    Ok(())
}

#[test]
fn an_account_reads_its_secret_by_name_too() -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(());
    }
    let Some(client) = with_secrets()? else { return Ok(()) };
    client
        .script(
            "scripts/daily/job",
            &format!(
                "{SH}# ldi: secrets=wifi_psk user=nobody\nid -u; wc -c < /dev/fd/$LDI_SECRET_WIFI_PSK_FD\n"
            ),
        )?
        .publish()?;
    fs::set_permissions(client.sandbox.path(""), fs::Permissions::from_mode(0o755))?;
    ended(&client.daily(0)?, "daily/job", "ok", "")?;
    let out = String::from_utf8(client.output("daily/job")?)?;
    ensure!(out.ends_with("\n21\n") && !out.starts_with("0\n"), "{out}");
    Ok(())
}
