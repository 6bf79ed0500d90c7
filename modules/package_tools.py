"""Packages of the system: apt (Debian, Ubuntu), dnf (Fedora), pacman (Arch). On macOS a package is
known by its receipt (pkgutil), and installed from a .pkg file.
"""

import re
import shutil

import shell_tools
import sys_tools
from sys_tools import NotSupported, act


_APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
_INSTALL = {
    "apt": _APT + ["install", "--"],
    "dnf": ["dnf", "-q", "-y", "install"],
    "pacman": ["pacman", "-S", "--noconfirm", "--needed", "--"],
}


def package_version(name):
    """Returns the version of an installed package; None if it is not installed."""
    _check(name)
    manager = _manager()
    if manager == "apt":
        lines = _ask(["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}\n", "--", name])
        found = [line.split()[1] for line in lines if line.startswith("installed ")]
        return found[0] if found else None
    if manager == "dnf":
        # A kernel, for one, is installed in several versions: the newest is the last.
        found = _ask(["rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}\\n", "--", name])
        return found[-1] if found else None
    if manager == "pacman":
        found = _ask(["pacman", "-Q", "--", name])
        return found[0].split()[1] if found else None
    for line in _ask(["pkgutil", "--pkg-info", name]):
        if line.startswith("version: "):
            return line.split()[1]
    return None


def package_installed(name):
    """Returns whether a package is installed."""
    return package_version(name) is not None


def package_install(*names):
    """Installs the packages that are not installed yet; RuntimeError if it cannot. Needs root.

    macOS: a name is a .pkg file, which is installed each time. Under LDI_NOOP=1 it is only said.
    """
    manager = _manager()
    if manager == "macos":
        for name in names:
            sys_tools.install_pkg(name)
        return
    missing = [name for name in names if not package_installed(name)]
    if missing:
        act(_INSTALL[manager] + missing)


def _manager():
    if sys_tools.get_platform() == "macos":
        return "macos"
    for program, manager in (("dpkg-query", "apt"), ("pacman", "pacman"), ("rpm", "dnf")):
        if shutil.which(program):
            return manager
    raise NotSupported("no package manager that is known here (apt, dnf, pacman, macOS)")


def _ask(command):
    answer = shell_tools.run(command, sanitize=False, timeout=60)
    return answer["stdout"].splitlines() if answer["success"] else []


def _check(name):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._:@~-]*", name):
        raise ValueError('"%s" is not the name of a package' % name)
