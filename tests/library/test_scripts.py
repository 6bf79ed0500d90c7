import json
import plistlib
import time
import unittest
from unittest import mock

from ldi_test import Case, script

import sys_tools


class NetworkDevices(Case):
    def setUp(self):
        super().setUp()
        self.collector = script("scripts/collect/network_devices")

    def test_linux(self):
        self.pretend("linux")
        addresses = [
            {"family": "inet6", "local": "fe80::1"},
            {"family": "inet6", "local": "2001:db8::99", "temporary": True},
            {"family": "inet6", "local": "2001:db8::1"},
            {"family": "inet", "local": "192.0.2.9"},
            {"family": "inet", "local": "192.0.2.10"},
        ]
        links = [
            {"ifname": "lo", "link_type": "loopback", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
            {"ifname": "veth12", "link_type": "ether", "address": "02:00:00:00:00:02"},
            {"ifname": "eth0", "link_type": "ether", "address": "02:00:00:00:00:01", "addr_info": addresses},
            {"ifname": "wlan0", "link_type": "ether", "address": "02:00:00:00:00:03", "addr_info": []},
        ]
        self.stub("ip", json.dumps(links))
        eth0 = {
            "ether": ["02:00:00:00:00:01"],
            "inet": ["192.0.2.10", "192.0.2.9"],
            "inet6": ["2001:db8::1", "fe80::1"],
        }
        self.assertEqual(self.collector.main(), {"eth0": eth0, "wlan0": {"ether": ["02:00:00:00:00:03"]}})
        for stdout, status in (("", 1), ("junk", 0)):
            self.stub("ip", stdout, status)
            self.assertEqual(self.collector.main(), "unknown")

    def test_macos(self):
        self.pretend("macos")
        self.stub(
            "ifconfig",
            """lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
\tinet 127.0.0.1 netmask 0xff000000
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\toptions=6463<RXCSUM,TXCSUM,TSO4,TSO6,CHANNEL_IO,PARTIAL_CSUM,ZEROINVERT_CSUM>
\tether 02:00:00:00:00:01
\tinet6 fe80::1c%en0 prefixlen 64 secured scopeid 0xb
\tinet6 2001:db8::99 prefixlen 64 autoconf temporary
\tinet 192.0.2.9 netmask 0xffffff00 broadcast 192.0.2.255
utun3: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1380
\tinet6 fe80::2%utun3 prefixlen 64 scopeid 0x10
""",
        )
        en0 = {"ether": ["02:00:00:00:00:01"], "inet6": ["fe80::1c"], "inet": ["192.0.2.9"]}
        self.assertEqual(self.collector.main(), {"en0": en0})


class Sshd(Case):
    def setUp(self):
        super().setUp()
        self.collector = script("scripts/collect/sshd")

    def test_missing(self):
        with mock.patch.object(self.collector, "_PATH", str(self.work / "none")):
            self.assertEqual(self.collector.main(), {"status": "missing", "config": {}})

    def test_config(self):
        self.pretend("linux")
        self.stub("sshd", "port 22\nhostkey /b\nhostkey /a\npermitrootlogin no\n")
        found = {"port": "22", "hostkey": ["/a", "/b"], "permitrootlogin": "no"}
        with mock.patch.object(self.collector, "_PATH", str(self.work / "bin")):
            with mock.patch.object(self.collector, "running", lambda: True):
                self.assertEqual(self.collector.main(), {"status": "running", "config": found})
            self.stub("sshd", "", 1)
            with mock.patch.object(self.collector, "running", lambda: False):
                self.assertEqual(self.collector.main(), {"status": "stopped", "config": "unknown"})

    def test_running(self):
        self.pretend("linux")
        with mock.patch.object(sys_tools, "is_process_running", lambda _: False):
            for said, expected in (("active\n", True), ("inactive\n", False)):
                self.stub("systemctl", said)
                self.assertIs(self.collector.running(), expected)
        self.pretend("macos")
        for said, expected in (("enabled", True), ("disabled", False), ("false", True), ("true", False)):
            self.stub("launchctl", 'disabled services = {\n\t"com.openssh.sshd" => %s\n}\n' % said)
            self.assertIs(self.collector.running(), expected)
        self.stub("launchctl", "disabled services = {\n}\n")
        self.assertIs(self.collector.running(), False)


class Firewall(Case):
    def setUp(self):
        super().setUp()
        self.collector = script("scripts/collect/firewall")
        self.pretend("linux")
        for name in ("iptables", "ip6tables", "nft"):
            self.stub(name, "", 4)

    def test_iptables(self):
        self.stub("iptables", "-P INPUT DROP\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n-N other\n")
        self.stub("ip6tables", "-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-A OUTPUT -j LOG\n")
        self.assertEqual(
            self.collector.main(),
            {
                "layers": {
                    "iptables": {"policies": {"INPUT": "drop", "FORWARD": "accept", "OUTPUT": "accept"}, "status": "on"},
                    "ip6tables": {"policies": {"INPUT": "accept", "OUTPUT": "accept"}, "status": "off"},
                },
                "status": "on",
            },
        )

    def test_nftables(self):
        chain = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "accept"}
        rule = {"family": "inet", "table": "filter", "chain": "input", "expr": []}
        for objects, expected in (
            ([], "off"),
            ([{"chain": chain}], "off"),
            ([{"chain": dict(chain, policy="drop")}], "on"),
            ([{"chain": chain}, {"rule": rule}], "on"),
            ([{"chain": dict(chain, name="fwd", hook="forward", policy="drop")}], "off"),
        ):
            self.stub("nft", json.dumps({"nftables": [{"metainfo": {}}] + objects}))
            self.assertEqual(self.collector.main()["status"], expected, objects)

    def test_not_allowed(self):
        self.assertEqual(self.collector.main(), {"layers": {}, "status": "unknown"})

    def test_macos(self):
        self.pretend("macos")
        self.stub("socketfilterfw", "Firewall is enabled. (State = 1)\n")
        with mock.patch.object(self.collector, "_MAC_TOOL", str(self.work / "bin/socketfilterfw")):
            self.assertEqual(self.collector.main()["status"], "on")
            self.stub("socketfilterfw", "Firewall is disabled. (State = 0)\n")
            self.assertEqual(self.collector.main()["layers"]["application"]["status"], "off")


