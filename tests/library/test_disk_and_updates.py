import datetime
import json
import os
import plistlib
import time
import unittest
from unittest import mock

from ldi_test import Case, script

import encrypt_tools
import update_tools


def device(name, kind, mountpoint=None, fstype=None, children=()):
    row = {"name": name, "type": kind, "mountpoint": mountpoint, "fstype": fstype}
    return dict(row, children=list(children)) if children else row


class LinuxDisks(Case):
    def setUp(self):
        super().setUp()
        self.pretend("linux")

    def lsblk(self, *devices):
        self.stub("lsblk", json.dumps({"blockdevices": list(devices)}))

    def test_luks_with_lvm(self):
        root = device("/dev/mapper/vg-root", "lvm", "/", "ext4")
        swap = device("/dev/mapper/vg-swap", "lvm", "[SWAP]", "swap")
        crypt = device("/dev/mapper/c", "crypt", None, "LVM2_member", [swap, root])
        self.lsblk(
            device("/dev/loop0", "loop", "/snap/core/1", "squashfs"),
            device("/dev/zram0", "disk", "[SWAP]"),
            device("/dev/sr0", "rom", "/media/cd", "iso9660"),
            device(
                "/dev/sda",
                "disk",
                children=[
                    device("/dev/sda2", "part", None, "crypto_LUKS", [crypt]),
                    device("/dev/sda1", "part", "/boot", "ext2"),
                ],
            ),
        )
        self.assertEqual(
            encrypt_tools.volumes(),
            [
                {"mountpoint": "/", "device": "/dev/mapper/vg-root", "type": "ext4", "encrypted": True},
                {"mountpoint": "/boot", "device": "/dev/sda1", "type": "ext2", "encrypted": False},
            ],
        )
        self.assertIs(encrypt_tools.status(), True)

    def test_plain(self):
        self.lsblk(device("/dev/vda", "disk", "/", "xfs"))
        self.assertIs(encrypt_tools.status(), False)

    def test_raid_half_encrypted(self):
        raid = device("/dev/md0", "raid1", "/", "ext4")
        self.lsblk(
            device("/dev/mapper/a", "crypt", children=[raid]),
            device("/dev/sdb", "disk", children=[raid]),
        )
        self.assertEqual([volume["encrypted"] for volume in encrypt_tools.volumes()], [False])

    def test_unknown(self):
        for stdout, status in (("", 1), ("not json", 0), ("{}", 0)):
            self.stub("lsblk", stdout, status)
            self.assertEqual((encrypt_tools.volumes(), encrypt_tools.status()), ("unknown", "unknown"))
        self.no_commands()
        os.remove(str(self.work / "bin/lsblk"))
        self.assertEqual(encrypt_tools.volumes(), "unknown")

    def test_none(self):
        self.lsblk()
        self.assertEqual((encrypt_tools.volumes(), encrypt_tools.status()), ([], "unknown"))


class MacDisks(Case):
    MOUNTS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s6 on /System/Volumes/VM (apfs, local, noexec, journaled, noatime, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect, root data)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
