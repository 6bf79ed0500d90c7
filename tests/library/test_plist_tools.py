import os
import plistlib
import stat
from unittest import mock

import ldi_test

import plist_tools

AGENT = {"Label": "com.example.agent", "StartInterval": 900, "RunAtLoad": True, "ProgramArguments": ["/bin/sh", "-c"]}


class Plist(ldi_test.Case):
    def setUp(self):
        self.file = str(self.work / "agent.plist")
        with open(self.file, "wb") as file:
            plistlib.dump(AGENT, file)
        os.chmod(self.file, 0o600)

    def test_read(self):
        self.assertEqual(plist_tools.plist_read(self.file), AGENT)
        self.assertEqual(plist_tools.plist_read(self.file, "StartInterval"), 900)
        self.assertEqual(plist_tools.plist_read(self.file, "ProgramArguments:1"), "-c")
        for key in ("Missing", "ProgramArguments:7", "Label:x"):
            with self.assertRaises(KeyError):
                plist_tools.plist_read(self.file, key)

    def test_write(self):
        self.pretend("linux")
        self.assertFalse(plist_tools.plist_write(self.file, "StartInterval", 900))
        self.assertTrue(plist_tools.plist_write(self.file, "StartInterval", 60))
        self.assertTrue(plist_tools.plist_write(self.file, "RunAtLoad", 1), "1 is no truth")
        self.assertTrue(plist_tools.plist_write(self.file, "Sockets:Port:Number", 80))
        self.assertTrue(plist_tools.plist_write(self.file, "ProgramArguments:1", "-e"))
        found = plist_tools.plist_read(self.file)
        self.assertEqual((found["StartInterval"], found["ProgramArguments"]), (60, ["/bin/sh", "-e"]))
        self.assertEqual(found["Sockets"], {"Port": {"Number": 80}})
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        for key in ("Label:x", "ProgramArguments:9", "ProgramArguments:x"):
            with self.assertRaises(KeyError):
                plist_tools.plist_write(self.file, key, "y")

    def test_a_new_file(self):
        self.pretend("linux")
        path = str(self.work / "new.plist")
        self.assertTrue(plist_tools.plist_write(path, "key", "value"))
        self.assertEqual(plist_tools.plist_read(path), {"key": "value"})

    def test_what_is_none(self):
        path = self.work / "junk"
        for content in (b"", b"junk", b"<plist><dict>"):
            path.write_bytes(content)
            with self.assertRaises(ValueError):
                plist_tools.plist_read(str(path))
        with mock.patch.object(plist_tools, "_LONGEST", 10), self.assertRaisesRegex(ValueError, "larger"):
            plist_tools.plist_read(self.file)

    def test_dry_run(self):
        with mock.patch.dict(os.environ, LDI_NOOP="1"):
            self.assertTrue(plist_tools.plist_write(self.file, "Label", "x"))
        self.assertEqual(plist_tools.plist_read(self.file), AGENT)

    def test_settings_of_macos(self):
        self.pretend("macos")
        self.stub("defaults")
        plist_tools.plist_write(self.file, "RunAtLoad", False)
        plist_tools.plist_write(self.file, "StartInterval", 60)
        self.assertEqual(
            self.calls("defaults"),
            [
                "defaults write %s RunAtLoad -bool false" % self.file,
                "defaults write %s StartInterval -integer 60" % self.file,
            ],
        )
        plist_tools.plist_write(self.file, "Sockets:Port", 80)
        self.assertEqual(plist_tools.plist_read(self.file, "Sockets:Port"), 80)
