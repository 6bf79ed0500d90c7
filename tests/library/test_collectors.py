"""geolocation, ip_addresses, eset, eraagent, prey, and what screenlock and os_updates learnt later."""

import json
import os
import time
from unittest import mock

import ldi_test

import collect_tools
import net_tools
import sys_tools
import update_tools

VIENNA = {"location": {"lat": 48.208174, "lng": 16.373819}, "accuracy": 30.4}
NEXT_DOOR = {"location": {"lat": 48.20835, "lng": 16.37382}, "accuracy": 30}
GRAZ = {"location": {"lat": 47.070714, "lng": 15.439504}, "accuracy": 1200}


class Asked(ldi_test.Case):
    """What services would answer, by address; self.asked is what was sent."""

    def setUp(self):
        self.answers, self.asked = {}, []

        def ask(url, document=None, limit=65536):
            self.asked.append((url, document))
            answer = self.answers.get(url)
            return answer if answer is None or isinstance(answer, bytes) else json.dumps(answer).encode()

        patch = mock.patch.object(net_tools, "ask", ask)
        patch.start()
        self.addCleanup(patch.stop)


class Geolocation(Asked):
    def setUp(self):
        super().setUp()
        self.main = self.script("scripts/collect/geolocation").main
        self.clock(1_800_000_000)

    def at(self, hours, answer):
        self.clock(1_800_000_000 + hours * 3600)
        self.answers["https://x"] = answer
        return self.main()

    def test_nobody_is_asked_as_shipped(self):
        self.assertEqual((self.main(), self.asked), ("unknown", []))

    def test_only_the_address_is_told(self):
        self.conf("location", "service = https://x\n")
        place = {"location": {"lat": 48.20817, "lng": 16.37382}, "accuracy": 30}
        self.assertEqual(self.at(0, VIENNA), place)
        self.assertEqual(self.asked, [("https://x", {"considerIp": True})])

    def test_it_does_not_flap(self):
        self.conf("location", "service = https://x\nhours = 2\n")
        first = self.at(0, VIENNA)
        self.assertEqual(self.at(1, GRAZ), first, "not asked again yet")
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(self.at(3, NEXT_DOOR), first, "inside of the accuracy")
        self.assertEqual(self.at(6, None), first, "no answer just now")
        self.assertEqual(self.at(9, GRAZ)["accuracy"], 1200)
        self.assertEqual(self.at(24 * 60, None), "unknown", "too long ago")

    def test_what_makes_no_sense(self):
        self.conf("location", "service = https://x\nhours = 0\n")
        for answer in (b"", b"junk", [], {"location": 1}, dict(VIENNA, accuracy=None), dict(VIENNA, accuracy=-1)):
            self.assertEqual(self.at(0, answer), "unknown", answer)
        for lat in ("91", "nan", "x"):
            self.assertEqual(self.at(0, {"location": {"lat": lat, "lng": 1}, "accuracy": 1}), "unknown")

    def test_access_points(self):
        self.conf("location", "service = https://x\nwifi = on\n")
        points = [
            r"02\:00\:00\:00\:00\:0B:70:our net",
            r"02\:00\:00\:00\:00\:0A:100:a\:b",
            r"02\:00\:00\:00\:00\:0C:50:not_nomap",
        ]
        self.stub("nmcli", "\n".join(points) + "\n")
        self.at(0, VIENNA)
        sent = [
            {"macAddress": "02:00:00:00:00:0a", "signalStrength": -50},
            {"macAddress": "02:00:00:00:00:0b", "signalStrength": -65},
        ]
        self.assertEqual(self.asked, [("https://x", {"considerIp": True, "wifiAccessPoints": sent})])

    def test_the_world_is_round(self):
        metres = self.script("scripts/collect/geolocation").metres
        west, east = ({"location": {"lat": 0.0, "lng": lng}} for lng in (-179.9999, 179.9999))
        self.assertLess(metres(west, east), 30)
        self.assertAlmostEqual(metres(VIENNA, GRAZ) / 1000, 145, delta=2)


