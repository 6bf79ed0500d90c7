"""fs_tools: ensure_file, ensure_line, replace_file, sha256; what a dry run leaves alone."""

import contextlib
import io
import os
import stat
import unittest
from unittest import mock

import ldi_test

import fs_tools


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class EnsureLine(ldi_test.Case):
    def setUp(self):
        self.file = self.work / "a file"

    def test_once(self):
        self.file.write_text("one\ntwo")
        self.file.chmod(0o640)
        self.assertTrue(fs_tools.ensure_line(str(self.file), "two words"))
        self.assertEqual(self.file.read_text(), "one\ntwo\ntwo words\n")
        self.assertEqual(mode(self.file), 0o640)
        self.assertEqual((self.work / "a file.code.bak").read_text(), "one\ntwo")
        self.assertFalse(fs_tools.ensure_line(str(self.file), "two words"))
        self.assertTrue(fs_tools.ensure_line(str(self.file), "two word"), "a part of a line is no line")

    def test_a_new_file(self):
        self.assertTrue(fs_tools.ensure_line(str(self.file), "ä"))
        self.assertEqual((self.file.read_text(encoding="utf-8"), mode(self.file)), ("ä\n", 0o644))

    def test_bytes_that_are_no_text_stay(self):
        self.file.write_bytes(b"\xff\r\n")
        fs_tools.ensure_line(str(self.file), "x")
        self.assertEqual(self.file.read_bytes(), b"\xff\r\nx\n")

    def test_what_is_no_line(self):
        for line in ("", "a\nb"):
            with self.assertRaises(ValueError):
                fs_tools.ensure_line(str(self.file), line)
        self.file.write_text("12345")
        with mock.patch.object(fs_tools, "MAX_READ", 4), self.assertRaises(ValueError):
            fs_tools.ensure_line(str(self.file), "x")


class EnsureFile(ldi_test.Case):
    def setUp(self):
        self.file, self.new = str(self.work / "file"), str(self.work / "new")
        fs_tools.write_file(self.new, "new")

    def test_as_it_should_be(self):
        self.assertTrue(fs_tools.ensure_file(self.file, self.new, 0o600))
        self.assertEqual((fs_tools.read_file(self.file), mode(self.file)), ("new", 0o600))
        self.assertFalse(fs_tools.ensure_file(self.file, self.new, 0o600))
        fs_tools.write_file(self.file, "old")
        self.assertTrue(fs_tools.ensure_file(self.file, self.new, 0o600))
        self.assertEqual(fs_tools.read_file(self.file + ".code.bak"), "old")

    def test_only_the_mode_differs(self):
        fs_tools.ensure_file(self.file, self.new)
        self.assertTrue(fs_tools.ensure_file(self.file, self.new, 0o4755))
        self.assertEqual(mode(self.file), 0o4755)
        self.assertFalse(os.path.exists(self.file + ".code.bak"), "the content was kept for nothing")

    def test_through_a_link(self):
        os.symlink("real", self.file)
        fs_tools.ensure_file(self.file, self.new)
        self.assertEqual(os.readlink(self.file), "real")
        self.assertEqual((self.work / "real").read_text(), "new")

    @unittest.skipUnless(os.geteuid() == 0, "only root gives files away")
    def test_the_owner(self):
        import pwd

        daemon = pwd.getpwnam("daemon")
        fs_tools.ensure_file(self.file, self.new, owner="daemon:daemon")
        self.assertEqual(os.stat(self.file)[4:6], (daemon.pw_uid, daemon.pw_gid))
        self.assertFalse(fs_tools.ensure_file(self.file, self.new, owner=":daemon"))
        self.assertTrue(fs_tools.ensure_file(self.file, self.new, 0o600))
        self.assertEqual(os.stat(self.file).st_uid, daemon.pw_uid, "no owner named: it stays")
        self.assertTrue(fs_tools.ensure_file(self.file, self.new, 0o600, owner="0"))

    def test_what_is_refused(self):
        with self.assertRaises(FileNotFoundError):
            fs_tools.ensure_file(self.file, self.file)
        with self.assertRaisesRegex(ValueError, "not an owner"):
            fs_tools.ensure_file(self.file, self.new, owner="no-such-account")
        with self.assertRaisesRegex(ValueError, "not a regular file"):
            fs_tools.ensure_file(str(self.work), self.new)
        self.assertFalse([name for name in os.listdir(self.work) if name.startswith(".fs_tools")])

    def test_dry_run(self):
        fs_tools.write_file(self.file, "old")
        text = io.StringIO()
        with mock.patch.dict(os.environ, LDI_NOOP="1"), contextlib.redirect_stderr(text):
            self.assertTrue(fs_tools.ensure_file(self.file, self.new))
            self.assertTrue(fs_tools.ensure_line(self.file, "x"))
            self.assertTrue(fs_tools.diff_replace(self.file, self.new))
        self.assertEqual(fs_tools.read_file(self.file), "old")
        self.assertEqual(text.getvalue().count("would replace " + self.file), 3)
        self.assertNotIn("file.code.bak", os.listdir(self.work))


class Rest(ldi_test.Case):
    def test_replace_file(self):
        path = str(self.work / "x")
        fs_tools.replace_file(path, b"1", 0o600)
        fs_tools.replace_file(path, b"2")
        self.assertEqual((fs_tools.read_file(path), mode(path)), ("2", 0o600))

    def test_sha256(self):
        path = str(self.work / "x")
        fs_tools.write_file(path, "hello\n")
        self.assertEqual(fs_tools.sha256(path), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
