//! `codesync test`: finding, judging, ending and reporting tests, whatever they do.

use std::{process::Stdio, thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{need, parts::need_bins};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::setting::Tree;

pub(crate) fn ready() -> Result<bool> {
    Ok(need(&["bash", "python3", "setsid"])? && need_bins(&["codesync"])?)
}

/// Each test with its outcome and what is said of it.
const BASH: &str = r#"
setup() { here=1; }
teardown() { echo "torn down $here" >>"$tree/teardown"; }
test_passes() { assert_equal "hello you" "$(greet you)"; }
# passed
test_all_failures_are_reported() {
  assert_equal a b "a thing"
  assert_match 'x*' $'y\nz'
  helper
}
helper() { assert_equal 1 2; }
# failed tests/a_test.sh:7: a thing
# failed expected: 'a'
# failed actual:   'b'
# failed tests/a_test.sh:8: pattern:
# failed tests/a_test.sh:11, called at line 9:
test_in_a_subshell() { (assert_equal a b); echo x | { read -r y; assert_equal z "$y"; }; }
# failed actual:   'b'
# failed actual:   'x'
test_an_error_ends_it() { set -e; false; true; }
# failed the shell ended with status 1
test_a_quiet_end() { exit 0; }
# failed the shell ended with status 0 in test_a_quiet_end
test_a_status() { return 3; }
# failed test_a_status ended with status 3
test_unset() { set -u; echo "$nope"; }
# failed the shell ended
test_becomes_another() { exec true; }
# failed before the test's end
test_skips() { skip "not here"; false; }
# skipped not here
test_without_descriptors() { exec <&- >&- 2>&-; assert_equal a b; }
# failed actual:   'b'
test_kills_its_group() { kill -9 0; }
# failed signal 9
test_floods() { yes | head -c 3000000; echo the end; false; }
# failed test_floods ended with status 1
test_removes_its_folder() { rm -rf "$work"; mkdir -p "$work/x"; chmod 000 "$work/x"; }
# passed
test_reports_without_end() { local i; for i in 1 2 3; do fail "$(head -c 600000 /dev/zero | tr '\0' x)"; done; }
# failed xxx
"#;

#[test]
fn bash_tests_are_judged_one_by_one() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    // A module's setup is no test's.
    let module = "greet() { echo \"hello $1\"; }\nsetup() { touch \"$lib/called\"; }\n";
    tree.file("modules/greet.sh", module)?
        .file("tests/b_test.sh", "test_other() { :; }\n")?
        .file("tests/a_test.sh", BASH)?;
    let results = tree.results(&[])?;
    assert_eq!(results.done.code(), 1);
    judged(BASH, &results)?;
    let torn = std::fs::read_to_string(tree.path().join("teardown"))?;
    ensure!(!tree.path().join("called").exists(), "a module's setup was called");
    ensure!(torn.lines().count() >= 10 && torn.lines().all(|l| l == "torn down 1"), "{torn}");
    let output = results.all["results"].to_string();
    ensure!(output.len() < 4 << 20, "{} bytes of results", output.len());
    ensure!(output.contains("bytes are left out") && output.contains("the end"), "flood");
    Ok(())
}

/// Compares with the comments `# OUTCOME TEXT` that follow each test.
fn judged(text: &str, results: &crate::setting::Results) -> Result<()> {
    let mut name = "";
    let mut seen = 0;
    for line in text.lines() {
        let of = line.trim_start().trim_start_matches("def ");
        if let Some(rest) = of.strip_prefix("test_") {
            let end = rest.find('(').context("no test")?;
            name = &of[..end + "test_".len()];
        } else if let Some((outcome, said)) =
            line.strip_prefix("# ").map(|l| l.split_once(' ').unwrap_or((l, "")))
        {
            let (really, why) = results.of(&format!("::{name}"))?;
            ensure!(
                really == outcome && why.contains(said),
                "{name}: {really}, not {outcome} {said:?}:\n{why}"
            );
            seen += 1;
        }
    }
    ensure!(seen > 4, "nothing was compared");
    Ok(())
}

const PYTHON: &str = r#"
import os, sys, unittest
import x_tools, beside
import ldi_test
from ldi_test import Case

class A(Case):
    def test_passes(self):
        self.assertEqual(x_tools.double(2), beside.FOUR)
# passed
    def test_fails(self):
        self.assertEqual(1, 2)
# failed tests/test_p.py:12: AssertionError: 1 != 2
    def test_deep(self):
        x_tools.double(None)
# failed TypeError
# failed x_tools.py
    def test_parts(self):
        for i in (1, 2):
            with self.subTest(i=i):
                self.assertEqual(i, 5)
# failed (i=1)
# failed (i=2)
    @unittest.skip("why")
    def test_skipped(self):
        pass
# skipped why
    @unittest.expectedFailure
    def test_expected(self):
        self.fail()
