"""Services: units of systemd, daemons of launchd (by label). What changes something needs root.

What cannot be done raises RuntimeError; under LDI_NOOP=1 it is only said.
"""

import os
import re

import shell_tools
import sys_tools
from sys_tools import UNKNOWN, act

_UNITS = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice")


def service_status(name):
    """Returns "running", "stopped", "missing" or "unknown"."""
    _check(name)
    if _macos():
        answer = shell_tools.run(["launchctl", "print", "system/" + name], sanitize=False, timeout=30)
        if answer["success"]:
            return "running" if "state = running" in answer["stdout"] else "stopped"
        return "stopped" if os.path.exists(_file(name)) else "missing"
    command = ["systemctl", "show", "--property=LoadState,ActiveState", "--", name]
    lines = shell_tools.run(command, sanitize=False, timeout=30)["stdout"].splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    if facts.get("LoadState") == "not-found":
        return "missing"
    if "ActiveState" not in facts:
        return UNKNOWN
    return "running" if facts["ActiveState"].startswith(("active", "reloading")) else "stopped"


def service_start(name):
    """Starts a service; one that runs is left alone."""
    _check(name)
    if not _macos():
        act(["systemctl", "start", "--", name])
    elif _loaded(name):
        act(["launchctl", "kickstart", "system/" + name])
    else:
        act(["launchctl", "bootstrap", "system", _file(name)])


def service_stop(name):
    """Stops a service; one that does not run is left alone."""
    _check(name)
    if not _macos():
        act(["systemctl", "stop", "--", name])
    elif _loaded(name):
        act(["launchctl", "bootout", "system/" + name])


def service_restart(name):
    """Stops a service if it runs, and starts it."""
    _check(name)
    if not _macos():
        act(["systemctl", "restart", "--", name])
    elif _loaded(name):
        act(["launchctl", "kickstart", "-k", "system/" + name])
    else:
        service_start(name)


def service_enable(name):
    """Makes a service start with the machine. It is not started now."""
    _check(name)
    act(["launchctl", "enable", "system/" + name] if _macos() else ["systemctl", "enable", "--", name])


def service_disable(name):
    """Keeps a service from starting with the machine. It is not stopped now."""
    _check(name)
    act(["launchctl", "disable", "system/" + name] if _macos() else ["systemctl", "disable", "--", name])


def service_install(path):
    """Installs a unit file of systemd, or a property list of launchd; returns whether it was another.

    Under its own name in /etc/systemd/system or /Library/LaunchDaemons (LDI_UNIT_DIR), mode 0644,
    and the service manager reads it again. It is not started: on macOS a loaded daemon that changed
    is unloaded, so service_start takes the new one.
    """
    import filecmp

    import fs_tools

    name = os.path.basename(path)
    if not name.endswith((".plist",) if _macos() else _UNITS) or not os.path.isfile(path):
        raise ValueError('"%s" is not a file that this machine\'s service manager takes' % path)
    _check(name)
    target = os.path.join(_folder(), name)
    same = os.path.isfile(target) and filecmp.cmp(path, target, shallow=False)
    changed = fs_tools.ensure_file(target, path)
    if not same and _macos():
        service_stop(name[: -len(".plist")])
    elif not same:
        act(["systemctl", "daemon-reload"])
    return changed


def _macos():
    return sys_tools.get_platform() == "macos"


def _folder():
    return os.environ.get("LDI_UNIT_DIR") or ("/Library/LaunchDaemons" if _macos() else "/etc/systemd/system")


def _file(label):
    return os.path.join(_folder(), label + ".plist")


def _loaded(label):
    return shell_tools.run(["launchctl", "print", "system/" + label], timeout=30)["success"]


def _check(name):
    if not re.fullmatch(r"[A-Za-z0-9@._:\\][A-Za-z0-9@._:\\-]*", name):
        raise ValueError('"%s" is not the name of a service' % name)
