//! The life of the packaged service: installed, booted, killed, hung, booted again.

use anyhow::{Result, ensure};

use crate::site::Site;

#[test]
fn the_service_starts_at_boot_and_comes_back_from_everything() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    let [package] = site.packages(["1.0"])?;
    site.container.boot()?;

    // An administrator's policy keeps it from starting.
    site.container.sh(&format!(
        "echo 'exit 101' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
        dpkg -i {package}; test $(systemctl is-active ldi) != active
        dpkg --purge ldi; rm /usr/sbin/policy-rc.d"
    ))?;

    // Without a configuration it runs, and says what is missing.
    site.container.sh(&format!("dpkg -i {package}"))?;
    let shown = "systemctl show --property=ActiveState,SubState,NotifyAccess,UnitFileState ldi";
    let state = site.container.sh(shown)?;
    for word in ["ActiveState=active", "SubState=running", "UnitFileState=enabled"] {
        ensure!(state.contains(word), "{state}");
    }
    let first = site.container.sh("cat /etc/ldi/ldi.toml")?;
    ensure!(first.contains("must be filled in") && first.contains("source = []"), "{first}");
    site.container.until("systemctl status ldi | grep -q 'Status: \"idle; next at'", 60)?;
    site.container.until("ldi status | grep -q 'names no source'", 60)?;
    let verify = "dpkg --verify ldi; systemd-analyze verify --man=no ldi.service 2>&1";
    let damage = site.container.sh(verify)?;
    ensure!(damage.is_empty(), "{damage}");

    // Beside a package there is nothing to install, and nothing to remove by hand.
    let installed = site.container.sh("ldi install --json")?;
    ensure!(!installed.contains("written") && installed.contains("running"), "{installed}");
    site.container.run(&["ldi", "uninstall"])?.expect_code(78)?;

    // Who disabled it finds it disabled after an upgrade.
    site.container.sh(&format!(
        "systemctl disable ldi; dpkg -i {package}
        test $(systemctl is-enabled ldi) = disabled; systemctl enable ldi"
    ))?;

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
