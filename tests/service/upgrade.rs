//! Packages come and go while runs are under way, also by the hand of a job: no run is cut off or
//! lost, and in the end nothing is left.

use anyhow::{Result, ensure};
use e2e::need;

use crate::site::Site;

/// Waits for /run/go.
const WAIT: &str = "rm -f /run/go; touch /run/waiting; while [ ! -e /run/go ]; do sleep 0.1; done";

#[test]
fn packages_change_under_a_run_and_leave_nothing() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    let [first, second, third] = site.packages(["1.0", "1.1", "1.2"])?;
    site.configure()?;
    site.container.boot()?;
    let before: Vec<String> =
        site.paths()?.into_iter().filter(|path| !path.starts_with("/etc/ldi")).collect();
    site.container.sh(&format!("dpkg -i {first}"))?;
    site.ticks()?;

    // An administrator upgrades: the run goes on, and the new version follows it.
    let pid = site.main_pid()?;
    site.order(WAIT)?;
    site.container.until("test -e /run/waiting", 60)?;
    site.container.sh(&format!("dpkg -i {second}"))?;
    ensure!(site.main_pid()? == pid, "the daemon left before its run had ended");
    site.container.sh("touch /run/go")?;
    site.comes_back(&pid)?;
    let program = site.container.sh(&format!("readlink /proc/{}/exe", site.main_pid()?))?;
    ensure!(program.trim() == "/usr/bin/ldi", "the old program runs: {program}");
    site.accounted(&[])?;

    // A job upgrades.
    let pid = site.main_pid()?;
    site.order(&format!("dpkg -i {third}"))?;
    site.comes_back(&pid)?;
    let version = site.container.sh("dpkg-query -W -f '${Version} ${Status}' ldi")?;
    ensure!(version == "1.2 install ok installed", "{version}");
    site.accounted(&[])?;

    // A job restarts the service: that interrupts it, and the service comes back.
    let pid = site.main_pid()?;
    site.order("systemctl restart ldi; sleep 1000")?;
    site.comes_back(&pid)?;
    site.accounted(&[("interrupted", 1)])?;

    // A job removes the package: it ends well, then the service ends and stays away.
    site.container.sh("cp /usr/bin/ldi /srv/ldi")?;
    site.order("dpkg --remove ldi; touch /run/removed")?;
    site.container.until(
        "test -e /run/removed; test ! -e /usr/bin/ldi
        ! systemctl is-active --quiet ldi.service",
        60,
    )?;
    site.container.sh("sleep 4; ! systemctl is-active --quiet ldi.service; ! pgrep -x ldi")?;
    site.container.sh("cp /srv/ldi /usr/bin/ldi")?;
    site.accounted(&[("interrupted", 1)])?;

    site.container.sh("rm /usr/bin/ldi; dpkg --purge ldi")?;
    let left: Vec<String> =
        site.paths()?.into_iter().filter(|path| !before.contains(path)).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    ensure!(site.container.sh("systemctl --failed --quiet --no-legend")?.is_empty());
    Ok(())
}

#[test]
fn a_job_upgrades_and_removes_the_rpm() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    if !need(&["rpmbuild", "strip"])? {
        return Ok(());
    }
    let [first, second] = site.rpms(["1.0", "1.1"])?;
    site.configure()?;
    site.container.boot()?;
    let before = site.paths()?;
    // Debian's database knows none of the needed packages.
    let rpm = "rpm --dbpath /srv/rpm --nodeps";
    site.container.sh(&format!("{rpm} --install {first}"))?;
    ensure!(site.container.sh("systemctl is-enabled ldi")?.trim() == "enabled");
    site.ticks()?;

    let pid = site.main_pid()?;
    site.order(&format!("{rpm} --upgrade {second}"))?;
    site.comes_back(&pid)?;
    let version = site.container.sh("rpm --dbpath /srv/rpm -q --queryformat '%{VERSION}' ldi")?;
    ensure!(version == "1.1", "{version}");
    site.accounted(&[])?;

    site.container.sh("cp /usr/bin/ldi /srv/ldi")?;
    site.order(&format!("{rpm} --erase ldi; touch /run/removed"))?;
    site.container.until(
        "test -e /run/removed; test ! -e /usr/bin/ldi
        ! systemctl is-active --quiet ldi.service; ! pgrep -x ldi",
        60,
    )?;
    site.container.sh("cp /srv/ldi /usr/bin/ldi")?;
    site.accounted(&[])?;
    site.container.sh("rm /usr/bin/ldi")?;
    // rpm has no purge: configuration and library stay.
    let kept = |path: &String| path.starts_with("/var/lib/ldi") || before.contains(path);
    let left: Vec<String> = site.paths()?.into_iter().filter(|path| !kept(path)).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}