class GuestSession(Case):
    def test_lightdm(self):
        collector = script("scripts/collect/guest_session")
        self.pretend("linux")
        files = tuple(str(self.work / name) for name in ("*.conf", "lightdm.conf.last"))
        with mock.patch.object(collector, "_LIGHTDM", files), mock.patch.object(collector, "_SESSIONS", ("/nowhere",)):
            self.assertIsNone(collector.main())
        with mock.patch.object(collector, "_LIGHTDM", files), mock.patch.object(collector, "_SESSIONS", ("/",)):
            self.assertEqual(collector.main(), {"enabled": True})
            (self.work / "a.conf").write_text("[Seat:*]\nallow-guest=false\n")
            self.assertEqual(collector.main(), {"enabled": False})
            (self.work / "lightdm.conf.last").write_text("[SeatDefaults]\nallow-guest=true\n")
            self.assertEqual(collector.main(), {"enabled": True})
            (self.work / "b.conf").write_text("no section\n")
            self.assertEqual(collector.main(), "unknown")

    def test_macos(self):
        collector = script("scripts/collect/guest_session")
        self.pretend("macos")
        path = self.work / "loginwindow.plist"
        with mock.patch.object(collector, "_MAC_FILE", str(path)):
            self.assertEqual(collector.main(), {"enabled": False})
            path.write_bytes(plistlib.dumps({"GuestEnabled": True}))
            self.assertEqual(collector.main(), {"enabled": True})
            path.write_text("junk")
            self.assertEqual(collector.main(), "unknown")


