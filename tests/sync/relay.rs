//! An ssh source behind a relay: `sync.proxy_command`.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{Access, need, parts::program};

use crate::setting::{Setting, Way, unreachable};

#[test]
fn a_source_is_reached_through_a_relay_only() -> Result<()> {
    if !need(&["ssh"])? {
        return Ok(());
    }
    let Some(setting) = Setting::published(Way::Ssh, 20)? else { return Ok(()) };
    let (sandbox, sshd) = (&setting.sandbox, setting.sshd.as_ref().context("no sshd")?);
    let jump = sshd.key("jump", &Access::Any)?;
    // A name that only the relay can make something of.
    let name = "code.invalid";
    let known_hosts = sandbox.path("known_hosts_relay");
    fs::write(&known_hosts, fs::read_to_string(sshd.known_hosts())?.replace("127.0.0.1", name))?;
    let url = sshd.url(&sandbox.library()).replace("127.0.0.1", name);
    let key = sandbox.path("sshd/client");
    let relayed = |command: &[String]| -> Result<()> {
        sandbox.configure(&[&url], Some((&key, &known_hosts)))?;
        let mut table: toml::Table = fs::read_to_string(sandbox.config())?.parse()?;
        let sync = table.get_mut("sync").and_then(toml::Value::as_table_mut).context("no sync")?;
        sync.insert("proxy_command".into(), command.to_vec().into());
        Ok(fs::write(sandbox.config(), toml::to_string(&table)?)?)
    };
    let mut command = vec![program("ssh")?.display().to_string()];
    command.extend(sshd.client_options(&jump));
    command.extend(["-W".into(), "127.0.0.1:%p".into()]);
    command.push(format!("{}@127.0.0.1", sshd.user()));
    relayed(&command)?;
    sandbox.synced()?;
    sandbox.in_step()?;

    relayed(&["/bin/false".into()])?;
    unreachable(sandbox.sync()?, &[name])?;
    relayed(&["/nonexistent/relay".into()])?;
    let done = sandbox.sync()?.expect_code(78)?;
    ensure!(done.err().contains("proxy_command"), "{done}");
    Ok(())
}