/dev/disk4s1 on /Volumes/My Disk (a) (msdos, local, nodev, nosuid, noowners)
"""

    def test_volumes(self):
        self.pretend("macos")
        self.stub("mount", self.MOUNTS)
        apfs = plistlib.dumps({"FileVault": True, "FilesystemType": "apfs"}).decode()
        fat = plistlib.dumps({"Encryption": False, "FilesystemType": "msdos"}).decode()
        self.stub_body("diskutil", "case $3 in *disk3*) cat <<'END'\n%s\nEND\n;; *) cat <<'END'\n%s\nEND\nesac" % (apfs, fat))
        self.assertEqual(
            [(v["mountpoint"], v["device"], v["type"], v["encrypted"]) for v in encrypt_tools.volumes()],
            [
                ("/", "/dev/disk3s1s1", "apfs", True),
                ("/System/Volumes/Data", "/dev/disk3s5", "apfs", True),
                ("/Volumes/My Disk (a)", "/dev/disk4s1", "msdos", False),
            ],
        )
        self.stub("diskutil", status=1)
        self.assertEqual({v["encrypted"] for v in encrypt_tools.volumes()}, {"unknown"})

    def test_status(self):
        self.pretend("macos")
        for status, expected in ((0, True), (1, False), (2, False), (99, "unknown")):
            self.stub("fdesetup", status=status)
            self.assertEqual(encrypt_tools.status(), expected)


APT = """NOTE: This is only a simulation!
Inst libc6 [2.36-9] (2.36-10 Debian-Security:12/stable-security [amd64]) []
Inst zlib1g [1.2] (1.3 Debian:12.5/stable [amd64])
Inst new-dependency (1.0 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Conf libc6 (2.36-10 Debian-Security:12/stable-security [amd64])
"""

DNF = """
kernel-core.x86_64                6.8.9-300.fc40            updates
vim-minimal.x86_64                2:9.1.393-1.fc40          updates
Obsoleting Packages
old-thing.noarch                  1-1                       updates
"""


class Updates(Case):
    def setUp(self):
        super().setUp()
        self.pretend("linux")
        fresh = mock.patch.object(update_tools, "_fresh", lambda *_: True)
        fresh.start()
        self.addCleanup(fresh.stop)

    def only(self, name, stdout, status=0):
        """This package manager is the only one."""
        self.stub(name, stdout, status)
        self.no_commands()

    def test_apt(self):
        self.only("apt-get", APT)
        self.assertEqual(
            update_tools.pending(),
            {"current": True, "packages": ["libc6", "new-dependency", "zlib1g"], "security": ["libc6", "new-dependency"]},
        )
        self.only("apt-get", "", 100)
        self.assertEqual(update_tools.pending()["packages"], "unknown")

    def test_dnf(self):
        self.only("dnf", DNF, 100)
        self.assertEqual(update_tools.pending()["packages"], ["kernel-core", "vim-minimal"])
        self.assertEqual(self.calls()[-1], "dnf -q -C --security check-update")
        self.only("dnf", "", 0)
        self.assertEqual(update_tools.pending(), {"current": True, "packages": [], "security": []})
        self.only("dnf", "", 1)
        self.assertEqual(update_tools.pending()["packages"], "unknown")

    def test_pacman(self):
        self.only("pacman", "linux 6.8-1 -> 6.9-1\nheld 1-1 -> 2-1 [ignored]\nbash 5.1-1 -> 5.2-1\n")
        self.assertEqual(update_tools.pending(), {"current": True, "packages": ["bash", "linux"], "security": "unknown"})
        self.only("pacman", "", 1)
        self.assertEqual(update_tools.pending()["packages"], [])

    def test_none(self):
        self.no_commands()
        self.assertEqual(update_tools.pending(), dict.fromkeys(("current", "packages", "security"), "unknown"))

    def test_macos(self):
        self.pretend("macos")
        path = str(self.work / "su.plist")
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
        facts = {"LastSuccessfulDate": now, "RecommendedUpdates": [{"Display Name": "macOS 14.6", "Identifier": "x"}]}
        with mock.patch.object(update_tools, "_MAC_PREFERENCES", path):
            self.assertEqual(update_tools.pending()["packages"], "unknown")
            with open(path, "wb") as file:
                plistlib.dump(facts, file)
            self.assertEqual(update_tools.pending(), {"current": True, "packages": ["macOS 14.6"], "security": "unknown"})

    def test_release(self):
        with mock.patch("sys_tools.get_os_version", lambda: "rolling"):
            self.assertIs(update_tools.release_available(), False)
        with mock.patch("sys_tools.get_os_version", lambda: "22.04"), mock.patch("os.path.exists", lambda _: True):
            for status, stderr, expected in ((0, "", True), (1, "", False), (1, "no network", "unknown"), (124, "", "unknown")):
                answer = {"status": status, "stderr": stderr, "stdout": "", "success": status == 0}
                with mock.patch("shell_tools.run", lambda *_, answer=answer, **__: answer):
                    self.assertEqual(update_tools.release_available(), expected)

    def test_job_and_collector(self):
        facts = {"current": False, "packages": ["a", "b", "c"], "security": ["c"]}
        report = script("scripts/daily/pending_updates").report
        self.assertEqual(report(facts)[0], "pending updates: 3, of them for security: 1")
        self.assertEqual(report(facts)[2:], ["  c (security)", "  a", "  b"])
        self.assertEqual(report(dict(facts, packages="unknown")), ["pending updates: unknown"])
        many = dict(facts, packages=["p%03d" % n for n in range(100)], security="unknown", current=True)
        self.assertEqual((len(report(many)), report(many)[-1]), (42, "  and 60 more"))

        collector = script("scripts/collect/os_updates")
        with mock.patch.object(update_tools, "release_available", lambda: False):
            with mock.patch.object(update_tools, "pending", lambda: facts):
                known = {"current": False, "patches": True, "release": False, "security_patches": True}
                self.assertEqual(collector.main(), known)
        # The lock is held just now: the last answer stands.
        nothing = dict.fromkeys(("current", "packages", "security"), "unknown")
        with mock.patch.object(update_tools, "release_available", lambda: "unknown"):
            with mock.patch.object(update_tools, "pending", lambda: nothing):
                self.assertEqual(collector.main(), dict(known, current="unknown"))


class Fresh(Case):
    def test_fresh(self):
        old, new = str(self.work / "a.old"), str(self.work / "a.new")
        self.assertEqual(update_tools._fresh(str(self.work / "a.*")), "unknown")
        open(old, "w").close()
        os.utime(old, (time.time() - 5 * 86400,) * 2)
        self.assertIs(update_tools._fresh(str(self.work / "a.*")), False)
        open(new, "w").close()
        self.assertIs(update_tools._fresh("/missing", str(self.work / "a.*")), True)
