//! The package of the code-sync server.

use anyhow::{Context, Result, ensure};
use e2e::{Container, Sandbox, parts};

use crate::site::{package, paths};

#[test]
fn the_server_package_starts_nothing_and_leaves_nothing() -> Result<()> {
    if !parts::need_bins(&["ldi", "codesync", "codesync-serve", "codesync-shell"])? {
        return Ok(());
    }
    let Some(mut container) = Container::new()? else { return Ok(()) };
    let out = Sandbox::new()?;
    let made = package(&out.path("packages"), "1.0", &["--only", "codesync-server", "deb"])?;
    container.copy_in(made.first().context("no package was made")?, "/srv/server.deb")?;
    container.boot()?;
    let before = paths(&container)?;

    container.sh("dpkg -i /srv/server.deb; dpkg --verify codesync-server")?;
    let state = container.run(&["systemctl", "is-enabled", "codesync-refresh.timer"])?.out();
    ensure!(state.trim() == "disabled", "the timer is {state} without keys");
    let units = "codesync-refresh.service codesync-refresh.timer";
    let verify = format!("systemd-analyze verify --man=no {units} 2>&1");
    let found = container.sh(&verify)?;
    ensure!(found.is_empty(), "{found}");

    // The account's programs find each other, and the timer's program its place.
    let dry = container.sh("codesync-setup --dry-run")?;
    ensure!(dry.contains("--shell /usr/bin/codesync-shell"), "{dry}");
    container.sh("useradd --system --user-group --home-dir / util
        install -d -o util /srv/codesync
        install -d -o util -m 0700 /etc/codesync /etc/codesync/online
        export CODESYNC_LIBRARY=/srv/codesync CODESYNC_KEYS=/etc/codesync/online
        as_util='setpriv --reuid util --regid util --init-groups'
        $as_util codesync init
        mkdir -p /srv/tree/scripts; echo true >/srv/tree/scripts/x
        $as_util codesync publish --tree /srv/tree
        systemctl enable --now codesync-refresh.timer
        systemctl start codesync-refresh.service || { journalctl --unit=codesync-refresh; false; }
        rm -r /etc/codesync; userdel util")?;

    container.sh("dpkg --purge codesync-server")?;
    let left: Vec<String> =
        paths(&container)?.into_iter().filter(|path| !before.contains(path)).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}
