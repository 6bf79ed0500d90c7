"""Tests of @PATH@."""

import json

from ldi_test import Case


class Collector(Case):
    def test_collect(self):
        self.pretend("macos")
        self.assertEqual(self.script("@PATH@").collect(), {"kernel": "23.6.0"})

    def test_run(self):
        done = self.ldi_exec("@PATH@")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(list(json.loads(done.stdout)), ["kernel"])
