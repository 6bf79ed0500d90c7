//! Jobs of the person at the console (`user = "@console"`): who that is.
//!
//! Asked from the login manager once per tier, and only when one of its jobs wants to know.

use std::process::{Command, Stdio};

use crate::catalogue::Job;

/// The account that stands for whoever sits in front of the machine.
pub const NAME: &str = "@console";

/// Gives the jobs of the person at the console that person's account; without one they keep the
/// name that says so, and are skipped.
pub fn settle(jobs: &mut [Job]) {
    let mut person = None;
    for job in jobs.iter_mut().filter(|job| job.keys.user.as_deref() == Some(NAME)) {
        job.keys.console = true;
        // Part of a folder's name; see `Job::memory`.
        let there = || person_there().filter(|name| !name.contains('/'));
        if let Some(name) = person.get_or_insert_with(there) {
            job.keys.user = Some(name.clone());
        }
    }
}

fn output(program: &str, words: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(words).env_clear().stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(not(target_os = "macos"))]
fn person_there() -> Option<String> {
    let ask = |what: &str, of: &str, keys: &str| {
        output("/usr/bin/loginctl", &[what, of, &format!("--property={keys}")])
    };
    let seat = ask("show-seat", "seat0", "ActiveSession")?;
    person(&ask("show-session", property(&seat, "ActiveSession")?, "Name,Class")?)
}

/// The value of `key` in lines of `KEY=VALUE`.
#[cfg(not(target_os = "macos"))]
fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().filter(|value| !value.is_empty())
}

/// Who has a session: a person, and not the screen where people log in.
#[cfg(not(target_os = "macos"))]
fn person(session: &str) -> Option<String> {
    let name = property(session, "Name")?;
    (property(session, "Class") == Some("user")).then(|| name.to_owned())
}

#[cfg(target_os = "macos")]
fn person_there() -> Option<String> {
    // Before anybody has logged in the console is root's; the login window has an account too.
    output("/usr/bin/stat", &["-f", "%Su", "/dev/console"])
        .filter(|name| !["root", "loginwindow", "_mbsetupuser"].contains(&name.as_str()))
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_no_login_screen() {
        assert_eq!(person("Name=alice\nClass=user\n").as_deref(), Some("alice"));
        assert_eq!(person("Name=gdm\nClass=greeter\n"), None);
        assert_eq!(person("Class=user\n"), None);
        assert_eq!(property("ActiveSession=\n", "ActiveSession"), None, "an empty seat");
        assert_eq!(property("ActiveSession=c2\nX=1\n", "ActiveSession"), Some("c2"));
    }
}
