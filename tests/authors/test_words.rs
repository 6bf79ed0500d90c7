//! The words that tests are written with, in bash and in Python.

use anyhow::{Result, ensure};

use crate::{setting::Tree, test::ready};

const BASH: &str = r#"# shellcheck shell=bash disable=SC2016,SC2034,SC2154
test_where_a_test_stands() {
  assert_equal a_test.sh "${0##*/}"
  assert_equal "$work" "$PWD"
  assert_equal "$TREE_GIVEN$tree" "$LDI_LIB"
  assert_equal "$work/home $work/tmp $work/state" "$HOME $TMPDIR $LDI_STATE_DIR"
  assert_equal 0 $#
  assert_equal "" "${SECRET_OF_THE_CALLER:-}"
  assert_equal 0022 "$(umask)"
  assert_equal "" "${-//[hBc]/}" "no option is set"
  assert_equal true "$autoinit"
}
test_run() {
  run bash -c 'echo out; echo err >&2; exit 3'
  assert_status 3
  assert_output $'out\nerr'
  assert_equal out "$stdout"
  assert_equal err "$stderr"
  f() { echo 1; false; echo 2; }
  run f
  assert_output $'1\n2'
  set -e
  run f
  set +e
  assert_status 1
  assert_output 1 "set -e holds within run"
  run nope
  assert_status 127
}
test_stub() {
  stub ls 'echo "stub:$#"; exit 4'
  ls >/dev/null
  run ls "a b" '' c
  assert_status 4
  assert_output stub:3
  assert_equal $'ls\nls a\\ b \'\' c' "$(calls ls)"
  stub quiet
  quiet x
  assert_equal "quiet x" "$(calls quiet)"
  assert_equal 3 "$(calls | wc -l | tr -d ' ')"
  stub again 'again'
  run again
  assert_output "*the stub again calls itself*"
  inner() { run echo inner; echo "outer $output"; }
  run inner
  assert_output "outer inner"
  (calls never) || fail "no calls are no error"
}
test_stub_of_what_was_run_before() {
  uname >/dev/null
  stub uname 'echo other'
  assert_equal other "$(uname)"
  uname >"$work/out"
  assert_equal other "$(<"$work/out")"
}
test_no_commands() {
  stub withcat 'cat <<END
hi
END'
  no_commands
  run cat /dev/null
  assert_status 127
  assert_equal hi "$(withcat)"
  stub late
  fact a b
  conf n x
  clock 5
  pretend macos
  run late
  assert_status 0
}
test_clock() {
  clock 2026-11-21T09:05:00Z
  assert_equal 1795251900 "$LDI_TEST_CLOCK"
  assert_equal "2026-11-21 09:05" "$(date '+%Y-%m-%d %H:%M')"
  assert_equal "1795251900 2026" "$(python3 -c 'import time, datetime; print(int(time.time()), datetime.datetime.now().year)')"
  clock 2000-02-29
  assert_equal 951782400 "$LDI_TEST_CLOCK"
  clock 1970-01-01T00:01
  assert_equal 60 "$LDI_TEST_CLOCK"
  clock 0
  assert_equal 1970 "$(date +%Y)"
  assert_equal "" "$(calls)" "what the words make is no call"
}
test_pretend() {
  pretend macos
  assert_equal "Darwin Darwin arm64" "$(uname) $(uname -sm)"
  assert_equal macos "$LDI_FACT_OS"
  assert_equal "darwin Darwin" "$(python3 -c 'import sys, platform; print(sys.platform, platform.system())')"
  assert_equal 14.6 "$(sw_vers -productVersion)"
  pretend linux
  assert_equal Linux "$(uname -s)"
}
test_fact() {
  fact serial_no "X 1"
  assert_equal "X 1" "$LDI_FACT_SERIAL_NO"
}
test_conf() {
  conf n 'b = 2'
  assert_equal 'b = 2' "$(cat "$LDI_LIB/conf/n.conf")"
  assert_equal 'a = 1' "$(cat "$tree/conf/n.conf")"
  assert_equal 'c = 1' "$(cat "$LDI_LIB/conf/other.conf")"
  [ -e "$LDI_LIB/modules/greet.sh" ] || fail "no modules"
  conf n 'b = 3'
  assert_equal 'b = 3' "$(cat "$LDI_LIB/conf/n.conf")"
}
test_ldi_exec() {
  run ldi_exec scripts/daily/hi "a b"
  assert_status 5
  assert_output 'hello job a b'
  assert_equal "$work" "$(cat "$work/cwd")"
}
test_names_that_are_formed_at_run_time() {
  local name=greet
  run "$name" you
  assert_output "hello you"
}
"#;

const PYTHON: &str = r#"
import datetime, os, subprocess, sys, time
import x_tools
from ldi_test import Case
import ldi_test