# passed
    @unittest.expectedFailure
    def test_unexpected(self):
        pass
# failed expected failure

def test_plain():
    assert ldi_test.work.name == "work"
# passed

def test_plain_skip():
    ldi_test.skip("no")
# skipped no

def test_quiet_end():
    os._exit(0)
# failed before the test's end

def test_exits():
    sys.exit(0)
# failed SystemExit
"#;

#[test]
fn python_tests_are_judged_one_by_one() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("modules/x_tools.py", "def double(x):\n    return x * 2\n")?
        .file("tests/beside.py", "FOUR = 4\n")?
        .file("tests/test_p.py", PYTHON)?;
    let results = tree.results(&[])?;
    judged(PYTHON, &results)?;
    ensure!(!tree.path().join("tests/__pycache__").exists(), "bytecode was written");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_a_failed_file() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("tests/a_test.sh", "test_a() {\n  if true; then\n}\n")?
        .file("tests/b_test.sh", "test_a() { :; }\nexit 0\n")?
        .file("tests/c_test.sh", "skip 'another system'\ntest_a() { false; }\n")?
        .file("tests/test_d.py", "def x(:\n")?
        .file("tests/test_e.py", "import no_such_module\n")?
        .file("tests/test_f.py", "import unittest\nraise unittest.SkipTest('elsewhere')\n")?
        .file("tests/g_test.sh", "test_fine() { :; }\n")?;
    let results = tree.results(&[])?;
    for (name, outcome, said) in [
        ("a_test.sh", "failed", "syntax error"),
        ("b_test.sh", "failed", "while the file was read"),
        ("c_test.sh", "skipped", "another system"),
        ("test_d.py", "failed", "SyntaxError"),
        ("test_e.py", "failed", "no_such_module"),
        ("test_f.py", "skipped", "elsewhere"),
        ("g_test.sh::test_fine", "passed", ""),
    ] {
        let (really, why) = results.of(name)?;
        ensure!(really == outcome && why.contains(said), "{name}: {really}: {why}");
    }
    // Whoever asks for one of its tests is told as well.
    let results = tree.results(&["--filter", "a_test.sh::test_a"])?;
    assert_eq!(results.of("a_test.sh")?.0, "failed");
    Ok(())
}

/// What careful authors put at the top of every file changes nothing of the runner's.
const STRICT: &str = r#"set -euo pipefail
set -C
IFS=$'\n\t'
trap 'echo cleaned >>"$tree/cleaned"' EXIT
setup() { here=1; }
teardown() { [ "$here" = 1 ]; }
test_words() {
  stub a 'echo "$*"'
  stub a 'echo "again $*"'
  run a b c
  run a b c
  assert_status 0
  assert_output "again b c"
  conf n x
  conf n y
  fact x y
  clock 2026-11-21
  pretend macos
  assert_equal "a b c"$'\n'"a b c" "$(calls a)"
  run false
  assert_status 1
}
test_first_failure() {
  assert_equal 1 2
  assert_equal 3 4
}
test_unset_word() { clock; }
"#;

#[test]
fn a_file_may_be_strict() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("tests/a_test.sh", STRICT)?;
    let results = tree.results(&[])?;
    let (outcome, why) = results.of("::test_words")?;
    ensure!(outcome == "passed", "{why}");
    let (outcome, why) = results.of("::test_first_failure")?;
    ensure!(outcome == "failed" && why.contains("'2'") && !why.contains("'4'"), "{why}");
    ensure!(results.of("::test_unset_word")?.1.contains("clock TIME"), "{}", results.all);
    // Once for the listing, once for each test.
    let cleaned = std::fs::read_to_string(tree.path().join("cleaned"))?;
    assert_eq!(cleaned.lines().count(), 4);
    Ok(())
}

#[test]
fn what_hangs_or_forks_away_is_ended() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    let away = "test_leaves() { setsid sleep 86399 >/dev/null 2>&1 & echo $! >\"$tree/pid\"; sleep 86399 & echo $! >>\"$tree/pid\"; }\n";
    tree.file("tests/a_test.sh", "test_hangs() { trap '' TERM; while :; do sleep 1; done; }\n")?
        .file("tests/b_test.sh", away)?
        .file("tests/test_c.py", "import time\ndef test_hangs():\n    time.sleep(1000)\n")?;
    let results = tree.results(&["--timeout", "10"])?;
    assert_eq!(results.of("b_test.sh::test_leaves")?.0, "passed");
    for name in ["a_test.sh::test_hangs", "test_c.py::test_hangs"] {
        let (outcome, why) = results.of(name)?;
        ensure!(outcome == "timed-out" && why.contains("within 10 s"), "{name}: {outcome} {why}");
    }
    gone(&tree)
}

/// The processes that a test named in the file `pid` are no longer there.
fn gone(tree: &Tree) -> Result<()> {
    for pid in std::fs::read_to_string(tree.path().join("pid"))?.split_whitespace() {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        ensure!(
            state.is_empty() || state.contains(") Z "),
            "process {pid} is still there: {state}"
        );
    }
    Ok(())
}

