//! `ldi install` and `ldi uninstall` on a machine without a package.

use anyhow::{Context, Result, ensure};
use e2e::{parts, process, program};

use crate::site::Site;

#[test]
fn ldi_installs_itself_and_a_job_uninstalls_it() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    let ldi = site.container.root().join("usr/local/bin/ldi");
    let mut strip = process::command(&program("strip")?);
    process::run(strip.arg("-o").arg(&ldi).arg(parts::bin("ldi")?))?.success()?;
    site.configure()?;
    site.container.boot()?;
    let before = site.paths()?;
    let installed = "ldi install --json";
    let actions = |text: &str| -> Result<(Vec<String>, String)> {
        let report: serde_json::Value = serde_json::from_str(text)?;
        let parts = report["parts"].as_array().context("no parts")?;
        let action = |part: &serde_json::Value| part["action"].as_str().unwrap_or("").to_owned();
        Ok((
            parts.iter().map(action).collect(),
            report["service"].as_str().unwrap_or("").to_owned(),
        ))
    };

    let (parts, service) = actions(&site.container.sh("ldi install --dry-run --json")?)?;
    ensure!(parts == ["written", "written", "kept"] && service == "started", "{parts:?} {service}");
    ensure!(site.paths()? == before, "a dry run changed something");

    // It says what is wrong with the configuration, and does not give up: once that is mended, it
    // starts by itself.
    site.container.sh("cp /etc/ldi/ldi.toml /run; echo '[nonsense]' >>/etc/ldi/ldi.toml")?;
    let wrong = site.container.run(&["ldi", "install"])?.expect_code(78)?;
    ensure!(wrong.err().contains("key nonsense"), "{wrong}");
    site.container.sh("cp /run/ldi.toml /etc/ldi/ldi.toml")?;
    site.container.until("systemctl is-active --quiet ldi.service", 60)?;
    site.ticks()?;
    ensure!(site.container.sh("systemctl is-enabled ldi")?.trim() == "enabled");
    let pid = site.main_pid()?;
    let (parts, service) = actions(&site.container.sh(installed)?)?;
    ensure!(parts == ["unchanged", "unchanged", "kept"] && service == "running", "{parts:?}");
    ensure!(site.main_pid()? == pid, "a second installation restarted the service");

    // An administrator's change is refused, then replaced; the service follows.
    site.container.sh("sed -i s/Delegate=yes/Delegate=no/ /etc/systemd/system/ldi.service")?;
    let refused = site.container.run(&["ldi", "install"])?.expect_code(78)?;
    ensure!(refused.err().contains("ldi.service is not as `ldi install` wrote it"), "{refused}");
    let (parts, service) = actions(&site.container.sh("ldi install --force --json")?)?;
    ensure!(parts[0] == "replaced" && service == "restarts when idle", "{parts:?} {service}");
    site.comes_back(&pid)?;

    // A program that others can write is no service of root's.
    site.container.sh("cp /usr/local/bin/ldi /tmp/ldi")?;
    let refused = site.container.run(&["/tmp/ldi", "install"])?.expect_code(78)?;
    ensure!(refused.err().contains("others than root can write /tmp"), "{refused}");

    // A job takes the service away, and ends well.
    site.order("ldi uninstall; sleep 1; touch /run/uninstalled")?;
    site.container.until(
        "test -e /run/uninstalled
        ! systemctl is-active --quiet ldi.service; ! pgrep -x ldi",
        60,
    )?;
    site.container.sh("sleep 4; ! pgrep -x ldi; ! systemctl cat ldi.service 2>/dev/null")?;
    site.accounted(&[])?;

    // And an administrator takes everything away.
    site.container.sh("ldi install")?;
    site.ticks()?;
    site.container.sh("ldi uninstall --purge; ! pgrep -x ldi")?;
    let left: Vec<String> =
        site.paths()?.into_iter().filter(|path| !before.contains(path)).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    ensure!(site.container.sh("systemctl --failed --quiet --no-legend")?.is_empty());
    Ok(())
}
