"""shell_tools: noop, would, retry, with_lock."""

import contextlib
import io
import os
import stat
import subprocess
import sys
import time
from unittest import mock

import ldi_test

import shell_tools


def said(action, *arguments, **options):
    """What an action prints on stderr, and what it returns."""
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        answer = action(*arguments, **options)
    return text.getvalue(), answer


class Noop(ldi_test.Case):
    def test_it_runs(self):
        self.stub("act", "done\n")
        self.assertEqual(shell_tools.noop(["act", "a b"])["stdout"], "done")
        self.assertEqual(len(self.calls("act")), 1)

    def test_it_only_says(self):
        self.stub("act")
        with mock.patch.dict(os.environ, LDI_NOOP="1"):
            text, answer = said(shell_tools.noop, ["act", "a b"], timeout=5)
            self.assertEqual((text, answer["success"]), ("would run: act 'a b'\n", True))
            self.assertEqual(said(shell_tools.would, "remove x"), ("would remove x\n", True))
        self.assertEqual(self.calls("act"), [])
        self.assertEqual(said(shell_tools.would, "remove x"), ("", False))


class Retry(ldi_test.Case):
    def setUp(self):
        self.slept = []
        patch = mock.patch.object(time, "sleep", self.slept.append)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_function(self):
        tries = []

        def flaky(value):
            tries.append(value)
            if len(tries) < 3:
                raise OSError("not yet")
            return value * 2

        text, answer = said(shell_tools.retry, 5, 2, flaky, 21)
        self.assertEqual((answer, self.slept), (42, [2, 4]))
        self.assertIn("retry: flaky ended with OSError: not yet; again in 2 s", text)

    def test_the_last_exception(self):
        def broken():
            raise KeyError(len(self.slept))

        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(KeyError) as caught:
            shell_tools.retry(3, 200, broken)
        self.assertEqual((caught.exception.args, self.slept), ((2,), [200, 300]))

    def test_a_command(self):
        self.stub_body("act", 'echo x >>"%s/tries"; [ "$(grep -c x "%s/tries")" -ge 2 ]' % (self.work, self.work))
        text, answer = said(shell_tools.retry, 3, 1, ["act"])
        self.assertTrue(answer["success"])
        self.assertIn("retry: act ended with status 1", text)
        self.stub("act", status=7)
        _, answer = said(shell_tools.retry, 2, 1, "act now")
        self.assertEqual(answer["status"], 7)

    def test_no_try(self):
        with self.assertRaises(ValueError):
            shell_tools.retry(0, 1, print)


class WithLock(ldi_test.Case):
    def setUp(self):
        os.environ["LDI_LOCK_DIR"] = str(self.work / "locks")

    def test_it_runs(self):
        self.assertEqual(shell_tools.with_lock("one", max, 1, 2), 2)
        self.assertTrue(shell_tools.with_lock("one", ["true"])["success"])
        self.assertEqual(stat.S_IMODE(os.stat(self.work / "locks").st_mode), 0o700)
        with self.assertRaises(ZeroDivisionError):
            shell_tools.with_lock("one", divmod, 1, 0)
        self.assertEqual(shell_tools.with_lock("one", str), "", "it was given back")

    def test_one_at_a_time(self):
        inner = lambda: shell_tools.with_lock("one", str, wait=0)  # noqa: E731
        with self.assertRaises(TimeoutError):
            shell_tools.with_lock("one", inner)
        self.assertEqual(shell_tools.with_lock("other", inner), "")

    def test_bash_takes_the_same_lock(self):
        program = '. "$0/modules/commands.sh"; LDI_LOCK_WAIT=0 with_lock one true'
        command = ["bash", "-c", program, str(self.tree)]
        self.assertEqual(shell_tools.with_lock("one", shell_tools.run, command)["status"], 75)
        self.assertEqual(shell_tools.run(command)["status"], 0)

    def test_a_holder_that_is_killed_keeps_nothing(self):
        program = "import shell_tools, time; shell_tools.with_lock('one', lambda: (print('held', flush=True), time.sleep(60)))"
        environment = dict(os.environ, PYTHONPATH=str(self.tree / "modules"))
        with subprocess.Popen([sys.executable, "-B", "-c", program], stdout=subprocess.PIPE, env=environment) as holder:
            holder.stdout.readline()
            with self.assertRaises(TimeoutError):
                shell_tools.with_lock("one", str, wait=0)
            holder.kill()
        self.assertEqual(shell_tools.with_lock("one", str, wait=30), "")

    def test_what_is_refused(self):
        for name in ("", "../x", "a/b", ".x", "a b"):
            with self.assertRaises(ValueError):
                shell_tools.with_lock(name, str)
        (self.work / "elsewhere").mkdir()
        os.symlink(self.work / "elsewhere", self.work / "locks")
        with self.assertRaises(PermissionError):
            shell_tools.with_lock("one", str)
