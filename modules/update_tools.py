"""Updates of the operating system that wait to be installed. Nothing is downloaded."""

import glob
import os
import re

import shell_tools
import sys_tools
from sys_tools import UNKNOWN

# Package lists older than this (seconds) do not say what is pending.
_FRESH = 2 * 86400

_MAC_PREFERENCES = "/Library/Preferences/com.apple.SoftwareUpdate.plist"


def pending():
    """Returns {current, packages, security}.

    current:  whether the lists of packages were fetched in the last two days, or "unknown"
    packages: sorted names that an update would change, or "unknown"
    security: those of them that fix security holes, or "unknown"
    """
    if sys_tools.get_platform() == "macos":
        return _macos()
    for command, ask in (("apt-get", _apt), ("dnf", _dnf), ("pacman", _pacman)):
        if shell_tools.run([command, "--version"], timeout=30)["status"] != 127:
            return ask()
    return {"current": UNKNOWN, "packages": UNKNOWN, "security": UNKNOWN}


def release_available():
    """Returns whether a newer release of the system is out: True, False or "unknown".

    Ubuntu asks its servers; Debian is known by distro-info's table, where that is installed; Fedora
    once its support has ended; Arch has no releases.
    """
    version = sys_tools.get_os_version()
    if version == "rolling":
        return False
    if not os.path.exists("/usr/bin/do-release-upgrade"):
        return _newer_debian(version) if sys_tools.get_os_name().startswith("Debian") else _support_ended()
    answer = shell_tools.run(["/usr/bin/do-release-upgrade", "-c"], timeout=60)
    if answer["success"]:
        return True
    return False if answer["status"] == 1 and not answer["stderr"] else UNKNOWN


def _newer_debian(version):
    # The table holds dates, so it knows today's release without asking anybody.
    stable = shell_tools.run(["debian-distro-info", "--stable", "--release"], timeout=30)["stdout"].split()
    if not (stable and stable[0].isdigit() and version.isdigit()):
        return UNKNOWN
    return int(stable[0]) > int(version)


def _support_ended():
    # A release is supported until newer ones are out; before that nothing here tells.
    import time

    import conf_tools

    end = conf_tools.read_shell("/etc/os-release").get("SUPPORT_END", "")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return True if re.fullmatch(r"\d{4}-\d\d-\d\d", end) and end < today else UNKNOWN


def _apt():
    # Inst NAME [OLD] (NEW ORIGIN, ORIGIN [ARCH]); the lock is not needed to simulate.
    command = ["apt-get", "-s", "-q", "-o", "Debug::NoLocking=1", "--with-new-pkgs", "upgrade"]
    answer = shell_tools.run(command, sanitize=False, timeout=120)
    # The lists themselves carry the servers' times; the folders change when lists are fetched.
    current = _fresh("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists", "/var/lib/apt/lists/partial")
    if not answer["success"]:
        return {"current": current, "packages": UNKNOWN, "security": UNKNOWN}
    changes = re.findall(r"^Inst (\S+)(?: \[[^]]*\])? \((.*)\)", answer["stdout"], re.MULTILINE)
    secure = {name for name, origin in changes if re.search(r"-security\b", origin, re.IGNORECASE)}
    return {"current": current, "packages": sorted({name for name, _ in changes}), "security": sorted(secure)}


def _dnf():
    current = _fresh("/var/cache/dnf/*.solv", "/var/cache/dnf/*", "/var/cache/libdnf5/*/repodata")
    answer = shell_tools.run(["dnf", "-q", "-C", "check-update"], sanitize=False, timeout=120)
    # 0: nothing, 100: something; then NAME.ARCH VERSION REPOSITORY, and what it makes obsolete.
    if answer["status"] not in (0, 100):
        return {"current": current, "packages": UNKNOWN, "security": UNKNOWN}
    text = re.split(r"^Obsoleting", answer["stdout"], flags=re.MULTILINE)[0]
    packages = sorted(set(re.findall(r"^(\S+)\.\w+ +\S+ +\S+ *$", text, re.MULTILINE)))
    if not packages:
        return {"current": current, "packages": [], "security": []}
    answer = shell_tools.run(["dnf", "-q", "-C", "--security", "check-update"], sanitize=False, timeout=120)
    if answer["status"] not in (0, 100):
        return {"current": current, "packages": packages, "security": UNKNOWN}
    text = re.split(r"^Obsoleting", answer["stdout"], flags=re.MULTILINE)[0]
    security = sorted(set(re.findall(r"^(\S+)\.\w+ +\S+ +\S+ *$", text, re.MULTILINE)))
    return {"current": current, "packages": packages, "security": security}


def _pacman():
    # NAME OLD -> NEW; 1 without output: nothing. Security is not told apart.
    current = _fresh("/var/lib/pacman/sync/*.db")
    answer = shell_tools.run(["pacman", "-Qu"], sanitize=False, timeout=60)
    if not answer["success"] and (answer["status"] != 1 or answer["stderr"]):
        return {"current": current, "packages": UNKNOWN, "security": UNKNOWN}
    lines = [line for line in answer["stdout"].splitlines() if line and not line.endswith("[ignored]")]
    packages = sorted(line.split()[0] for line in lines)
    return {"current": current, "packages": packages, "security": UNKNOWN if packages else []}


def _macos():
    # What the system itself found in the background: asking anew takes minutes.
    import datetime
    import plistlib

    try:
        with open(_MAC_PREFERENCES, "rb") as file:
            facts = plistlib.load(file)
    except Exception:  # expat errors and plistlib's own
        return {"current": UNKNOWN, "packages": UNKNOWN, "security": UNKNOWN}
    current, seen = UNKNOWN, facts.get("LastSuccessfulDate")
    if isinstance(seen, datetime.datetime):
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        current = (now - seen).total_seconds() < _FRESH
    updates = facts.get("RecommendedUpdates", [])
    packages = sorted({update.get("Display Name") or update.get("Identifier", UNKNOWN) for update in updates})
    return {"current": current, "packages": packages, "security": UNKNOWN if packages else []}


def _fresh(*patterns):
    """Whether the newest of these files is fresh; "unknown" if there is none."""
    times = []
    for pattern in patterns:
        for path in glob.glob(pattern):
            try:
                times.append(os.path.getmtime(path))
            except OSError:
                continue
    return shell_tools.get_unix_time() - max(times) < _FRESH if times else UNKNOWN
