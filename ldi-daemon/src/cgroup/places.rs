//! Where this process stands in the kernel's hierarchies of control groups: read from the text of
//! `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A hierarchy: where it is mounted, and this process's own folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the hierarchy can be seen from.
    pub mount: PathBuf,
    /// This process's folder.
    pub own: PathBuf,
}

/// All hierarchies that are of use here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The unified one (version 2); beside those of version 1 it may be without controllers.
    pub unified: Option<Place>,
    /// Those of version 1, by controller.
    pub version1: BTreeMap<String, Place>,
}

impl Places {
    /// From the two texts (cgroups(7), proc_pid_mountinfo(5)). What cannot be seen from here, as
    /// in a container without its own mounts, is left out.
    pub fn parse(cgroup: &str, mountinfo: &str) -> Self {
        let mut places = Self::default();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if controllers.is_empty() {
                places.unified = mounts(mountinfo)
                    .filter(|mount| mount.kind == "cgroup2")
                    .find_map(|mount| mount.place(path));
                continue;
            }
            for controller in controllers.split(',') {
                let place = mounts(mountinfo)
                    .filter(|mount| mount.kind == "cgroup" && mount.has(controller))
                    .find_map(|mount| mount.place(path));
                if let Some(place) = place {
                    places.version1.insert(controller.to_owned(), place);
                }
            }
        }
        places
    }
}

struct Mount<'a> {
    /// The folder of the hierarchy that is mounted.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    fn place(&self, path: &str) -> Option<Place> {
        let inside = Path::new(path).strip_prefix(self.root).ok()?;
        if inside.components().any(|part| part == std::path::Component::ParentDir) {
            return None;
        }
        let mount = PathBuf::from(self.point);
        let own = if inside.as_os_str().is_empty() { mount.clone() } else { mount.join(inside) };
        Some(Place { mount, own })
    }
}

fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        let mount = Mount {
            root: before.next()?,
            point: before.next()?,
            kind: after.next()?,
            options: after.nth(1).unwrap_or_default(),
        };
        // A blank would be written as an escape; no system mounts its groups there.
        (!mount.point.contains('\\') && !mount.root.contains('\\')).then_some(mount)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(mount: &str, own: &str) -> Place {
        Place { mount: mount.into(), own: own.into() }
    }

    #[test]
    fn a_service_on_a_unified_machine() {
        let places = Places::parse(
            "0::/system.slice/ldi.service\n",
            "25 30 0:23 / /sys rw - sysfs sysfs rw\n\
             29 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        let own = "/sys/fs/cgroup/system.slice/ldi.service";
        assert_eq!(places.unified, Some(place("/sys/fs/cgroup", own)));
        assert!(places.version1.is_empty());
    }

    #[test]
    fn both_versions_side_by_side() {
        let places = Places::parse(
            "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n",
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        let unified = place("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified");
        assert_eq!(places.unified, Some(unified));
        let memory = place("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/b");
        assert_eq!(places.version1["memory"], memory);
        assert_eq!(places.version1["cpu"].own, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(!places.version1.contains_key("name=systemd"), "it is not mounted here");
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        let mounts = "29 25 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(Places::parse("0::/../../outside\n", mounts), Places::default());
        let elsewhere = "29 25 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(Places::parse("0::/docker/y\n", elsewhere), Places::default());
        assert_eq!(Places::parse("", ""), Places::default());
        assert_eq!(Places::parse("x\n0:\n::", "a b - c\n - \n"), Places::default());
    }
}
