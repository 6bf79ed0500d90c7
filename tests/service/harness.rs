//! The container itself: it boots, restarts as another boot, and ends.

use anyhow::{Result, ensure};
use e2e::Container;

#[test]
fn a_container_boots_reboots_and_ends() -> Result<()> {
    let Some(mut container) = Container::new()? else { return Ok(()) };
    container.boot()?;
    let boot_id = "cat /proc/sys/kernel/random/boot_id; mkdir -p /run/here; touch /var/stays";
    let first = container.sh(boot_id)?;
    container.reboot()?;
    container.sh("test -e /var/stays; test ! -e /run/here")?;
    ensure!(container.sh(boot_id)? != first, "a reboot is another boot");
    container.shut_down()
}
