//! `ldi collect`: what collectors print becomes one document, for people and for the fleet server.

use anyhow::{Result, ensure};
use e2e::fleet::Fleet;
use serde_json::json;

use crate::client::Client;

const SH: &str = "#!/bin/bash\n";

fn client() -> Result<Option<Client>> {
    let Some(client) = Client::new()? else { return Ok(None) };
    let said = |text: &str| format!("{SH}{text}\n");
    client.script("scripts/collect/os_info", &said("echo '{\"distname\": \"x\"}'"))?;
    client.script("scripts/collect/list.sh", &said("echo '[1, 2, \"ü\"]'"))?;
    client.script("scripts/collect/none", &said("echo '\"unknown\"'"))?;
    client.script("scripts/collect/with_modules", &said("printf '\"%s\"\\n' \"$(greeting)\""))?;
    client.file("modules/greet.sh", "greeting() { echo hello; }\n")?;
    client.script("scripts/collect/fails", &said("echo '{\"half\":'; echo why >&2; exit 3"))?;
    client.script("scripts/collect/chatty", &said("echo hello"))?;
    client.script("scripts/collect/mute", SH)?;
    client.script("scripts/collect/slow", &format!("{SH}# ldi: timeout=1s\nsleep 60\n"))?;
    client.script("scripts/collect/long", &said("head -c 3000000 /dev/zero | tr '\\0' 1"))?;
    client.script("scripts/collect/list.py", "#!/usr/bin/python3\nprint(1)\n")?;
    client.script("scripts/collect/elsewhere", &format!("{SH}# ldi: os=freebsd\necho 1\n"))?;
    client.file("scripts/collect/not_executable", SH)?;
    client.script("scripts/collect/.hidden", SH)?;
    client.script("scripts/collect/backup~", SH)?;
    client.publish()?;
    client.sandbox.synced()?;
    Ok(Some(client))
}

#[test]
fn what_collectors_print_is_one_document_and_failures_are_told() -> Result<()> {
    let Some(client) = client()? else { return Ok(()) };
    let done = client.ldi(1, &["collect"])?;
    let found = done.json()?;
    // Of two with one name the first by name stays: list.py.
    let plugins = json!({
        "list": 1, "none": "unknown", "os_info": { "distname": "x" }, "with_modules": "hello",
    });
    ensure!(found["plugins"] == plugins, "{found}");
    let failed = &found["failed"];
    let names: Vec<_> = failed.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    ensure!(names == ["chatty", "fails", "long", "mute", "slow"], "{failed}");
    ensure!(
        failed["fails"]
            == json!({
                "outcome": "failed", "reason": "exit status 3", "exit_status": 3,
                "stdout": "{\"half\":\n", "stderr": "why\n",
            }),
        "{failed}"
    );
    ensure!(failed["slow"]["outcome"] == "timed-out", "{failed}");
    let reason = |name: &str| failed[name]["reason"].as_str().unwrap_or_default().to_owned();
    ensure!(reason("chatty").contains("not JSON") && failed["chatty"]["stdout"] == "hello\n");
    ensure!(reason("mute").contains("not JSON") && reason("long").contains("too long"));
    ensure!(found["release"] == 1 && found["collected_at"].is_string(), "{found}");
    ensure!(done.err().contains("another collector is called list"), "{done}");
    // Failing collectors are failing jobs, for those who look.
    let status = client.json(0, &["status"])?;
    ensure!(status["findings"].to_string().contains("collect/fails"), "{status}");
    Ok(())
}

#[test]
fn the_server_hears_what_is_new_in_full_and_otherwise_that_nothing_is() -> Result<()> {
    let fleet = Fleet::start()?;
    let Some(client) = client()? else { return Ok(()) };
    client.ldi(78, &["collect", "--submit"])?;
    client.configure(&format!("[server]\nurl = \"{}\"\n", fleet.url()))?;
    client.script("scripts/collect/slow", &format!("{SH}echo 1\n"))?.publish()?;
    client.sandbox.synced()?;
    client.ldi(1, &["collect", "--submit"])?;
    client.ldi(1, &["collect", "--submit"])?;
    let entries = fleet.entries();
    let told: Vec<_> = entries.values().filter_map(|entry| entry.get("inventory")).collect();
    ensure!(told.len() == 2, "{entries:?}");
    ensure!(told[0]["plugins"]["os_info"]["distname"] == "x", "{told:?}");
    ensure!(told[1]["plugins"].is_null() && told[0]["sha256"] == told[1]["sha256"], "{told:?}");
    // Their runs are not told beside it.
    ensure!(!entries.keys().any(|name| name.starts_with("run/")), "{entries:?}");
    Ok(())
}
