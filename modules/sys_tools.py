"""This machine: what it is, how full and busy it is, and what acts on it.

A fact that cannot be determined is the string "unknown". What one system does not have raises
NotSupported. Memory and disk sizes count in powers of 1024.
"""

import os
import re
import sys

import shell_tools

UNKNOWN = "unknown"

# Firmware that was never told its serial number says one of these.
_NO_SERIAL = {
    "", "0", "none", "n/a", "unknown", "not specified", "not applicable", "default string",
    "system serial number", "to be filled by o.e.m.", "chassis serial number", "invalid",
}  # fmt: skip

# enough_space keeps this many gigabytes free.
_RESERVE = 3


class NotSupported(RuntimeError):
    """The operation does not exist on this operating system."""


def get_platform():
    """Returns "linux", "macos" or the system's own name in lower case."""
    return {"darwin": "macos"}.get(sys.platform, sys.platform.rstrip("0123456789"))


def get_computer_name():
    """Returns the name that people gave the machine, else its host name."""
    if get_platform() == "macos":
        name = _output(["scutil", "--get", "ComputerName"])
    else:
        import conf_tools

        name = conf_tools.read_shell("/etc/machine-info").get("PRETTY_HOSTNAME")
    return name or os.uname().nodename


def get_os_name():
    """Returns the name of the distribution, or "macOS"."""
    if get_platform() == "macos":
        return "macOS"
    return _os_release().get("NAME") or UNKNOWN


def get_os_version():
    """Returns the version of the operating system, e.g. "14.5" or "12"; "rolling" for Arch."""
    if get_platform() == "macos":
        return _output(["sw_vers", "-productVersion"]) or UNKNOWN
    release = _os_release()
    return release.get("VERSION_ID") or release.get("BUILD_ID") or UNKNOWN


def get_model(short=False):
    """Returns the hardware model, e.g. "MacBook Pro" or "ThinkPad X1 Carbon".

    short: pro, mba, mbp, mm or im for the Macs of those names, else "mac"; "linux" on Linux.
    """
    if get_platform() == "macos":
        model = query_profiler("SPHardwareDataType", ["Hardware Overview", "Model Name"]) or UNKNOWN
        names = {"Mac Pro": "pro", "MacBook Air": "mba", "MacBook Pro": "mbp", "Mac mini": "mm", "iMac": "im"}
        return names.get(model, "mac") if short else model
    if short:
        return get_platform()
    return _first_line("/sys/class/dmi/id/product_name", "/proc/device-tree/model") or UNKNOWN


def get_serial():
    """Returns the serial number of the machine. On Linux mostly only root may read it."""
    if get_platform() == "macos":
        serial = query_profiler("SPHardwareDataType", ["Hardware Overview", "Serial Number (system)"])
    else:
        serial = _first_line("/sys/class/dmi/id/product_serial", "/proc/device-tree/serial-number")
    return UNKNOWN if (serial or "").lower() in _NO_SERIAL else serial


