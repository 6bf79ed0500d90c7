"""What collectors share: one way to print, and answers that do not flap."""

import json
import os
import sys

import shell_tools
import sys_tools


def emit(value):
    """Prints a collector's answer as JSON: keys sorted, one line."""
    json.dump(value, sys.stdout, sort_keys=True, ensure_ascii=False)
    sys.stdout.write("\n")


def stable(name, value, days=30):
    """Returns value, or what was seen last if it is "unknown" just now.

    The last answer is kept in LDI_STATE_DIR for days; without that folder nothing is kept.
    """
    import fs_tools

    folder = os.environ.get("LDI_STATE_DIR")
    if not folder or not os.path.isdir(folder):
        return value
    path = os.path.join(folder, "last-%s.json" % name)
    if value != sys_tools.UNKNOWN:
        # In one step: what a crash left half written would be no answer.
        fs_tools.replace_file(path, json.dumps({"at": shell_tools.get_unix_time(), "value": value}).encode(), 0o600)
        return value
    try:
        last = json.loads(fs_tools.read_file(path))
        age = shell_tools.get_unix_time() - last["at"]
        return last["value"] if 0 <= age < days * 86400 else value
    except (OSError, ValueError, KeyError, TypeError):
        return value


def agent(name, installed, program, fresh, days=2):
    """Returns what is to be seen of a security agent, or None if conf/agents.conf does not say "on".

    {installed, running, recent}. installed: paths, one of which is there with the agent; program:
    what its command lines contain, a list; fresh: patterns of files that it renews, which is
    recent if that was less than days ago, and "unknown" if none of them can be seen.
    """
    import glob

    import conf_tools

    if conf_tools.read("agents").get(name) != "on":
        return None
    if not any(map(os.path.exists, installed)):
        return {"installed": False, "running": False, "recent": False}
    times = []
    for path in [path for pattern in fresh for path in glob.glob(pattern)]:
        try:
            times.append(os.path.getmtime(path))
        except OSError:
            continue
    recent = shell_tools.get_unix_time() - max(times) < days * 86400 if times else sys_tools.UNKNOWN
    return {"installed": True, "running": any(map(sys_tools.is_process_running, program)), "recent": recent}
