//! Which jobs run on this machine: a pure function of the job, the machine and its tags.

use crate::{
    jobs::Job,
    machine::{self, Machine},
};

/// What a job's filters are compared with.
#[derive(Debug, Clone)]
pub struct Here<'a> {
    /// This machine.
    pub machine: &'a Machine,
    /// Its tags.
    pub tags: &'a [String],
    /// Its host name.
    pub host: String,
    /// Whether it draws its power from the mains; `None` where nobody can tell.
    pub mains: Option<bool>,
}

impl<'a> Here<'a> {
    /// `machine` with `tags`, as it is now.
    pub fn now(machine: &'a Machine, tags: &'a [String]) -> Self {
        Self { machine, tags, host: machine::host_name(), mains: machine::on_mains() }
    }
}

/// Why `job` does not run here, if it does not.
pub fn skip_reason(job: &Job, here: &Here<'_>) -> Option<String> {
    let keys = &job.keys;
    let machine = here.machine;
    if !keys.os.is_empty() && !keys.os.contains(&machine.os) {
        return Some(format!("os is {}, not {}", machine.os, keys.os.join(" or ")));
    }
    if !keys.arch.is_empty() && !keys.arch.iter().any(|a| architecture(a) == machine.arch) {
        return Some(format!("arch is {}, not {}", machine.arch, keys.arch.join(" or ")));
    }
    if !keys.tags.is_empty() && !keys.tags.iter().any(|t| here.tags.contains(t)) {
        return Some(format!("no tag {} is set", keys.tags.join(" or ")));
    }
    if !keys.hosts.is_empty() && !keys.hosts.iter().any(|pattern| is_host(pattern, &here.host)) {
        return Some(format!("host is {}, not {}", here.host, keys.hosts.join(" or ")));
    }
    if keys.mains && here.mains == Some(false) {
        return Some("the machine runs on its battery (mains)".to_owned());
    }
    if let Some(percent) = keys.percent {
        let share = machine.share(&format!("percent:{}", job.name), 100);
        if share >= u64::from(percent) {
            return Some(format!(
                "not among the {percent} percent (this machine's place is {share})"
            ));
        }
    }
    None
}

/// Whether a pattern with `*` and `?` means the host `name`, by its whole name or the part before
/// its domain. Case means nothing in host names.
fn is_host(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let short = name.split('.').next().unwrap_or_default();
    fits(pattern.as_bytes(), name.as_bytes()) || fits(pattern.as_bytes(), short.as_bytes())
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// One name for each processor.
fn architecture(name: &str) -> &str {
    match name {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiers::{Keys, What};

    fn verdict(change: impl Fn(&mut Keys), id: &str) -> Option<String> {
        let machine =
            Machine { id: id.into(), boot: "b".into(), os: "linux".into(), arch: "aarch64".into() };
        let mut keys = Keys::default();
        change(&mut keys);
        let job = Job {
            name: "daily/x".into(),
            tier: "daily".into(),
            what: What::Function("x".into()),
            keys,
            content: String::new(),
            damaged: None,
        };
        let tags = ["lab".to_owned()];
        let here = Here {
            machine: &machine,
            tags: &tags,
            host: "Lab-07.example.com".into(),
            mains: Some(false),
        };
        skip_reason(&job, &here)
    }

    #[test]
    fn filters() {
        assert_eq!(verdict(|_| {}, "m"), None);
        assert_eq!(verdict(|k| k.os = vec!["macos".into(), "linux".into()], "m"), None);
        assert_eq!(
            verdict(|k| k.os = vec!["macos".into()], "m").unwrap(),
            "os is linux, not macos"
        );
        assert_eq!(verdict(|k| k.arch = vec!["arm64".into()], "m"), None);
        assert!(verdict(|k| k.arch = vec!["amd64".into()], "m").is_some());
        assert_eq!(verdict(|k| k.tags = vec!["lab".into(), "office".into()], "m"), None);
        assert!(verdict(|k| k.tags = vec!["office".into()], "m").is_some());
        assert_eq!(verdict(|k| k.hosts = vec!["mac-*".into(), "lab-??".into()], "m"), None);
        assert_eq!(verdict(|k| k.hosts = vec!["*.EXAMPLE.com".into()], "m"), None);
        let elsewhere = verdict(|k| k.hosts = vec!["lab".into(), "*.example".into()], "m");
        assert_eq!(elsewhere.unwrap(), "host is Lab-07.example.com, not lab or *.example");
        assert!(verdict(|k| k.mains = true, "m").unwrap().contains("battery"));
        assert!(verdict(|k| k.percent = Some(0), "m").is_some());
        assert_eq!(verdict(|k| k.percent = Some(100), "m"), None);
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**a", "ba", true),
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(200), false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_percentage_grows_without_leaving_anybody_out_again() {
        let chosen = |percent| -> Vec<u32> {
            (0..500)
                .filter(|n| verdict(|k| k.percent = Some(percent), &n.to_string()).is_none())
                .collect()
        };
        let (few, many) = (chosen(10), chosen(40));
        assert!((25..=80).contains(&few.len()) && few.iter().all(|n| many.contains(n)));
    }
}