def get_shard(serial=None, salt=None, chunks=10):
    """Returns the shard of a machine, 0 to chunks - 1, for staged roll-outs.

    The MD5 of serial and salt, one after the other, as a number, modulo chunks. serial: of
    another machine; None: this one's, or its machine id if the serial number is unknown.
    """
    import hashlib

    if not serial:
        serial = get_serial()
        if serial == UNKNOWN:
            serial = _first_line("/etc/machine-id", "/var/lib/dbus/machine-id") or UNKNOWN
    text = str(serial)
    if salt:
        text += str(salt)
    # Not for security: roll-outs depend on these values.
    return int(hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % int(chunks)


def get_uptime():
    """Returns the minutes since the machine started, as an int."""
    if get_platform() == "macos":
        boot = re.search(r"\bsec = (\d+)", _output(["sysctl", "-n", "kern.boottime"]))
        return (shell_tools.get_unix_time() - int(boot.group(1))) // 60 if boot else UNKNOWN
    seconds = _first_line("/proc/uptime")
    return int(float(seconds.split()[0])) // 60 if seconds else UNKNOWN


def get_total_memory():
    """Returns the memory in gigabytes, to one decimal. On Linux without the kernel's own part."""
    if get_platform() == "macos":
        size = _output(["sysctl", "-n", "hw.memsize"])
        return round(int(size) / 1024**3, 1) if size.isdigit() else UNKNOWN
    total = _meminfo().get("MemTotal")
    return round(total / 1024**2, 1) if total else UNKNOWN


def get_used_memory():
    """Returns the memory in use in megabytes, as an int; caches do not count."""
    if get_platform() == "macos":
        text = shell_tools.run(["vm_stat"], sanitize=False, timeout=10)["stdout"]
        page = re.search(r"page size of (\d+)", text)
        pages = dict(re.findall(r"^(Pages [\w ]+):\s+(\d+)\.", text, re.MULTILINE))
        used = [pages.get("Pages " + kind) for kind in ("active", "wired down", "occupied by compressor")]
        if not page or None in used:
            return UNKNOWN
        return sum(int(count) for count in used) * int(page.group(1)) // 1024**2
    memory = _meminfo()
    if "MemTotal" not in memory or "MemAvailable" not in memory:
        return UNKNOWN
    return (memory["MemTotal"] - memory["MemAvailable"]) // 1024


def get_hd_capacity():
    """Returns the size of the root file system in gigabytes, as a float."""
    disk = os.statvfs("/")
    return disk.f_blocks * disk.f_frsize / 1024**3


def get_free_hd_space(unit="gigabytes"):
    """Returns what is free on the root file system for users, as an int.

    unit: "gigabytes", "megabytes" or "bytes".
    """
    units = {"gigabytes": 1024**3, "megabytes": 1024**2, "bytes": 1}
    if unit not in units:
        raise ValueError('"%s" is not a unit; use gigabytes, megabytes or bytes' % unit)
    disk = os.statvfs("/")
    return disk.f_bavail * disk.f_frsize // units[unit]


def enough_space(required_space):
    """Returns whether required_space gigabytes fit and 3 more stay free."""
    return get_free_hd_space("bytes") - required_space * 1024**3 >= _RESERVE * 1024**3


def get_time_since(time, mode="secs"):
    """Returns the whole years, weeks, days, hours, mins or secs (mode) since a Unix time."""
    units = {"year": 31536000, "years": 31536000, "weeks": 604800, "days": 86400, "hours": 3600, "mins": 60, "secs": 1}
    if mode not in units:
        raise ValueError('"%s" is not a unit; use years, weeks, days, hours, mins or secs' % mode)
    return int((shell_tools.get_unix_time() - time) // units[mode])


def is_process_running(process):
    """Returns whether a command line contains the text process.

    This process and those that started it do not count: their arguments may name it.
    """
    table = _processes()
    own, pid = set(), os.getpid()
    while pid in table and pid not in own:
        own.add(pid)
        pid = table[pid][0]
    return any(process in command for pid, (_, command) in table.items() if pid not in own)


def kill_process(pid):
    """Ends a process at once (KILL). Returns whether there was one; says so if not."""
    import signal

    pid = int(pid)
    # 0 and negative numbers are groups, 1 is the system itself.
    if pid <= 1:
        raise ValueError("%d is not a process that may be killed; give a number above 1" % pid)
    if shell_tools.would("kill process %d" % pid):
        return True
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        print("No process running.")
        return False


def log(tag, message):
    """Writes a message to the system log under a tag."""
    import syslog

    syslog.openlog(str(tag))
    syslog.syslog(syslog.LOG_NOTICE, str(message).replace("\0", ""))
    syslog.closelog()


def sleep(secs=None, mins=None, hrs=None, days=None):
    """Waits for the sum of what is given."""
    import time

    if secs is mins is hrs is days is None:
        raise ValueError("sleep needs a duration; give secs, mins, hrs or days")
    time.sleep((secs or 0) + 60 * (mins or 0) + 3600 * (hrs or 0) + 86400 * (days or 0))


def configure_time():
    """Turns network time on, with time_server of conf/network.conf if it is set. Needs root."""
    import conf_tools

    server = conf_tools.read("network").get("time_server", "")
    if server and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:_-]*", server):
        raise ValueError('"%s" is not the name of a time server; correct conf/network.conf' % server)
    if get_platform() == "macos":
        if server:
            act(["systemsetup", "-setnetworktimeserver", server])
        act(["systemsetup", "-setusingnetworktime", "on"])
        return
    if server and not shell_tools.would("set NTP=%s in %s/ldi.conf" % (server, TIMESYNCD)):
        import fs_tools

        fs_tools.mkdir(TIMESYNCD)
        fs_tools.write_file(os.path.join(TIMESYNCD, "ldi.conf"), "[Time]\nNTP=%s\n" % server)
    act(["timedatectl", "set-ntp", "true"])
    if server:
        act(["systemctl", "try-restart", "systemd-timesyncd.service"])


# Where configure_time names the time server on Linux.
TIMESYNCD = "/etc/systemd/timesyncd.conf.d"


def install_pkg(pkg, base_dir="/"):
    """macOS: installs a package on the volume base_dir. Needs root."""
    macos_only("install_pkg")
    act(["/usr/sbin/installer", "-pkg", os.path.abspath(pkg), "-target", base_dir])


def launchctl_load(name_of_daemon):
    """macOS: enables and starts a daemon: a name in /Library/LaunchDaemons or a path."""
    path, label = _daemon("launchctl_load", name_of_daemon)
    act(["launchctl", "enable", "system/" + label])
    act(["launchctl", "bootstrap", "system", path])


def launchctl_reload(name_of_daemon):
    """macOS: stops a daemon if it runs, waits a second and starts it again."""
    launchctl_unload(name_of_daemon)
    sleep(secs=1)
    launchctl_load(name_of_daemon)


def launchctl_unload(name_of_daemon):
    """macOS: stops a daemon if it runs and keeps it from starting again."""
    path, label = _daemon("launchctl_unload", name_of_daemon)
    if shell_tools.run(["launchctl", "print", "system/" + label], timeout=60)["success"]:
        act(["launchctl", "bootout", "system", path])
    act(["launchctl", "disable", "system/" + label])


def query_profiler(data_type, path, needle=None, verbose=False, ending=True, numeric=False, periods=True):
    """macOS: returns a value of system_profiler, or None if it is not there.

    data_type: for example "SPHardwareDataType"
    path:      the keys that lead to the value, for example ["Hardware Overview", "Model Name"]
    needle:    return only whether this text occurs anywhere
    verbose:   keep a remark in parentheses at the end
    ending:    keep the last word ("160 GB", else "160")
    numeric:   keep digits only; not with periods=False
    periods:   keep full stops
    """
    macos_only("query_profiler")
    text = shell_tools.run(["system_profiler", data_type], sanitize=False, timeout=120)["stdout"]
    if needle:
        return needle in text
    wanted = list(path)
    for line in text.splitlines():
        key, colon, value = line.strip().partition(":")
        if not wanted or not colon or key != wanted[0]:
            continue
        wanted.pop(0)
        if wanted:
            continue
        value = value.strip()
        if not verbose and value.endswith(")") and "(" in value:
            value = value[: value.index("(")].rstrip()
        if not ending:
            value = value.rpartition(" ")[0] or value
        if not periods:
            return value.replace(".", "")
        return re.sub(r"\D", "", value) if numeric else value
    return None


def macos_only(what):
    """Raises NotSupported anywhere but on macOS; what is the name to give."""
    if get_platform() != "macos":
        raise NotSupported("%s exists on macOS only; give the job os=macos" % what)


def act(command, stdin=None, secret=None):
    """Runs a command that changes the system; RuntimeError if it fails.

    secret: a text in the command that must not be shown. Under LDI_NOOP=1 the command is only said.
    """
    if os.environ.get("LDI_NOOP") == "1":
        return shell_tools.noop(["***" if secret and word == secret else word for word in command])
    result = shell_tools.run(command, timeout=600, stdin=stdin)
    if not result["success"]:
        shown = " ".join(command)
        said = result["stderr"] or result["stdout"] or "no message"
        if secret:
            shown, said = shown.replace(secret, "***"), said.replace(secret, "***")
        raise RuntimeError("%s failed with status %d: %s" % (shown, result["status"], said))
    return result


def _daemon(what, name):
    """The path and the label of a launch daemon."""
    import plistlib

    macos_only(what)
    path = name if name.startswith("/") else os.path.join("/Library/LaunchDaemons", name)
    if not path.endswith(".plist"):
        path += ".plist"
    try:
        with open(path, "rb") as file:
            return path, plistlib.load(file)["Label"]
    except (OSError, KeyError, ValueError, plistlib.InvalidFileException) as error:
        raise RuntimeError("%s is not a launch daemon that can be read: %s" % (path, error)) from error


def _output(command):
    return shell_tools.run(command, timeout=30)["stdout"]


def _first_line(*paths):
    """The first line of the first of these files that can be read and says something."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                line = file.readline(4096).decode("utf-8", "replace").strip("\0 \t\r\n")
        except OSError:
            continue
        if line:
            return line
    return None


def _os_release():
    import conf_tools

    return conf_tools.read_shell("/etc/os-release") or conf_tools.read_shell("/usr/lib/os-release")


def _meminfo():
    """/proc/meminfo in kilobytes."""
    try:
        with open("/proc/meminfo") as file:
            return {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in file)}
    except (OSError, ValueError, IndexError):
        return {}


def _processes():
    """{pid: (parent, command line)}"""
    if get_platform() != "linux":
        lines = shell_tools.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], sanitize=False, timeout=30)["stdout"]
        rows = (line.split(None, 2) for line in lines.splitlines())
        table = {int(row[0]): (int(row[1]), row[2]) for row in rows if len(row) == 3}
        # ps is in its own list.
        return {pid: row for pid, row in table.items() if "pid=,ppid=,args=" not in row[1]}
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, errors="replace") as file:
                before, _, after = file.read().rpartition(")")
            with open("/proc/%s/cmdline" % name, errors="replace") as file:
                command = file.read(65536).replace("\0", " ").strip()
        except OSError:
            continue  # it has ended
        # A kernel thread has no command line, only a name.
        table[int(name)] = (int(after.split()[1]), command or before.partition("(")[2])
    return table
