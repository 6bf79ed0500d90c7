import os
from unittest import mock

import ldi_test

import casper_tools
import package_tools
import service_tools
import sys_tools

LAUNCHD = """case "$*" in
  "print system/com.example.on") printf 'system/com.example.on = {\\n\\tactive count = 1\\n\\tstate = running\\n}\\n' ;;
  "print system/com.example.idle") printf 'system/com.example.idle = {\\n\\tstate = not running\\n}\\n' ;;
  print*) echo 'Could not find service in domain for system' >&2; exit 113 ;;
esac"""

SYSTEMD = """case "$*" in
  *"-- ssh.service") printf 'LoadState=loaded\\nActiveState=active\\n' ;;
  *"-- failed.service") printf 'LoadState=loaded\\nActiveState=failed\\n' ;;
  show*) printf 'LoadState=not-found\\nActiveState=inactive\\n' ;;
esac"""


class Services(ldi_test.Case):
    def setUp(self):
        self.units = self.work / "units"
        self.units.mkdir()
        os.environ["LDI_UNIT_DIR"] = str(self.units)

    def changes(self, name):
        return [line for line in self.calls(name) if " print " not in line and " show " not in line]

    def test_systemd(self):
        self.pretend("linux")
        self.stub_body("systemctl", SYSTEMD)
        self.assertEqual(service_tools.service_status("ssh.service"), "running")
        self.assertEqual(service_tools.service_status("failed.service"), "stopped")
        self.assertEqual(service_tools.service_status("none.service"), "missing")
        service_tools.service_start("a.service")
        service_tools.service_stop("a.service")
        service_tools.service_restart("a.service")
        service_tools.service_enable("a.service")
        service_tools.service_disable("a.service")
        actions = ["start", "stop", "restart", "enable", "disable"]
        self.assertEqual(self.changes("systemctl"), ["systemctl %s -- a.service" % action for action in actions])
        self.stub("systemctl", status=1, stderr="System has not been booted with systemd")
        self.assertEqual(service_tools.service_status("ssh.service"), "unknown")
        with self.assertRaisesRegex(RuntimeError, "not been booted"):
            service_tools.service_start("ssh.service")

    def test_launchd(self):
        self.pretend("macos")
        self.stub_body("launchctl", LAUNCHD)
        (self.units / "com.example.off.plist").touch()
        states = [("on", "running"), ("idle", "stopped"), ("off", "stopped"), ("none", "missing")]
        for name, state in states:
            self.assertEqual(service_tools.service_status("com.example." + name), state)
        service_tools.service_start("com.example.off")
        service_tools.service_start("com.example.idle")
        service_tools.service_stop("com.example.on")
        service_tools.service_stop("com.example.off")
        service_tools.service_restart("com.example.on")
        service_tools.service_restart("com.example.off")
        service_tools.service_enable("com.example.off")
        service_tools.service_disable("com.example.off")
        self.assertEqual(
            self.changes("launchctl"),
            [
                "launchctl bootstrap system %s/com.example.off.plist" % self.units,
                "launchctl kickstart system/com.example.idle",
                "launchctl bootout system/com.example.on",
                "launchctl kickstart -k system/com.example.on",
                "launchctl bootstrap system %s/com.example.off.plist" % self.units,
                "launchctl enable system/com.example.off",
                "launchctl disable system/com.example.off",
            ],
        )

    def test_install_on_linux(self):
        self.pretend("linux")
        self.stub_body("systemctl", SYSTEMD)
        unit = self.work / "demo.service"
        unit.write_text("[Service]\n")
        self.assertTrue(service_tools.service_install(str(unit)))
        self.assertEqual((self.units / "demo.service").read_text(), "[Service]\n")
        self.assertFalse(service_tools.service_install(str(unit)))
        (self.units / "demo.service").chmod(0o666)
        self.assertTrue(service_tools.service_install(str(unit)), "a mode is mended")
        self.assertEqual(self.changes("systemctl"), ["systemctl daemon-reload"], "read again only when changed")
        for name in ("x.conf", "x.plist", "none.service"):
            with self.assertRaises(ValueError):
                service_tools.service_install(str(self.work / name))

    def test_install_on_macos(self):
        self.pretend("macos")
        self.stub_body("launchctl", LAUNCHD)
        daemon = self.work / "com.example.on.plist"
        daemon.write_text("<plist/>\n")
        self.assertTrue(service_tools.service_install(str(daemon)))
        self.assertFalse(service_tools.service_install(str(daemon)))
        self.assertEqual(self.changes("launchctl"), ["launchctl bootout system/com.example.on"])

    def test_names(self):
        for name in ("", "-x", "a b", "a;b", "../a"):
            with self.assertRaises(ValueError):
                service_tools.service_start(name)

    def test_dry_run(self):
        self.pretend("linux")
        self.stub("systemctl", status=1)
        unit = self.work / "demo.service"
        unit.touch()
        with mock.patch.dict(os.environ, LDI_NOOP="1"):
            service_tools.service_start("a.service")
            self.assertTrue(service_tools.service_install(str(unit)))
        self.assertEqual((self.calls("systemctl"), list(self.units.iterdir())), ([], []))


