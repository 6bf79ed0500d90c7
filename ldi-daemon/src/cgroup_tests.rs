//! Tests of [`super`]: groups in a folder that stands for a hierarchy, and real ones where this
//! machine lets us make them.

use std::process::{Child, Command};

use super::*;

fn home(base: &Path) -> Home {
    Home {
        base: Some(base.to_owned()),
        places: Places::default(),
        hash: "0a".into(),
        name: "ldi.0a.1.2".into(),
    }
}

const ALL: Ration = Ration { memory: Some(Size(64 << 20)), cpu: Some(50), processes: Some(20) };

#[test]
fn who_made_a_group_is_read_from_its_name() {
    assert_eq!(maker("ldi.0a.12.345"), Some(("0a", 12, 345)));
    assert_eq!(maker("ldi.0a.12.345.20260101T000000000-c-0"), Some(("0a", 12, 345)));
    for foreign in ["ldi.0a.x.345", "ldi.0a.12", "ldi.service", "ldi.", "x.0a.12.345"] {
        assert_eq!(maker(foreign), None, "{foreign}");
    }
}

#[test]
fn a_limit_that_cannot_be_set_is_named_and_the_group_stays_usable() {
    let dir = tempfile::tempdir().unwrap();
    // No controller is on here, as in the group of a login session.
    let (group, missing) = home(dir.path()).limited("r", ALL);
    assert_eq!(group.unwrap().doors().len(), 1);
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(missing[0].starts_with("memory = 64M is not enforced here: "), "{missing:?}");
    assert!(!dir.path().join("ldi.0a.1.2.r").exists(), "it is removed with its run");
    // Not ours to write.
    let (group, missing) = home(Path::new("/proc/self")).limited("r", ALL);
    assert!(group.is_none() && missing.len() == 3, "{missing:?}");
    let (_, missing) = home(Path::new("/proc/self")).limited("r", Ration::default());
    assert!(missing.is_empty());
}

#[test]
fn the_limits_of_a_unified_hierarchy() {
    // Folders and files that stand for it: the kernel makes them with the folder.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
    let folder = dir.path().join("ldi.0a.1.2.r");
    std::fs::create_dir(&folder).unwrap();
    let files = ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"];
    for file in files {
        std::fs::write(folder.join(file), "").unwrap();
    }
    let (group, missing) = home(dir.path()).limited("r", ALL);
    assert_eq!(missing, Vec::<String>::new());
    let said: Vec<String> =
        files.iter().map(|f| std::fs::read_to_string(folder.join(f)).unwrap()).collect();
    assert_eq!(said, ["67108864", "0", "1", "50000 100000", "20"]);
    let group = group.unwrap();
    assert_eq!(group.doors(), [folder.join("cgroup.procs")]);
    assert_eq!(group.verdict(), None);
    std::fs::write(folder.join("memory.events"), "low 0\noom 2\noom_kill 2\n").unwrap();
    std::fs::write(folder.join("pids.events"), "max 7\n").unwrap();
    assert_eq!(
        group.verdict().unwrap(),
        "it took more memory than memory = 64M; it wanted more processes than processes = 20"
    );
}

/// A group of this machine in the hierarchy called `word`, if it lets us.
fn real(word: &str, name: &str) -> Option<PathBuf> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let places = Places::parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    let place = if word == "unified" { places.unified } else { places.version1.get(word).cloned() };
    let folder = place?.own.join(format!("ldi.test.{}.{name}", std::process::id()));
    std::fs::create_dir(&folder).ok().map(|()| folder)
}

/// A shell that is in `folder` and starts others, in sessions of their own, all the time.
fn forking(folder: &Path) -> Child {
    let script = "echo 0 > \"$0\"/cgroup.procs || exit 3
        trap '' TERM HUP
        for n in 1 2 3 4 5 6 7 8; do setsid sleep 300 & done
        while :; do sleep 0.01 & wait $!; done";
    Command::new("/bin/bash").args(["-c", script]).arg(folder).spawn().unwrap()
}

#[test]
fn a_group_is_ended_as_a_whole_in_both_versions() {
    for word in ["unified", "freezer", "pids"] {
        let Some(folder) = real(word, "end") else {
            eprintln!("left out: no groups can be made in {word}");
            continue;
        };
        let mut child = forking(&folder);
        while group::members(&folder).len() < 9 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        group::end(&folder);
        child.wait().unwrap();
        assert!(!folder.exists(), "{word}: {:?}", group::members(&folder));
    }
}