class Words(Case):
    def test_place(self):
        self.assertEqual(os.getcwd(), str(self.work))
        self.assertEqual(os.environ["LDI_STATE_DIR"], str(self.work / "state"))
        self.assertNotIn("SECRET_OF_THE_CALLER", os.environ)
        self.assertTrue((self.tree / "modules").is_dir())
        self.assertEqual(os.path.basename(sys.argv[0]), "test_p.py")

    def test_stub(self):
        self.stub("ls", "it's", 3, "bad")
        done = subprocess.run(["ls", "a", "b c"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"it's", b"bad"))
        self.stub_body("other", 'echo "$#"')
        self.assertEqual(subprocess.check_output(["other", "", "x"]), b"2\n")
        self.assertEqual(self.calls(), ["ls a b\\ c", "other '' x"])
        self.assertEqual(self.calls("other"), ["other '' x"])
        self.no_commands()
        self.assertRaises(FileNotFoundError, subprocess.call, ["cat"])

    def test_clock(self):
        self.clock("2026-11-21T09:05:00Z")
        self.assertEqual(x_tools.now(), 1795251900)
        self.assertEqual(datetime.datetime.now().minute, 5)
        self.assertEqual(datetime.date.today().isoformat(), "2026-11-21")
        self.assertEqual(time.strftime("%H"), "09")
        self.assertIsInstance(datetime.datetime(2020, 1, 1), datetime.datetime)
        self.assertEqual(subprocess.check_output(["date", "+%s"]), b"1795251900\n")
        self.clock(60)
        self.assertEqual((x_tools.now(), datetime.datetime.now().minute), (60, 1))

    def test_pretend(self):
        self.pretend("macos")
        import platform, urllib.request
        self.assertEqual((sys.platform, platform.system(), os.uname().machine), ("darwin", "Darwin", "arm64"))
        self.assertEqual(subprocess.check_output(["uname"]), b"Darwin\n")
        self.assertEqual(urllib.request.getproxies(), {})

    def test_conf_fact_script(self):
        self.conf("n", "b = 2")
        with open(os.environ["LDI_LIB"] + "/conf/n.conf") as file:
            self.assertEqual(file.read(), "b = 2")
        self.fact("os", "x")
        self.assertEqual(os.environ["LDI_FACT_OS"], "x")
        self.assertEqual(self.script("scripts/daily/py").VALUE, 7)
        self.assertEqual(self.ldi_exec("scripts/daily/hi", "a b").stdout, "hello job a b\n")
"#;

#[test]
fn the_words_do_what_docs_testing_says() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    let script = "#!/bin/bash\ngreet job \"$@\"\npwd >cwd\nexit 5\n";
    tree.file("modules/greet.sh", "greet() { echo \"hello $*\"; }\n")?
        .file("modules/x_tools.py", "import time\n\n\ndef now():\n    return time.time()\n")?
        .file("conf/n.conf", "a = 1\n")?
        .file("conf/other.conf", "c = 1\n")?
        .file("scripts/daily/hi", script)?
        .file(
            "scripts/daily/py",
            "#!/usr/bin/env python3\nVALUE = 7\nif __name__ == '__main__':\n    exit(9)\n",
        )?
        .file("tests/a_test.sh", BASH)?
        .file("tests/test_p.py", PYTHON)?;
    let mut command = tree.codesync(&["test"])?;
    let done = e2e::run(command.env("SECRET_OF_THE_CALLER", "x"))?;
    ensure!(done.code() == 0, "{done}\n{}", done.out());
    Ok(())
}

/// What the examples of docs/testing.md test.
const DISK_CHECK: &str = r#"#!/bin/bash
df -P -k | while read -r _ _ _ _ percent point; do
  [ "$point" = Mounted ] && continue
  echo "disk $point: ${percent%\%} % used: nearly full"
  logger -t disk_check "disk $point is full"
done
"#;
const DISK_TOOLS: &str = r#"import subprocess


def full():
    lines = subprocess.check_output(["df", "-P", "-k"], universal_newlines=True).splitlines()[1:]
    return [line.split()[5] for line in lines if int(line.split()[4].rstrip("%")) > 90]
"#;

#[test]
fn the_examples_of_the_guide_pass() -> Result<()> {
    if !ready()? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("scripts/every15/disk_check", DISK_CHECK)?
        .file("modules/disk_tools.py", DISK_TOOLS)?;
    let guide = std::fs::read_to_string(e2e::parts::repository().join("docs/testing.md"))?;
    let mut found = 0;
    for block in guide.split("\n    # tests/").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or_default();
        let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let text: Vec<&str> = lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
        tree.file(&format!("tests/{name}"), &format!("{}\n", text.join("\n")))?;
        found += 1;
    }
    assert_eq!(found, 2);
    let done = tree.test(&[])?;
    ensure!(done.code() == 0 && done.out().contains("2 tests in 2 files: 2 passed"), "{done}");
    Ok(())
}
