import sys
import time
import unittest
from unittest import mock

from ldi_test import Case

import shell_tools


class Run(Case):
    def test_result(self):
        result = shell_tools.run(["bash", "-c", "echo a; echo b; echo c >&2; exit 3"])
        self.assertEqual(result, {"stdout": "ab", "stderr": "c", "status": 3, "success": False})

    def test_not_sanitized(self):
        result = shell_tools.run(["printf", " a\nb\n"], sanitize=False)
        self.assertEqual(result, {"stdout": " a\nb\n", "stderr": "", "status": 0, "success": True})

    def test_string_is_split_and_never_a_shell(self):
        target = self.work / "made"
        result = shell_tools.run("printf %%s| 'a b' \"c\" ; touch %s && $(id) > %s" % (target, target))
        self.assertEqual(result["stdout"], "a b|c|;|touch|%s|&&|$(id)|>|%s|" % (target, target))
        self.assertFalse(target.exists())

    def test_list_is_exact(self):
        args = ["", "a b", "*", "$HOME", "-x", "it's", "l\n2"]
        result = shell_tools.run([sys.executable, "-c", "import sys; print(sys.argv[1:])"] + args, sanitize=False)
        self.assertEqual(result["stdout"], repr(args) + "\n")

    def test_no_such_program(self):
        result = shell_tools.run(["no-such-program-here", "x"])
        self.assertEqual((result["status"], result["success"]), (127, False))
        self.assertIn("no-such-program-here is not on this machine", result["stderr"])

    def test_not_executable(self):
        (self.work / "bin/plain").write_text("x")
        self.assertEqual(shell_tools.run([str(self.work / "bin/plain")])["status"], 126)

    def test_nothing(self):
        for nothing in ("", []):
            with self.assertRaises(ValueError):
                shell_tools.run(nothing)

    def test_timeout(self):
        began = time.monotonic()
        result = shell_tools.run(["sleep", "30"], timeout=0.3)
        self.assertEqual((result["status"], result["success"]), (124, False))
        self.assertIn("killed after 0.3 seconds", result["stderr"])
        self.assertLess(time.monotonic() - began, 10)

    def test_signal(self):
        self.assertEqual(shell_tools.run(["bash", "-c", "kill -TERM $$"])["status"], -15)

    def test_both_pipes_full(self):
        code = "import sys; sys.stderr.write('e' * 300000); sys.stdout.write('o' * 300000)"
        result = shell_tools.run([sys.executable, "-c", code])
        self.assertEqual((len(result["stdout"]), len(result["stderr"])), (300000, 300000))

    def test_output_is_bounded(self):
        with mock.patch.object(shell_tools, "MAX_OUTPUT", 1000):
            result = shell_tools.run([sys.executable, "-c", "print('x' * 1000000)"])
        self.assertEqual((len(result["stdout"]), result["status"]), (1000, 0))

    def test_child_left_running_does_not_hang(self):
        began = time.monotonic()
        self.assertEqual(shell_tools.run(["bash", "-c", "sleep 8 & echo done"])["stdout"], "done")
        self.assertLess(time.monotonic() - began, 7)

    def test_stdin(self):
        self.assertEqual(shell_tools.run(["cat"])["stdout"], "")
        self.assertEqual(shell_tools.run(["cat"], stdin="grüß")["stdout"], "grüß")

    def test_not_utf8(self):
        self.assertEqual(shell_tools.run(["printf", r"a\377b"])["stdout"], "a\ufffdb")


class Rest(unittest.TestCase):
    def test_sanitize_output(self):
        self.assertEqual(shell_tools.sanitize_output(" \ta b\r\nc\n\n"), "a bc")

    def test_get_unix_time(self):
        self.assertIsInstance(shell_tools.get_unix_time(), int)
        self.assertAlmostEqual(shell_tools.get_unix_time(), time.time(), delta=2)
