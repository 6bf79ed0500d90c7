//! Tests of [`super`]: jobs.

use sha2::{Digest, Sha256};

use super::*;
use crate::{parse::Span, tiers::Gate};

struct Tree {
    dir: tempfile::TempDir,
    files: Vec<File>,
}

impl Tree {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), files: Vec::new() }
    }

    fn put(mut self, path: &str, text: &str, executable: bool) -> Self {
        let to = self.dir.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
        self.files.push(File {
            path: path.into(),
            sha256: Sha256::digest(text).into(),
            size: text.len() as u64,
            executable,
        });
        self
    }

    fn read(&self) -> Result<Catalogue> {
        let mut files = self.files.clone();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        catalogue(self.dir.path(), &Manifest::new(files).unwrap(), None)
    }

    fn names(&self) -> Vec<String> {
        self.read().unwrap().jobs.into_iter().map(|j| j.name).collect()
    }
}

#[test]
fn files_of_a_tier_in_name_order() {
    let tree = Tree::new()
        .put("scripts/daily/20_b", "#!/bin/sh\n", true)
        .put("scripts/daily/10_a", "#!/bin/sh\n", true)
        .put("scripts/daily/.hidden", "#!/bin/sh\n", true)
        .put("scripts/daily/10_a~", "#!/bin/sh\n", true)
        .put("scripts/daily/readme", "text", false)
        .put("scripts/other/os_info", "#!/bin/sh\n", true)
        .put(
            "conf/tiers.toml",
            "[[job]]\ntier = \"daily\"\nname = \"15\"\ncommand = [\"/bin/true\"]\n",
            false,
        );
    assert_eq!(tree.names(), ["daily/10_a", "15", "daily/20_b"]);
    assert_eq!(
        tree.read().unwrap().notes,
        ["scripts/daily/readme is not executable and was left out"]
    );
}

#[test]
fn headers_are_read_from_comments_of_the_first_lines() {
    let tree = Tree::new().put(
        "scripts/daily/x.py",
        "#!/usr/bin/env python3\n# ldi: timeout=5m wait_for=corp,internet os=linux\n#ldi: run_once percent=10 args=a,b\nprint('# ldi: nice=3')\n",
        true,
    );
    let keys = tree.read().unwrap().jobs.remove(0).keys;
    assert_eq!(keys.timeout, Some(Span::seconds(300)));
    assert_eq!(keys.wait_for, [Gate::Corp, Gate::Internet]);
    assert_eq!(keys.args, ["a", "b"]);
    assert!(keys.run_once && keys.percent == Some(10) && keys.os == ["linux"] && keys.nice == 0);
}

#[test]
fn an_unknown_header_key_is_refused_with_file_and_line() {
    let tree = Tree::new().put("scripts/daily/x", "#!/bin/sh\n# ldi: timeuot=5m\n", true);
    let error = tree.read().unwrap_err();
    assert_eq!(
        error.to_string(),
        "scripts/daily/x line 2, key timeuot: is not a known key; did you mean timeout?"
    );
    assert_eq!(error.code(), 78);
}

#[test]
fn a_configured_job_replaces_the_file_that_it_names() {
    let tree = Tree::new().put("scripts/daily/x", "#!/bin/sh\n", true).put(
        "conf/tiers.toml",
        "[[job]]\ntier = \"daily\"\nscript = \"scripts/daily/x\"\nargs = [\"1\"]\n",
        false,
    );
    let jobs = tree.read().unwrap().jobs;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].name.as_str(), jobs[0].keys.args.len()), ("daily/x", 1));
}

#[test]
fn after_beats_the_name_and_circles_are_refused() {
    let tree = Tree::new()
        .put("scripts/daily/a", "#!/bin/sh\n# ldi: after=c\n", true)
        .put("scripts/daily/b", "#!/bin/sh\n", true)
        .put("scripts/daily/c", "#!/bin/sh\n", true);
    assert_eq!(tree.names(), ["daily/b", "daily/c", "daily/a"]);
    let tree = Tree::new().put("scripts/daily/a", "#!/bin/sh\n# ldi: after=b\n", true).put(
        "scripts/daily/b",
        "#!/bin/sh\n# ldi: after=a\n",
        true,
    );
    assert!(tree.read().unwrap_err().to_string().contains("wait for each other: daily/a, daily/b"));
    let tree = Tree::new().put("scripts/daily/a", "#!/bin/sh\n# ldi: after=zz\n", true);
    assert!(tree.read().unwrap_err().to_string().contains("no job \"zz\""));
}

#[test]
fn a_tampered_file_spoils_its_job_only_and_a_tampered_tiers_file_all() {
    let tree = Tree::new().put("scripts/daily/a", "#!/bin/sh\n", true).put(
        "scripts/daily/b",
        "#!/bin/sh\n",
        true,
    );
    std::fs::write(tree.dir.path().join("scripts/daily/a"), "#!/bin/sh\n# ldi: user=root\n")
        .unwrap();
    let jobs = tree.read().unwrap().jobs;
    assert!(jobs[0].damaged.is_some() && jobs[0].keys.user.is_none() && jobs[1].damaged.is_none());
    let tree = Tree::new().put("conf/tiers.toml", "", false);
    std::fs::write(tree.dir.path().join("conf/tiers.toml"), "[tier.x]\ncron=\"* * * * *\"")
        .unwrap();
    assert_eq!(tree.read().unwrap_err().code(), 76);
}
