//! The life of the packaged service: installed, booted, killed, hung, booted again.

use anyhow::{Result, ensure};

use crate::site::Site;

#[test]
fn the_service_starts_at_boot_and_comes_back_from_everything() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    let [package] = site.packages(["1.0"])?;
    site.container.boot()?;

    // Without a configuration it runs, and says what is missing.
    site.container.sh(&format!("rm -r /etc/ldi; dpkg -i {package}"))?;
    let shown = "systemctl show --property=ActiveState,SubState,NotifyAccess,UnitFileState ldi";
    let state = site.container.sh(shown)?;
    for word in ["ActiveState=active", "SubState=running", "UnitFileState=enabled"] {
        ensure!(state.contains(word), "{state}");
    }
    let first = site.container.sh("cat /etc/ldi/ldi.toml")?;
    ensure!(first.contains("must be filled in") && first.contains("source = []"), "{first}");
    let status = site.container.sh("systemctl status ldi; ldi status")?;
    ensure!(status.contains("idle; next at"), "no status text in: {status}");
    ensure!(status.contains("names no source"), "no reason in: {status}");
    let verify = "dpkg --verify ldi; systemd-analyze verify --man=no ldi.service 2>&1";
    let damage = site.container.sh(verify)?;
    ensure!(damage.is_empty(), "{damage}");

    // Configured: the startup tier runs once in this boot, whatever happens to the service.
    site.configure()?;
    site.restore_root()?;
    site.container.reboot()?;
    site.container.until("test -s /var/log/boots", 60)?;
    site.ticks()?;
    let pid = site.main_pid()?;
    site.container.sh("systemctl restart ldi")?;
    site.comes_back(&pid)?;

    let pid = site.main_pid()?;
    site.container.sh(&format!("kill -KILL {pid}"))?;
    site.comes_back(&pid)?;

    site.container.sh("mkdir -p /etc/systemd/system/ldi.service.d
        printf '[Service]\\nWatchdogSec=5s\\n' >/etc/systemd/system/ldi.service.d/test.conf
        systemctl daemon-reload; systemctl restart ldi")?;
    let pid = site.main_pid()?;
    site.container.sh(&format!("kill -STOP {pid}"))?;
    site.comes_back(&pid)?;
    let log = site.container.sh("journalctl --unit=ldi --boot --no-pager")?;
    ensure!(log.contains("Watchdog timeout"), "it came back for another reason:\n{log}");
    ensure!(site.lines("/var/log/boots") == 1, "startup ran again in the same boot");

    // A full stop and a power cut are boots like any other.
    site.container.shut_down()?;
    site.container.boot()?;
    site.container.until("test $(wc -l </var/log/boots) = 2", 60)?;
    site.ticks()?;
    site.container.cut_power();
    site.container.boot()?;
    site.container.until("test $(wc -l </var/log/boots) = 3", 60)?;
    site.ticks()?;
    let boots = site.container.sh("sort -u /var/log/boots | wc -l")?;
    ensure!(boots.trim() == "3", "startup ran twice in one boot");
    Ok(())
}