class IpAddresses(Asked):
    def setUp(self):
        super().setUp()
        self.public = self.script("scripts/collect/ip_addresses").public

    def test_nobody_is_asked_as_shipped(self):
        self.assertEqual((self.public(4), self.public(6), self.asked), ("unknown", "unknown", []))

    def test_answers(self):
        self.conf("network", "public_ipv4 = https://4\npublic_ipv6 = https://6\n")
        self.answers = {"https://4": b"192.0.2.7\n", "https://6": b"2001:DB8::7"}
        self.assertEqual((self.public(4), self.public(6)), ("192.0.2.7", "2001:db8::7"))
        self.answers = {}
        self.assertEqual(self.public(4), "192.0.2.7", "no answer just now")
        self.clock(int(time.time()) + 2 * 86400)
        self.assertEqual(self.public(4), "unknown", "the day after")

    def test_what_is_no_address(self):
        self.conf("network", "public_ipv4 = https://4\n")
        for answer in (b"<html>", b"2001:db8::7", b"192.0.2.7 x", b"\xff", b""):
            self.answers = {"https://4": answer}
            self.assertEqual(self.public(4), "unknown", answer)


class Agents(ldi_test.Case):
    def test_off_as_shipped(self):
        for name in ("eset", "eraagent", "prey"):
            answer = self.ldi_exec("scripts/collect/" + name)
            self.assertEqual((answer.stdout, answer.stderr), ("null\n", ""), name)

    def test_turned_on(self):
        self.conf("agents", "eset = on\nprey = off\n")
        installed, log = str(self.work / "agent"), self.work / "status.html"
        ask = lambda: collect_tools.agent("eset", (installed,), (installed + "/daemon",), (str(log)[:-1] + "*",), 2)  # noqa: E731
        self.assertEqual(ask(), {"installed": False, "running": False, "recent": False})
        os.mkdir(installed)
        with mock.patch.object(sys_tools, "is_process_running", lambda name: name == installed + "/daemon"):
            self.assertEqual(ask(), {"installed": True, "running": True, "recent": "unknown"})
        log.touch()
        self.assertEqual(ask(), {"installed": True, "running": False, "recent": True})
        self.clock(int(time.time()) + 3 * 86400)
        self.assertEqual(ask()["recent"], False)
        self.assertIsNone(collect_tools.agent("prey", (installed,), (), ()))

    def test_each_has_its_switch(self):
        self.conf("agents", "eset = on\neraagent = on\nprey = on\n")
        for name in ("eset", "eraagent", "prey"):
            answer = self.ldi_exec("scripts/collect/" + name)
            self.assertEqual(sorted(json.loads(answer.stdout)), ["installed", "recent", "running"], name)


class DoNotFlap(ldi_test.Case):
    def test_a_firewall_that_another_program_has_locked(self):
        self.pretend("linux")
        main = self.script("scripts/collect/firewall").main
        self.stub("ip6tables", status=4)
        self.stub("nft", status=1)
        self.stub("iptables", "-P INPUT DROP\n")
        known = main()
        self.assertEqual((known["status"], list(known["layers"])), ("on", ["iptables"]))
        self.stub("iptables", status=4, stderr="Another app is currently holding the xtables lock")
        self.assertEqual(main(), known)
        self.stub("iptables", "-P INPUT ACCEPT\n")
        self.assertEqual(main()["status"], "off", "what is known counts at once")
        self.stub("iptables", status=127)
        self.assertEqual(main(), {"layers": {}, "status": "unknown"}, "it was removed")

    def test_whole_answers(self):
        for name, command, said in (
            ("network_devices", "ip", "[]"),
            ("hd_encryption", "lsblk", '{"blockdevices": []}'),
        ):
            self.pretend("linux")
            self.stub(command, said)
            known = self.ldi_exec("scripts/collect/" + name).stdout
            self.stub(command, status=1)
            self.assertEqual(self.ldi_exec("scripts/collect/" + name).stdout, known, name)
            self.clock(int(time.time()) + 2 * 86400)
            self.assertEqual(self.ldi_exec("scripts/collect/" + name).stdout, '"unknown"\n', name)


