import contextlib
import io
import os
import time
import unittest
from unittest import mock

from ldi_test import Case

import fs_tools
import sys_tools


class Files(Case):
    def path(self, *parts):
        return str(self.work.joinpath(*parts))

    def test_copy_file(self):
        fs_tools.write_file(self.path("a"), "1")
        fs_tools.copy(self.path("a"), self.path("b"))
        fs_tools.copy(self.path("a"), self.path("state"))
        self.assertEqual(fs_tools.read_file(self.path("b")), "1")
        self.assertEqual(fs_tools.read_file(self.path("state/a")), "1")

    def test_copy_folder(self):
        fs_tools.write_file(self.path("d/x/y"), "1")
        os.symlink("x/y", self.path("d/link"))
        fs_tools.write_file(self.path("e/old"), "2")
        fs_tools.copy(self.path("d"), self.path("e"))
        fs_tools.copy(self.path("d"), self.path("new"))
        self.assertEqual(fs_tools.read_file(self.path("e/x/y")), "1")
        self.assertEqual(fs_tools.read_file(self.path("e/old")), "2")
        self.assertEqual(os.readlink(self.path("new/link")), "x/y")

    def test_create_file(self):
        fs_tools.create_file(self.path("p/q/f"))
        self.assertEqual(fs_tools.read_file(self.path("p/q/f")), "")
        fs_tools.write_file(self.path("p/q/f"), "kept")
        os.utime(self.path("p/q/f"), (1, 1))
        fs_tools.create_file(self.path("p/q/f"))
        self.assertEqual(fs_tools.read_file(self.path("p/q/f")), "kept")
        self.assertGreater(fs_tools.get_creation_time(self.path("p/q/f")), 1)

    def test_diff_replace(self):
        src, dst = self.path("src"), self.path("dst")
        fs_tools.write_file(src, "new")
        self.assertTrue(fs_tools.diff_replace(dst, src))
        self.assertEqual(os.stat(dst).st_mode & 0o777, 0o644)
        self.assertFalse(os.path.exists(dst + ".fs_tools.bak"))
        self.assertFalse(fs_tools.diff_replace(dst, src))
        fs_tools.write_file(dst, "old")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertTrue(fs_tools.diff_replace(dst, src, verbose=True, mode=0o600))
        self.assertIn("was replaced by", said.getvalue())
        self.assertEqual(os.stat(dst).st_mode & 0o777, 0o600)
        self.assertEqual(fs_tools.read_file(dst + ".fs_tools.bak"), "old")
        fs_tools.remove(dst + ".fs_tools.bak")
        fs_tools.write_file(dst, "old")
        fs_tools.diff_replace(dst, src, backup=False)
        self.assertFalse(os.path.exists(dst + ".fs_tools.bak"))
        self.assertEqual([name for name in os.listdir(self.work) if name.startswith(".fs")], [])

    def test_diff_replace_same_size_and_time(self):
        for name, text in (("src", "aaa"), ("dst", "bbb")):
            fs_tools.write_file(self.path(name), text)
            os.utime(self.path(name), (5, 5))
        self.assertTrue(fs_tools.diff_replace(self.path("dst"), self.path("src")))

    def test_diff_replace_refuses(self):
        fs_tools.write_file(self.path("dst"), "old")
        with self.assertRaises(FileNotFoundError):
            fs_tools.diff_replace(self.path("dst"), self.path("missing"))
        with self.assertRaises(ValueError):
            fs_tools.diff_replace(self.path("state"), self.path("dst"))
        self.assertEqual(fs_tools.read_file(self.path("dst")), "old")

    def test_diff_replace_links(self):
        fs_tools.write_file(self.path("src"), "new")
        fs_tools.write_file(self.path("real/f"), "old")
        fs_tools.write_file(self.path("victim"), "victim")
        os.symlink("real/f", self.path("link"))
        os.symlink("victim", self.path("link.fs_tools.bak"))
        fs_tools.diff_replace(self.path("link"), self.path("src"))
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(fs_tools.read_file(self.path("real/f")), "new")
        self.assertEqual(fs_tools.read_file(self.path("victim")), "victim")
        self.assertEqual(fs_tools.read_file(self.path("link.fs_tools.bak")), "old")

    def test_get_creation_time(self):
        fs_tools.create_file(self.path("f"))
        os.utime(self.path("f"), (7.9, 7.9))
        self.assertEqual(fs_tools.get_creation_time(self.path("f")), 7)

    def test_move(self):
        fs_tools.write_file(self.path("d/f"), "1")
        fs_tools.move(self.path("d"), self.path("e"))
        self.assertEqual(fs_tools.read_file(self.path("e/f")), "1")
        self.assertFalse(os.path.exists(self.path("d")))

    def test_mkdir(self):
        fs_tools.mkdir(self.path("a/b/c"))
        fs_tools.mkdir(self.path("a/b/c"))
        self.assertTrue(os.path.isdir(self.path("a/b/c")))
        fs_tools.create_file(self.path("file"))
        with self.assertRaises(OSError):
            fs_tools.mkdir(self.path("file"))

    def test_mktempdir(self):
        with mock.patch("tempfile.tempdir", str(self.work)):
            first, second = fs_tools.mktempdir(), fs_tools.mktempdir(mode=0o750)
        self.assertNotEqual(first, second)
        self.assertEqual(os.stat(first).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(second).st_mode & 0o777, 0o750)

    def test_read_file_is_bounded(self):
        fs_tools.write_file(self.path("f"), "x" * 11)
        with mock.patch.object(fs_tools, "MAX_READ", 10), self.assertRaises(ValueError):
            fs_tools.read_file(self.path("f"))

    def test_remove(self):
        for name in ("d/x/y", "a1.log", "a2.log", "b.log", "[x]", "x"):
            fs_tools.create_file(self.path("r", name))
        fs_tools.remove(self.path("r/d"))
        fs_tools.remove(self.path("r/a*.log"))
        fs_tools.remove(self.path("r/[x]"))
        fs_tools.remove(self.path("r/missing"))
        self.assertEqual(sorted(os.listdir(self.path("r"))), ["b.log", "x"])
        os.symlink(self.path("r"), self.path("link"))
        fs_tools.remove(self.path("link"))
        self.assertEqual(sorted(os.listdir(self.path("r"))), ["b.log", "x"])
        for root in ("/", "//", "/usr/.."):
            with mock.patch("shutil.rmtree") as rmtree, self.assertRaises(ValueError):
                fs_tools.remove(root)
            rmtree.assert_not_called()

    def test_write_and_timestamp(self):
        fs_tools.write_file(self.path("w/f"))
        self.assertEqual(fs_tools.read_file(self.path("w/f")), "")
        fs_tools.write_file(self.path("w/f"), 12)
        fs_tools.write_file(self.path("w/f"), "ü", mode="a")
        self.assertEqual(fs_tools.read_file(self.path("w/f")), "12ü")
        fs_tools.write_file(self.path("w/f"), b"\0\xff", mode="wb")
        with open(self.path("w/f"), "rb") as file:
            self.assertEqual(file.read(), b"\0\xff")
        fs_tools.timestamp_file(self.path("w/t"))
        self.assertAlmostEqual(int(fs_tools.read_file(self.path("w/t"))), time.time(), delta=3)


