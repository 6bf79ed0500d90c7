"""Whether the disks are encrypted."""

import json
import os
import re

import shell_tools
import sys_tools

# Not disks that keep data: images, optical media, memory.
_SKIPPED = re.compile(r"loop|rom|zram|ram")


def status():
    """Returns whether the root file system is encrypted: True, False or "unknown".

    macOS: whether FileVault is active. Linux: whether dm-crypt (LUKS) lies below.
    """
    if sys_tools.get_platform() == "macos":
        # 0: active, 1: not, 2: being decrypted; 127: no such program
        answer = shell_tools.run(["fdesetup", "isactive"], timeout=30)
        return {0: True, 1: False, 2: False}.get(answer["status"], sys_tools.UNKNOWN)
    for volume in volumes() or []:
        if isinstance(volume, dict) and volume["mountpoint"] == "/":
            return volume["encrypted"]
    return sys_tools.UNKNOWN


def volumes():
    """Returns the mounted volumes of local disks, sorted by mount point.

    A list of {mountpoint, device, type (file system), encrypted}; "unknown" if it cannot be
    determined. Encryption by the disk's own firmware is not seen.
    """
    found = _macos_volumes() if sys_tools.get_platform() == "macos" else _linux_volumes()
    if found == sys_tools.UNKNOWN:
        return found
    return sorted(found, key=lambda volume: (volume["mountpoint"], volume["device"]))


def _linux_volumes():
    answer = shell_tools.run(
        ["lsblk", "--json", "--paths", "-o", "NAME,TYPE,MOUNTPOINT,FSTYPE"], sanitize=False, timeout=30
    )
    try:
        tree = json.loads(answer["stdout"])["blockdevices"] if answer["success"] else None
    except (ValueError, KeyError, TypeError):
        tree = None
    if tree is None:
        return sys_tools.UNKNOWN
    types = _mounted_types()
    found = {}

    def walk(device, encrypted):
        if _SKIPPED.match(os.path.basename(device.get("name") or "")) or _SKIPPED.match(device.get("type") or ""):
            return
        encrypted = encrypted or device.get("type") == "crypt"
        mountpoint = device.get("mountpoint")
        if mountpoint and mountpoint.startswith("/"):
            # A RAID is listed below each of its disks: encrypted only if it is below all.
            key = (mountpoint, device["name"])
            known = found.get(key, {"encrypted": True})["encrypted"]
            found[key] = {
                "mountpoint": mountpoint,
                "device": device["name"],
                "type": device.get("fstype") or types.get(mountpoint) or sys_tools.UNKNOWN,
                "encrypted": bool(encrypted and known),
            }
        for child in device.get("children") or []:
            walk(child, encrypted)

    for device in tree:
        walk(device, False)
    return list(found.values())


def _mounted_types():
    """{mount point: file system}: lsblk knows it only where udev runs."""
    types = {}
    try:
        with open("/proc/self/mounts", errors="replace") as mounts:
            for line in mounts:
                words = line.split()
                if len(words) > 2:
                    path = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), words[1])
                    types[path] = words[2]
    except OSError:
        pass
    return types


def _macos_volumes():
    import plistlib

    mounts = shell_tools.run(["mount"], sanitize=False, timeout=30)
    if not mounts["success"]:
        return sys_tools.UNKNOWN
    found = []
    for device, mountpoint in re.findall(r"^(/dev/disk\S+) on (/.*) \([^()]*\)$", mounts["stdout"], re.MULTILINE):
        # The system's helper volumes (VM, Preboot, Update) hold no data and are never encrypted.
        if not (mountpoint in ("/", "/System/Volumes/Data") or mountpoint.startswith("/Volumes/")):
            continue
        answer = shell_tools.run(["diskutil", "info", "-plist", device], sanitize=False, timeout=60)
        try:
            facts = plistlib.loads(answer["stdout"].encode())
        except Exception:  # expat errors and plistlib's own
            facts = {}
        encrypted = facts.get("FileVault", facts.get("Encryption", sys_tools.UNKNOWN))
        kind = facts.get("FilesystemType") or sys_tools.UNKNOWN
        found.append({"mountpoint": mountpoint, "device": device, "type": kind, "encrypted": encrypted})
    return found