class Screenlock(Case):
    def setUp(self):
        super().setUp()
        self.collector = script("scripts/collect/screenlock")

    def logged_in(self, function, users):
        patch = mock.patch.object(self.collector, function, lambda: users)
        patch.start()
        self.addCleanup(patch.stop)

    def test_gnome(self):
        self.pretend("linux")
        self.logged_in("gnome_users", {})
        self.assertIsNone(self.collector.main())
        self.logged_in("gnome_users", {"root": 1000, "nobody": 1001})
        # env and runuser lead to this gsettings.
        self.stub_body("runuser", 'shift 3; exec "$@"')
        self.stub_body(
            "gsettings",
            """case "$DBUS_SESSION_BUS_ADDRESS $3" in
*/1001/*lock-enabled) echo false ;; *lock-enabled) echo true ;;
*idle-delay) echo uint32 300 ;; *lock-delay) echo uint32 30 ;; esac""",
        )
        expected = [
            {"user": "nobody", "enabled": False, "delay": None},
            {"user": "root", "enabled": True, "delay": 330},
        ]
        self.assertEqual(self.collector.main(), {"users": expected})
        # Nobody is logged in now: the last answers stand.
        self.logged_in("gnome_users", {})
        self.assertEqual(self.collector.main(), {"users": expected})
        self.logged_in("gnome_users", {"daemon": 1002})
        self.stub("gsettings", "", 1)
        self.assertEqual(
            self.collector.main()["users"][0], {"user": "daemon", "enabled": "unknown", "delay": None}
        )

    def test_account_that_is_gone(self):
        self.pretend("linux")
        self.logged_in("gnome_users", {})
        entry = {"user": "no-such-user", "enabled": True, "delay": 1}
        value = {"at": int(time.time()), "value": {"no-such-user": entry}}
        (self.work / "state/last-screenlock.json").write_text(json.dumps(value))
        self.assertIsNone(self.collector.main())

    def test_macos(self):
        self.pretend("macos")
        self.logged_in("macos_users", {"root": 501})
        self.stub_body("launchctl", 'shift 6; exec "$@"')
        for said, enabled, delay in (
            ("screenLock delay is 300 seconds", True, 300),
            ("screenLock delay is immediate", True, 0),
            ("screenLock is off", False, None),
        ):
            self.stub("sysadminctl", "", 0, "2026-11-21 sysadminctl[1:2] %s\n" % said)
            self.assertEqual(self.collector.main(), {"users": [{"user": "root", "enabled": enabled, "delay": delay}]})


class Dmidecode(Case):
    def test_parse(self):
        collector = script("scripts/collect/dmidecode")
        self.stub(
            "dmidecode",
            """BIOS Information
\tVendor: Example
\tCharacteristics:
\t\tPCI is supported
\t\tUEFI is supported

Memory Device
\tSize: 16 GB

Memory Device
\tSize: No Module Installed
""",
        )
        bios = {"Vendor": "Example", "Characteristics": ["PCI is supported", "UEFI is supported"]}
        memory = [{"Size": "16 GB"}, {"Size": "No Module Installed"}]
        self.assertEqual(collector.main(), {"BIOS Information": [bios], "Memory Device": memory})
        self.stub("dmidecode", "# No SMBIOS nor DMI entry point found, sorry.\n")
        self.assertEqual(collector.main(), "unknown")
        self.stub("dmidecode", "", 1)
        self.assertEqual(collector.main(), "unknown")


class Jobs(Case):
    def test_clock_check(self):
        check = script("scripts/hourly/clock_check")
        self.pretend("linux")
        for said, expected in (("yes\n", "yes"), ("no\n", "no"), ("", "unknown")):
            self.stub("timedatectl", said)
            self.assertEqual(check.synchronised(), expected)
        self.pretend("macos")
        for said, expected in (("Network Time: On\n", "yes"), ("Network Time: Off\n", "no"), ("You need root.", "unknown")):
            self.stub("systemsetup", said)
            self.assertEqual(check.synchronised(), expected)

    def test_log_report(self):
        job = script("scripts/weekly/log_report")
        self.pretend("linux")
        lines = [{"SYSLOG_IDENTIFIER": "kernel"}, {"SYSLOG_IDENTIFIER": "kernel"}, {"_COMM": "app"}, {}]
        self.stub("journalctl", "\n".join(map(json.dumps, lines)) + "\nnot json\n")
        report = job.main()
        self.assertEqual(report[0], "4 errors in the journal of the last 7 days")
        self.assertEqual(report[1].split(), ["2", "kernel"])
        log = self.work / "syslog"
        log.write_bytes(
            b"Nov 21 09:12:51 host cron[12]: all good\n"
            b"Nov 21 09:12:51 host cron[12]: Error: \xff\n"
            b"2026-11-21T09:12:51.1+00:00 host sshd: failed\nrubbish error\n"
        )
        self.stub("journalctl", "", 1)
        with mock.patch.object(job, "_FILES", (str(self.work / "none"), str(log))):
            report = job.main()
        self.assertEqual(report, ["2 errors in %s" % log, "       1  cron", "       1  sshd"])
        with mock.patch.object(job, "_FILES", ()):
            self.assertEqual(job.main(), ["no system log that this user can read"])
