"""Tests of @PATH@."""

from ldi_test import Case


class Script(Case):
    def test_report(self):
        self.pretend("macos")
        self.assertEqual(self.script("@PATH@").report(), ["@NAME@: this is test.local"])

    def test_run(self):
        done = self.ldi_exec("@PATH@")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
