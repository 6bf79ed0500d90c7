//! What identifies this machine and this boot. Values, so that everything else can be tested.

use std::{path::Path, time::Duration};

use crate::parse::read_bounded;

/// This machine and this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Stable over reboots; its hash decides splays and percentages.
    pub id: String,
    /// Its host name, as it calls itself.
    pub name: String,
    /// Changes with every boot.
    pub boot: String,
    /// `linux` or `macos`.
    pub os: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let name = nix::unistd::gethostname()
            .map_or_else(|_| "unknown".to_owned(), |n| n.to_string_lossy().into_owned());
        Self {
            id: identity().unwrap_or_else(|| format!("host:{name}")),
            name,
            boot: boot_id(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }

    /// HMAC-SHA256 of `words` under the machine id, as a number below `below` (0 for 0).
    pub fn share(&self, words: &str, below: u64) -> u64 {
        use aws_lc_rs::hmac;
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.id.as_bytes());
        let tag = hmac::sign(&key, words.as_bytes());
        let mut first = [0u8; 8];
        for (to, from) in first.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        // The bias of a modulus is below 2^-40 for every bound used here.
        u64::from_be_bytes(first).checked_rem(below).unwrap_or(0)
    }
}

fn line(path: impl AsRef<Path>) -> Option<String> {
    let bytes = read_bounded(path.as_ref(), 4096).ok()?;
    let text = String::from_utf8(bytes).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(not(target_os = "macos"))]
fn identity() -> Option<String> {
    line("/etc/machine-id").or_else(|| line("/var/lib/dbus/machine-id"))
}

#[cfg(not(target_os = "macos"))]
fn boot_id() -> String {
    line("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".to_owned())
}

/// Time since boot, sleep included.
#[cfg(not(target_os = "macos"))]
pub fn uptime() -> Duration {
    line("/proc/uptime")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or_default()
}

/// Whether power comes from the mains, as far as the kernel can tell: a machine without a battery
/// is taken to be on mains.
#[cfg(not(target_os = "macos"))]
pub fn on_mains() -> bool {
    on_mains_by(Path::new("/sys/class/power_supply"))
}

/// As `/sys/class/power_supply` at `folder` says.
#[cfg(not(target_os = "macos"))]
fn on_mains_by(folder: &Path) -> bool {
    let Ok(supplies) = std::fs::read_dir(folder) else { return true };
    let (mut unplugged, mut discharging) = (false, false);
    for supply in supplies.flatten() {
        let says = |what: &str| line(supply.path().join(what));
        // A mouse or a headset has a battery of its own.
        let of_machine = says("scope").as_deref() != Some("Device");
        match (says("type").as_deref(), says("online").as_deref()) {
            (Some("Mains" | "USB"), Some("1")) if of_machine => return true,
            (Some("Mains"), _) => unplugged = true,
            (Some("Battery"), _) if of_machine => {
                discharging |= says("status").as_deref() == Some("Discharging");
            }
            _ => {}
        }
    }
    !unplugged && !discharging
}

/// Whether power comes from the mains.
#[cfg(target_os = "macos")]
pub fn on_mains() -> bool {
    output("/usr/bin/pmset", &["-g", "batt"])
        .is_none_or(|text| !text.starts_with("Now drawing from 'Battery Power'"))
}

#[cfg(target_os = "macos")]
fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = std::process::Command::new(program).args(args).output().ok()?;
    String::from_utf8(out.stdout).ok()
}

#[cfg(target_os = "macos")]
fn identity() -> Option<String> {
    let text = output("/usr/sbin/ioreg", &["-rd1", "-c", "IOPlatformExpertDevice"])?;
    let line = text.lines().find(|l| l.contains("IOPlatformUUID"))?;
    line.split('"').nth(3).map(str::to_owned)
}

#[cfg(target_os = "macos")]
fn boot_id() -> String {
    output("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"])
        .map_or_else(|| "unknown".to_owned(), |t| t.trim().to_owned())
}

/// Time since boot, sleep included.
#[cfg(target_os = "macos")]
pub fn uptime() -> Duration {
    let booted = output("/usr/sbin/sysctl", &["-n", "kern.boottime"])
        .and_then(|t| t.split("sec = ").nth(1)?.split(',').next()?.trim().parse::<u64>().ok());
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    booted.map_or_else(Duration::default, |b| now.saturating_sub(Duration::from_secs(b)))
}

/// When process `pid` of this boot started, in the kernel's own units; `None` when it is gone
/// or cannot be told.
pub fn started(pid: i32) -> Option<u64> {
    let text = line(format!("/proc/{pid}/stat"))?;
    // The command name may hold spaces and parentheses; the fields follow its last one.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_stable_spread_and_bounded() {
        let machine = |id: &str| Machine {
            id: id.to_owned(),
            name: String::new(),
            boot: String::new(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
        };
        assert_eq!(machine("a").share("daily", 100), machine("a").share("daily", 100));
        assert_eq!(machine("a").share("daily", 0), 0);
        let below_half =
            (0..1000).filter(|n| machine(&n.to_string()).share("daily", 100) < 50).count();
        assert!((400..600).contains(&below_half), "{below_half}");
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn mains_or_battery() {
        let dir = tempfile::tempdir().unwrap();
        let says = |supply: &str, what: &str, word: &str| {
            let folder = dir.path().join(supply);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(what), format!("{word}\n")).unwrap();
        };
        assert!(on_mains_by(&dir.path().join("none")), "no such folder: a server or a container");
        assert!(on_mains_by(dir.path()));
        says("mouse", "type", "Battery");
        says("mouse", "scope", "Device");
        says("mouse", "status", "Discharging");
        assert!(on_mains_by(dir.path()), "a mouse is not the machine");
        says("BAT0", "type", "Battery");
        says("BAT0", "status", "Discharging");
        assert!(!on_mains_by(dir.path()));
        says("AC", "type", "Mains");
        says("AC", "online", "0");
        assert!(!on_mains_by(dir.path()));
        says("BAT0", "status", "Full");
        assert!(!on_mains_by(dir.path()), "unplugged just now");
        says("USBC", "type", "USB");
        says("USBC", "online", "1");
        assert!(on_mains_by(dir.path()), "plugged at its other socket");
    }
}
