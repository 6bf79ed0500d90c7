//! What identifies this machine and this boot. Values, so that everything else can be tested.

use std::{path::Path, time::Duration};

use crate::parse::read_bounded;

/// This machine and this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Stable over reboots; its hash decides splays and percentages.
    pub id: String,
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
        Self {
            id: identity().unwrap_or_else(|| format!("host:{}", host_name())),
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

/// This machine's host name.
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| "unknown".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// Whether this machine draws its power from the mains; `None` where nothing tells, as on most
/// servers.
#[cfg(not(target_os = "macos"))]
pub fn on_mains() -> Option<bool> {
    let supplies = std::fs::read_dir("/sys/class/power_supply").ok()?;
    let said = supplies.flatten().take(100).filter_map(|entry| {
        let word = |name: &str| line(&entry.path().join(name).to_string_lossy());
        Some((word("type")?, word("online"), word("status")))
    });
    mains_of(said)
}

/// From type, `online` and `status` of each supply (sysfs-class-power).
#[cfg(not(target_os = "macos"))]
fn mains_of(
    supplies: impl Iterator<Item = (String, Option<String>, Option<String>)>,
) -> Option<bool> {
    let mut found = None;
    for (kind, online, status) in supplies {
        if kind == "Battery" {
            if status.as_deref() == Some("Discharging") {
                found = found.or(Some(false));
            }
        } else if online.as_deref() == Some("1") {
            return Some(true);
        } else if kind == "Mains" {
            found = Some(false);
        }
    }
    found
}

/// Whether this machine draws its power from the mains.
#[cfg(target_os = "macos")]
pub fn on_mains() -> Option<bool> {
    let text = output("/usr/bin/pmset", &["-g", "batt"])?;
    text.lines().next().map(|line| !line.contains("Battery Power"))
}

fn line(path: &str) -> Option<String> {
    let bytes = read_bounded(Path::new(path), 4096).ok()?;
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
    let text = line(&format!("/proc/{pid}/stat"))?;
    // The command name may hold spaces and parentheses; the fields follow its last one.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn power_is_told_by_the_supplies() {
        let mains = |list: &[(&str, &str, &str)]| {
            let word = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            mains_of(list.iter().map(|(kind, on, st)| ((*kind).to_owned(), word(on), word(st))))
        };
        assert_eq!(mains(&[]), None);
        assert_eq!(mains(&[("Mains", "1", ""), ("Battery", "", "Charging")]), Some(true));
        assert_eq!(mains(&[("Battery", "", "Discharging"), ("Mains", "0", "")]), Some(false));
        assert_eq!(mains(&[("Battery", "", "Discharging"), ("USB", "1", "")]), Some(true));
        assert_eq!(mains(&[("Battery", "", "Full"), ("USB", "0", "")]), None);
        assert_eq!(mains(&[("Battery", "", "Discharging")]), Some(false));
    }

    #[test]
    fn shares_are_stable_spread_and_bounded() {
        let machine = |id: &str| Machine {
            id: id.to_owned(),
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
}