class Packages(ldi_test.Case):
    def test_debian(self):
        self.pretend("linux")
        self.no_commands()
        self.stub_body(
            "dpkg-query",
            'case "$*" in *"-- curl") echo "installed 7.88.1-10" ;; *"-- gone") echo "config-files 1.0" ;; *) exit 1 ;; esac',
        )
        self.stub("env")
        self.assertEqual(package_tools.package_version("curl"), "7.88.1-10")
        self.assertIsNone(package_tools.package_version("gone"))
        self.assertFalse(package_tools.package_installed("none"))
        package_tools.package_install("curl")
        self.assertEqual(self.calls("env"), [])
        package_tools.package_install("curl", "none")
        self.assertTrue(self.calls("env")[0].endswith("apt-get -q -y -o DPkg::Lock::Timeout=300 install -- none"))

    def test_fedora(self):
        self.pretend("linux")
        self.no_commands()
        self.stub_body("rpm", 'case "$*" in *"-- kernel") printf "6.6.8-200\\n6.7.3-200\\n" ;; *) exit 1 ;; esac')
        self.stub("dnf", status=1, stderr="No match for argument: vim")
        self.assertEqual(package_tools.package_version("kernel"), "6.7.3-200")
        with self.assertRaisesRegex(RuntimeError, "No match"):
            package_tools.package_install("vim")

    def test_arch(self):
        self.pretend("linux")
        self.no_commands()
        self.stub_body("pacman", 'case "$*" in "-Q -- bash") echo "bash 5.2.026-2" ;; -Q*) exit 1 ;; esac')
        self.assertEqual(package_tools.package_version("bash"), "5.2.026-2")
        package_tools.package_install("bash", "vim")
        self.assertEqual(self.calls("pacman")[-1], "pacman -S --noconfirm --needed -- vim")

    def test_macos(self):
        self.pretend("macos")
        self.stub("pkgutil", "package-id: com.example.tool\nversion: 2.1.0\nvolume: /\n")
        self.assertEqual(package_tools.package_version("com.example.tool"), "2.1.0")
        self.stub("pkgutil", "", 1, "No receipt for 'x' found at '/'.")
        self.assertFalse(package_tools.package_installed("com.example.tool"))

    def test_neither(self):
        self.pretend("linux")
        self.no_commands()
        with self.assertRaises(sys_tools.NotSupported):
            package_tools.package_version("curl")
        for name in ("", "-y", "a b", "../a"):
            with self.assertRaises(ValueError):
                package_tools.package_version(name)


class Casper(ldi_test.Case):
    def test_jamf(self):
        self.pretend("macos")
        self.stub("jamf")
        casper_tools.configure("A Person")
        casper_tools.recon()
        casper_tools.flush_policies()
        self.assertTrue(casper_tools.trigger_policy("on-call"))
        expected = ["recon -realname A\\ Person", "recon", "flushPolicyHistory", "policy -event on-call"]
        self.assertEqual(self.calls("jamf"), ["jamf " + words for words in expected])
        self.stub("jamf", status=1, stderr="not enrolled")
        self.assertFalse(casper_tools.trigger_policy("on-call"))
        with self.assertRaisesRegex(RuntimeError, "not enrolled"):
            casper_tools.recon()
        with self.assertRaises(ValueError):
            casper_tools.trigger_policy("-x")

    def test_elsewhere(self):
        self.pretend("linux")
        with self.assertRaises(sys_tools.NotSupported):
            casper_tools.recon()
        self.pretend("macos")
        self.no_commands()
        with self.assertRaisesRegex(RuntimeError, "enrol"):
            casper_tools.recon()


class DryRun(ldi_test.Case):
    def test_what_changes_the_system_is_only_said(self):
        self.stub("act", status=1)
        with mock.patch.dict(os.environ, LDI_NOOP="1"):
            with mock.patch("sys.stderr") as stderr:
                self.assertTrue(sys_tools.act(["act", "hush"], secret="hush")["success"])
                self.assertTrue(sys_tools.kill_process(os.getpid()))
        said = "".join(call.args[0] for call in stderr.write.call_args_list)
        self.assertIn("would run: act '***'", said)
        self.assertIn("would kill process %d" % os.getpid(), said)
        self.assertNotIn("hush", said)
        self.assertEqual(self.calls("act"), [])