class Pickles(Case):
    def test_round_trip(self):
        folder = str(self.work / "p")
        self.assertTrue(fs_tools.write_pickle({"a": [1]}, "x", folder))
        self.assertEqual(fs_tools.get_pickle("x", pickle_path=folder), {"a": [1]})
        self.assertEqual(os.stat(os.path.join(folder, "x")).st_mode & 0o777, 0o600)

    def test_verify(self):
        folder = str(self.work)
        self.assertFalse(fs_tools.verify_pickle("x", 100, folder))
        fs_tools.write_pickle(1, "x", folder)
        self.assertTrue(fs_tools.verify_pickle("x", cache_expiration=100, pickle_path=folder))
        for age in (200, -500):
            fs_tools.write_pickle(1, "x", folder)
            os.utime(os.path.join(folder, "x"), (time.time() - age,) * 2)
            self.assertFalse(fs_tools.verify_pickle("x", 100, folder))
            self.assertFalse(os.path.exists(os.path.join(folder, "x")))
        fs_tools.create_file(os.path.join(folder, "x"))
        self.assertFalse(fs_tools.verify_pickle("x", 100, folder))

    def test_refuses(self):
        folder = str(self.work)
        fs_tools.write_pickle(1, "x", folder)
        os.chmod(os.path.join(folder, "x"), 0o666)
        with self.assertRaises(PermissionError):
            fs_tools.get_pickle("x", folder)
        for name in ("", "..", "../x", "/x"):
            with self.assertRaises(ValueError):
                fs_tools.get_pickle(name, folder)

    def test_cannot_write(self):
        with mock.patch.object(sys_tools, "log") as log:
            self.assertFalse(fs_tools.write_pickle(lambda: 1, "x", str(self.work)))
        log.assert_called_once()
