//! Which jobs run on this machine: a pure function of the job, the machine and its tags.

use crate::{catalogue::Job, console, machine::Machine};

/// What a job's filters are compared with.
#[derive(Debug, Clone)]
pub struct Here<'a> {
    /// This machine.
    pub machine: &'a Machine,
    /// Its tags.
    pub tags: &'a [String],
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
    if !keys.hosts.is_empty() && !keys.hosts.iter().any(|glob| is_called(&machine.name, glob)) {
        return Some(format!("its name {:?} is not {}", machine.name, keys.hosts.join(" or ")));
    }
    if keys.user.as_deref() == Some(console::NAME) {
        return Some("nobody is logged in at the console".to_owned());
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

/// Whether `glob` matches a host's name, whole or up to its first dot, in any case.
fn is_called(name: &str, glob: &str) -> bool {
    let any_case = glob::MatchOptions { case_sensitive: false, ..glob::MatchOptions::default() };
    let short = name.split('.').next().unwrap_or_default();
    glob::Pattern::new(glob)
        .is_ok_and(|glob| [name, short].iter().any(|name| glob.matches_with(name, any_case)))
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
        let machine = Machine {
            id: id.into(),
            name: "Lab-7.example.com".into(),
            boot: "b".into(),
            os: "linux".into(),
            arch: "aarch64".into(),
        };
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
        skip_reason(&job, &Here { machine: &machine, tags: &["lab".to_owned()] })
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
        for fits in ["lab-*", "LAB-7", "*.example.com", "lab-[0-9].*"] {
            assert_eq!(
                verdict(|k| k.hosts = vec!["web-*".into(), fits.into()], "m"),
                None,
                "{fits}"
            );
        }
        assert_eq!(
            verdict(|k| k.hosts = vec!["web-*".into(), "lab".into()], "m").unwrap(),
            "its name \"Lab-7.example.com\" is not web-* or lab"
        );
        assert_eq!(
            verdict(|k| k.user = Some("@console".into()), "m").unwrap(),
            "nobody is logged in at the console"
        );
        assert!(verdict(|k| k.percent = Some(0), "m").is_some());
        assert_eq!(verdict(|k| k.percent = Some(100), "m"), None);
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
