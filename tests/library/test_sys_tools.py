import contextlib
import hashlib
import io
import os
import plistlib
import subprocess
import sys
import unittest
from unittest import mock

from ldi_test import Case

import fs_tools
import sys_tools

PROFILER = """Hardware:

    Hardware Overview:

      Model Name: MacBook Pro
      Model Identifier: Mac15,6
      Chip: Apple M3 Pro
      Total Number of Cores: 12 (6 performance and 6 efficiency)
      Memory: 36 GB
      System Firmware Version: 11881.1.1
      Serial Number (system): C02ZZ0ZZZZZZ
      Hardware UUID: 00000000-0000-0000-0000-000000000000
"""

VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                4096.
Pages active:                            200000.
Pages inactive:                          190000.
Pages wired down:                         64000.
Pages occupied by compressor:             56000.
"""


class Shard(Case):
    def test_is_md5_modulo(self):
        for serial, salt, chunks in (("C02ABC", None, 10), ("C02ABC", "x", 100), (1234, 5, "7"), ("ü", "", 10)):
            text = str(serial) + (str(salt) if salt else "")
            expected = int(hashlib.md5(text.encode()).hexdigest(), 16) % int(chunks)
            self.assertEqual(sys_tools.get_shard(serial, salt, chunks), expected)

    def test_known_values(self):
        self.assertEqual(sys_tools.get_shard("C02ABC", "x", 100), 32)
        self.assertEqual(sys_tools.get_shard(serial="a", salt="bc", chunks=10), sys_tools.get_shard("abc"))
        # MD5 of "abc" from RFC 1321
        self.assertEqual(sys_tools.get_shard("abc", chunks=2**128), 0x900150983CD24FB0D6963F7D28E17F72)

    def test_own(self):
        with mock.patch.object(sys_tools, "get_serial", lambda: "abc"):
            self.assertEqual(sys_tools.get_shard(), sys_tools.get_shard("abc"))
        with mock.patch.object(sys_tools, "get_serial", lambda: "unknown"):
            with mock.patch.object(sys_tools, "_first_line", lambda *_: "0123"):
                self.assertEqual(sys_tools.get_shard(chunks=1000), sys_tools.get_shard("0123", chunks=1000))


@unittest.skipUnless(sys.platform == "linux", "facts of Linux")
class Linux(Case):
    def test_facts(self):
        self.assertEqual(sys_tools.get_platform(), "linux")
        self.assertTrue(sys_tools.get_computer_name())
        self.assertTrue(sys_tools.get_os_name())
        self.assertTrue(sys_tools.get_os_version())
        self.assertTrue(sys_tools.get_model())
        self.assertEqual(sys_tools.get_model(short=True), "linux")
        self.assertTrue(sys_tools.get_serial())
        with open("/proc/uptime") as file:
            self.assertAlmostEqual(sys_tools.get_uptime(), float(file.read().split()[0]) / 60, delta=1.1)

    def test_memory(self):
        with mock.patch.object(sys_tools, "_meminfo", lambda: {"MemTotal": 16 * 1024**2, "MemAvailable": 15 * 1024**2}):
            self.assertEqual(sys_tools.get_total_memory(), 16.0)
            self.assertEqual(sys_tools.get_used_memory(), 1024)
        self.assertGreater(sys_tools.get_total_memory(), 0)
        self.assertGreater(sys_tools.get_used_memory(), 0)
        with mock.patch.object(sys_tools, "_meminfo", dict):
            self.assertEqual((sys_tools.get_total_memory(), sys_tools.get_used_memory()), ("unknown", "unknown"))

    def test_os_version(self):
        for release, expected in (({"VERSION_ID": "41"}, "41"), ({"BUILD_ID": "rolling"}, "rolling"), ({}, "unknown")):
            with mock.patch.object(sys_tools, "_os_release", lambda release=release: release):
                self.assertEqual(sys_tools.get_os_version(), expected)

    def test_serial_placeholders(self):
        for said, expected in (("To Be Filled By O.E.M.", "unknown"), (None, "unknown"), ("PF0ABCDE", "PF0ABCDE")):
            with mock.patch.object(sys_tools, "_first_line", lambda *_, said=said: said):
                self.assertEqual(sys_tools.get_serial(), expected)

    def test_macos_only(self):
        with self.assertRaisesRegex(sys_tools.NotSupported, "this exists on macOS only"):
            sys_tools.macos_only("this")
        with self.assertRaises(sys_tools.NotSupported):
            sys_tools.install_pkg("x.pkg")
        for function in (sys_tools.launchctl_load, sys_tools.launchctl_reload, sys_tools.launchctl_unload):
            with self.assertRaises(sys_tools.NotSupported):
                function("x")
        with self.assertRaises(sys_tools.NotSupported):
            sys_tools.query_profiler("SPHardwareDataType", ["Hardware Overview"])

    def test_configure_time(self):
        self.stub("timedatectl")
        self.stub("systemctl")
        sys_tools.configure_time()
        self.assertEqual(self.calls(), ["timedatectl set-ntp true"])
        self.conf("network", "time_server = time.example.com\n")
        with mock.patch.object(sys_tools, "TIMESYNCD", str(self.work / "sync")):
            sys_tools.configure_time()
        self.assertEqual(fs_tools.read_file(str(self.work / "sync/ldi.conf")), "[Time]\nNTP=time.example.com\n")
        self.stub("timedatectl", status=1, stderr="no bus")
        self.conf("network", "")
        with self.assertRaisesRegex(RuntimeError, "timedatectl set-ntp true failed with status 1: no bus"):
            sys_tools.configure_time()
        self.conf("network", "time_server = -x y\n")
        with self.assertRaises(ValueError):
            sys_tools.configure_time()


class Mac(Case):
    def setUp(self):
        super().setUp()
        self.pretend("macos")

    def test_profiler_facts(self):
        self.stub("system_profiler", PROFILER)
        self.assertEqual(sys_tools.get_model(), "MacBook Pro")
        self.assertEqual(sys_tools.get_model(short=True), "mbp")
        self.assertEqual(sys_tools.get_serial(), "C02ZZ0ZZZZZZ")

    def test_query_profiler(self):
        self.stub("system_profiler", PROFILER)

        def ask(key, **options):
            return sys_tools.query_profiler("SPHardwareDataType", ["Hardware Overview", key], **options)

        self.assertEqual(ask("Memory"), "36 GB")
        self.assertEqual(ask("Memory", ending=False), "36")
        self.assertEqual(ask("Memory", numeric=True), "36")
        self.assertEqual(ask("Total Number of Cores"), "12")
        self.assertEqual(ask("Total Number of Cores", verbose=True), "12 (6 performance and 6 efficiency)")
        self.assertEqual(ask("System Firmware Version", periods=False), "1188111")
        self.assertIsNone(ask("Nothing"))
        self.assertTrue(sys_tools.query_profiler("SPHardwareDataType", [], needle="M3 Pro"))
        self.assertFalse(sys_tools.query_profiler("SPHardwareDataType", [], needle="M9"))
        self.assertEqual(self.calls()[0], "system_profiler SPHardwareDataType")

    def test_no_profiler(self):
        self.stub("sw_vers", status=1)
        self.no_commands()
        self.assertEqual((sys_tools.get_model(), sys_tools.get_serial()), ("unknown", "unknown"))
        self.assertEqual((sys_tools.get_uptime(), sys_tools.get_total_memory()), ("unknown", "unknown"))
        self.assertEqual((sys_tools.get_used_memory(), sys_tools.get_os_version()), ("unknown", "unknown"))
        self.assertTrue(sys_tools.get_computer_name())

    def test_small_facts(self):
        self.stub("scutil", "Ann's Mac\n")
        self.assertEqual(sys_tools.get_computer_name(), "Ann's Mac")
        self.stub("sw_vers", "14.5\n")
        self.assertEqual((sys_tools.get_os_name(), sys_tools.get_os_version()), ("macOS", "14.5"))
        self.stub("sysctl", "{ sec = 1700000000, usec = 581374 } Tue Nov 14 22:13:20 2023\n")
        with mock.patch("shell_tools.get_unix_time", lambda: 1700000000 + 7265):
            self.assertEqual(sys_tools.get_uptime(), 121)
        self.stub("sysctl", "17179869184\n")
        self.assertEqual(sys_tools.get_total_memory(), 16)
        self.stub("vm_stat", VM_STAT)
        self.assertEqual(sys_tools.get_used_memory(), 5000)

    def test_configure_time(self):
        self.stub("systemsetup")
        self.conf("network", "time_server = time.example.com\n")
        sys_tools.configure_time()
        self.assertEqual(
            self.calls(),
            ["systemsetup -setnetworktimeserver time.example.com", "systemsetup -setusingnetworktime on"],
        )

    def test_install_pkg(self):
        with mock.patch.object(sys_tools, "act") as act:
            sys_tools.install_pkg("/tmp/a b.pkg", base_dir="/Volumes/X")
        act.assert_called_once_with(["/usr/sbin/installer", "-pkg", "/tmp/a b.pkg", "-target", "/Volumes/X"])

    def test_launchctl(self):
        path = str(self.work / "org.example.d.plist")
        with open(path, "wb") as file:
            plistlib.dump({"Label": "org.example.d"}, file)
        self.stub("launchctl")
        with mock.patch.object(sys_tools, "sleep"):
            sys_tools.launchctl_reload(path[:-6])
        self.assertEqual(
            self.calls(),
            [
                "launchctl print system/org.example.d",
                "launchctl bootout system " + path,
                "launchctl disable system/org.example.d",
                "launchctl enable system/org.example.d",
                "launchctl bootstrap system " + path,
            ],
        )
        self.stub("launchctl", status=5, stderr="Input/output error")
        with self.assertRaisesRegex(RuntimeError, "status 5"):
            sys_tools.launchctl_load(path)
        self.stub_body("launchctl", '[ "$1" = disable ]')
        sys_tools.launchctl_unload(path)
        with self.assertRaisesRegex(RuntimeError, "missing.plist is not a launch daemon"):
            sys_tools.launchctl_load("missing")

    def test_processes(self):
        self.stub("ps", "    1     0 /sbin/launchd\n  77     1 /Applications/Two Words.app/x -y\n")
        self.assertTrue(sys_tools.is_process_running("Two Words"))
        self.assertFalse(sys_tools.is_process_running("Other"))


class Anywhere(Case):
    def test_disk(self):
        facts = mock.Mock(f_blocks=200 * 2**18, f_bavail=50 * 2**18, f_frsize=4096)
        with mock.patch("os.statvfs", lambda _: facts):
            self.assertEqual(sys_tools.get_hd_capacity(), 200.0)
            self.assertEqual(sys_tools.get_free_hd_space("gigabytes"), 50)
            self.assertEqual(sys_tools.get_free_hd_space("megabytes"), 50 * 1024)
            self.assertEqual(sys_tools.get_free_hd_space(unit="bytes"), 50 * 1024**3)
            self.assertTrue(sys_tools.enough_space(47))
            self.assertFalse(sys_tools.enough_space(required_space=47.1))
        with self.assertRaises(ValueError):
            sys_tools.get_free_hd_space("acres")

    def test_get_time_since(self):
        with mock.patch("shell_tools.get_unix_time", lambda: 100 * 86400):
            for mode, expected in (("secs", 864000), ("mins", 14400), ("hours", 240), ("days", 10), ("weeks", 1), ("years", 0)):
                self.assertEqual(sys_tools.get_time_since(90 * 86400, mode=mode), expected)
            self.assertEqual(sys_tools.get_time_since(time=90 * 86400 + 1, mode="days"), 9)
            with self.assertRaises(ValueError):
                sys_tools.get_time_since(0, "moons")

    def test_processes(self):
        marker = "marker-%d-%d" % (os.getpid(), id(self))
        self.assertFalse(sys_tools.is_process_running(marker))
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker])
        try:
            # Popen returns once the new program was loaded, so its arguments are there.
            self.assertTrue(sys_tools.is_process_running(marker))
            self.assertTrue(sys_tools.kill_process(str(process.pid)))
            self.assertEqual(process.wait(10), -9)
        finally:
            process.kill()
        self.assertFalse(sys_tools.is_process_running(marker))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertFalse(sys_tools.kill_process(process.pid))
        self.assertEqual(said.getvalue(), "No process running.\n")

    def test_own_arguments_do_not_count(self):
        code = "import sys_tools; print(sys_tools.is_process_running('own-marker-only'))"
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(sys_tools.__file__))
        out = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True)
        self.assertEqual(out.stdout, b"False\n")

    def test_kill_refuses_groups(self):
        with mock.patch("os.kill") as kill:
            for pid in (1, 0, -1, "-5"):
                with self.assertRaises(ValueError):
                    sys_tools.kill_process(pid)
        kill.assert_not_called()

    def test_log(self):
        with mock.patch("syslog.openlog") as openlog, mock.patch("syslog.syslog") as write:
            sys_tools.log("tag", "100 % \0done")
        openlog.assert_called_once_with("tag")
        self.assertEqual(write.call_args[0][1], "100 % done")

    def test_sleep(self):
        with mock.patch("time.sleep") as sleep:
            sys_tools.sleep(secs=1)
            sys_tools.sleep(secs=1, mins=1, hrs=1, days=1)
            sys_tools.sleep(0)
        self.assertEqual([call[0][0] for call in sleep.call_args_list], [1, 90061, 0])
        with self.assertRaises(ValueError):
            sys_tools.sleep()

    def test_act_hides_secrets(self):
        self.stub("tool", stderr="bad password hunter2", status=4)
        with self.assertRaises(RuntimeError) as caught:
            sys_tools.act(["tool", "-p", "hunter2"], secret="hunter2")
        self.assertNotIn("hunter2", str(caught.exception))