class Desktops(ldi_test.Case):
    def setUp(self):
        self.pretend("linux")
        self.collector = self.script("scripts/collect/screenlock")
        self.home = self.work / "home"
        (self.home / ".config").mkdir(parents=True)
        person = mock.Mock(pw_dir=str(self.home))
        patch = mock.patch.object(self.collector.pwd, "getpwnam", lambda name: person)
        patch.start()
        self.addCleanup(patch.stop)

    def kde(self, text):
        (self.home / ".config/kscreenlockerrc").write_text(text)
        return self.collector.kde("alice", os.getuid())

    def test_kde(self):
        locked = {"user": "alice", "enabled": True, "delay": 305}
        unlocked = {"user": "alice", "enabled": False, "delay": None}
        if not os.path.exists("/etc/xdg/kscreenlockerrc"):
            self.assertEqual(self.collector.kde("alice", os.getuid()), locked, "KDE's own defaults")
        self.assertEqual(self.kde("[Daemon]\nTimeout=15\nLockGrace=0\n\n[Greeter]\nTheme=x\n")["delay"], 900)
        self.assertEqual(self.kde("[Daemon]\nAutolock=false\n"), unlocked)
        self.assertEqual(self.kde("[Daemon]\nTimeout=0\n"), unlocked)
        for text in ("junk", "[Daemon]\nTimeout=x\n"):
            self.assertIsNone(self.kde(text))

    def test_a_file_that_is_none(self):
        path = self.home / ".config/kscreenlockerrc"
        for make in (os.mkfifo, lambda path: os.symlink("/etc/passwd", path)):
            make(path)
            self.assertIsNone(self.collector.kde("alice", os.getuid()))
            path.unlink()

    def test_cinnamon(self):
        keys = {
            "screensaver lock-enabled": "true",
            "session idle-delay": "uint32 600",
            "screensaver lock-delay": "uint32 5",
        }
        lines = ['"get org.cinnamon.desktop.%s") echo "%s" ;;' % pair for pair in keys.items()]
        self.stub_body("gsettings", 'case "$*" in\n%s\nesac' % "\n".join(lines))
        entry = self.collector.cinnamon("alice", os.geteuid())
        self.assertEqual(entry, {"user": "alice", "enabled": True, "delay": 605})

    def test_all_desktops_are_looked_for(self):
        desktops = {"cinnamon": {"bob": 1001}, "plasmashell": {"carol": 1002}}
        with mock.patch.object(self.collector, "desktop_users", lambda program: desktops.get(program, {})):
            found = [(user, ask.__name__) for user, _, ask in self.collector.linux_users()]
        self.assertEqual(found, [("bob", "cinnamon"), ("carol", "kde")])


class NewerRelease(ldi_test.Case):
    def test_fedora(self):
        self.pretend("linux")
        release = {"NAME": "Fedora Linux", "VERSION_ID": "40", "SUPPORT_END": "2025-05-13"}
        with mock.patch("conf_tools.read_shell", lambda path: release):
            with mock.patch.object(update_tools.os.path, "exists", lambda path: False):
                for today, expected in (("2025-05-13", "unknown"), ("2025-05-14", True)):
                    self.clock(today)
                    self.assertEqual(update_tools.release_available(), expected)
                del release["SUPPORT_END"]
                self.assertEqual(update_tools.release_available(), "unknown")

    def test_debian(self):
        self.pretend("linux")
        with mock.patch.object(sys_tools, "get_os_name", lambda: "Debian GNU/Linux"):
            with mock.patch.object(sys_tools, "get_os_version", lambda: "12"):
                with mock.patch.object(update_tools.os.path, "exists", lambda path: False):
                    for said, expected in (("12\n", False), ("13\n", True), ("", "unknown")):
                        self.stub("debian-distro-info", said)
                        self.assertEqual(update_tools.release_available(), expected)
                    self.stub("debian-distro-info", status=127)
                    self.assertEqual(update_tools.release_available(), "unknown")
