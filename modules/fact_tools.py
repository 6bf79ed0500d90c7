"""What this machine is: the facts of the bash function ldi_fact, with the same names and values."""

import os
import re

import shell_tools
import sys_tools
from sys_tools import UNKNOWN


def ldi_fact(name):
    """Returns a fact about this machine as text; "unknown" if it cannot be determined.

    os (linux, macos), distname, version, arch (x86_64, aarch64, …), hostname, serial, model,
    machine_id, memory_megabytes (in all), cpu_count, uptime_seconds, console_user (who is at the
    console; "none" if nobody is). An environment variable LDI_FACT_NAME, in upper case, is taken
    instead: for tests. Another name: ValueError.
    """
    if name not in _FACTS:
        raise ValueError('"%s" is not a fact; there are %s' % (name, ", ".join(sorted(_FACTS))))
    return os.environ.get("LDI_FACT_" + name.upper()) or str(_FACTS[name]() or UNKNOWN)


def _arch():
    # The words of a job's arch = […].
    machine = os.uname().machine
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)


def _machine_id():
    if sys_tools.get_platform() == "macos":
        said = shell_tools.run(["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"], sanitize=False, timeout=30)["stdout"]
        found = re.search(r'"IOPlatformUUID" = "([^"]+)"', said)
        return found.group(1) if found else UNKNOWN
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(path) as file:
                text = file.readline(4096).strip()
        except OSError:
            continue
        if text:
            return text
    return UNKNOWN


def _memory():
    if sys_tools.get_platform() == "macos":
        size = shell_tools.run(["sysctl", "-n", "hw.memsize"], timeout=10)["stdout"]
        return int(size) // 1024**2 if size.isdigit() else UNKNOWN
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2


def _uptime():
    if sys_tools.get_platform() == "macos":
        boot = re.search(r"\bsec = (\d+)", shell_tools.run(["sysctl", "-n", "kern.boottime"], timeout=10)["stdout"])
        return shell_tools.get_unix_time() - int(boot.group(1)) if boot else UNKNOWN
    try:
        with open("/proc/uptime") as file:
            return int(float(file.read(64).split()[0]))
    except (OSError, ValueError, IndexError):
        return UNKNOWN


def _console_user():
    if sys_tools.get_platform() == "macos":
        user = shell_tools.run(["stat", "-f", "%Su", "/dev/console"], timeout=10)["stdout"]
        # Before anybody has logged in the console is root's; the log-in window has an account too.
        return "none" if user in ("root", "loginwindow", "_mbsetupuser") else user
    seat = shell_tools.run(["loginctl", "show-seat", "seat0", "--property=ActiveSession", "--value"], timeout=10)
    if not seat["success"]:
        return UNKNOWN
    if not seat["stdout"]:
        return "none"
    command = ["loginctl", "show-session", seat["stdout"], "--property=Name", "--property=Class"]
    lines = shell_tools.run(command, sanitize=False, timeout=10)["stdout"].splitlines()
    session = dict(line.split("=", 1) for line in lines if "=" in line)
    if "Class" not in session:
        return UNKNOWN
    # The screen where people log in has a session of its own, of class greeter.
    return session.get("Name") if session["Class"] == "user" else "none"


_FACTS = {
    "os": sys_tools.get_platform,
    "distname": sys_tools.get_os_name,
    "version": sys_tools.get_os_version,
    "arch": _arch,
    "hostname": lambda: os.uname().nodename,
    "serial": sys_tools.get_serial,
    "model": sys_tools.get_model,
    "machine_id": _machine_id,
    "memory_megabytes": _memory,
    "cpu_count": lambda: os.sysconf("SC_NPROCESSORS_ONLN"),
    "uptime_seconds": _uptime,
    "console_user": _console_user,
}