#[test]
fn an_interrupt_ends_tests_and_removes_their_folders() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    let temporary = tempfile::tempdir()?;
    tree.file("tests/a_test.sh", "test_a() { setsid sleep 86398 & echo $! >\"$tree/pid.new\"; mv \"$tree/pid.new\" \"$tree/pid\"; sleep 86398; }\n")?
        .file("tests/b_test.sh", "test_b() { sleep 86398; }\n")?;
    let mut command = tree.codesync(&["test"])?;
    let mut child = command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).spawn()?;
    for _ in 0..1200 {
        if tree.path().join("pid").exists() {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    assert_eq!(child.wait()?.code(), Some(1));
    gone(&tree)?;
    let left: Vec<_> = temporary.path().read_dir()?.collect();
    ensure!(left.is_empty(), "{left:?} is left");
    Ok(())
}

#[test]
fn results_come_as_text_tap_and_junit_too() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    let text = "test_good() { :; }\ntest_bad() { echo '<&> \x1b[31m'; assert_equal 'a \"b\"' c; }\ntest_skip() { skip 'a reason # here'; }\n";
    tree.file("tests/a_test.sh", text)?.file("tests/b_test.sh", "test_other() { :; }\n")?;
    let done = tree.test(&["--junit", "report.xml"])?;
    let said = done.out();
    for part in [
        "FAIL  tests/a_test.sh: 3 tests, 1 failed, 1 skipped, ",
        "ok    tests/b_test.sh: 1 test, ",
        "tests/a_test.sh::test_bad failed\n  tests/a_test.sh:2:\n    expected: 'a \"b\"'\n    actual:   'c'\n  output:\n    <&> \u{fffd}[31m\n",
        "4 tests in 2 files: 2 passed, 1 failed, 1 skipped (",
    ] {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    let xml = std::fs::read_to_string(tree.path().join("report.xml"))?;
    let check = "import sys, xml.etree.ElementTree as e\n\
        print([(c.get('classname'), c.get('name'), [x.tag for x in c]) for c in e.parse(sys.argv[1]).iter('testcase')])";
    let python = e2e::program("python3")?;
    let read =
        e2e::run(e2e::command(&python).args(["-c", check]).arg(tree.path().join("report.xml")))?
            .success()?;
    assert_eq!(
        read.out().trim(),
        "[('tests/a_test.sh', 'test_good', []), ('tests/a_test.sh', 'test_bad', ['failure', 'system-out']), \
         ('tests/a_test.sh', 'test_skip', ['skipped']), ('tests/b_test.sh', 'test_other', [])]",
        "{xml}"
    );
    let tap = tree.test(&["--tap"])?.out();
    let lines: Vec<&str> = tap.lines().filter(|l| !l.starts_with("# ")).collect();
    assert_eq!(
        lines,
        [
            "TAP version 13",
            "1..4",
            "ok 1 - tests/a_test.sh::test_good",
            "not ok 2 - tests/a_test.sh::test_bad",
            "ok 3 - tests/a_test.sh::test_skip # SKIP a reason # here",
            "ok 4 - tests/b_test.sh::test_other"
        ]
    );
    Ok(())
}

#[test]
fn what_is_run_can_be_chosen_and_nothing_is_an_error() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("tests/a_test.sh", "test_one() { :; }\ntest_two() { false; }\n")?
        .file("deep/er/test_b.py", "def test_one():\n    pass\n")?
        .file(".hidden/c_test.sh", "test_one() { false; }\n")?
        .file("target/d_test.sh", "test_one() { false; }\n")?;
    for (words, tests, code) in [
        (&[][..], 3, 1),
        (&["--filter", "one"], 2, 0),
        (&["--filter", "a_test.sh::test_t", "--jobs", "1"], 1, 1),
        (&["deep"], 1, 0),
        (&["tests/a_test.sh", "deep/er", "tests"], 3, 1),
    ] {
        let results = tree.results(words)?;
        assert_eq!(results.all["tests"], tests, "{words:?}");
        assert_eq!(results.done.code(), code, "{words:?}");
    }
    for (words, said) in [
        (&["--filter", "nothing"][..], "no test with \"nothing\" in its name was found"),
        (&["no/such"], "there are no tests at no/such"),
        (&["--jobs", "0"], "invalid value"),
        (&["--timeout", "0"], "invalid value"),
        (&["--tap", "--json"], "cannot be used"),
    ] {
        let done = tree.test(words)?;
        ensure!(done.code() == 2 && done.err().contains(said), "{words:?}: {done}");
    }
    let empty = Tree::new()?;
    let done = empty.test(&[])?;
    ensure!(done.code() == 2 && done.err().contains("*_test.sh or test_*.py"), "{done}");
    Ok(())
}
