"""Property lists: settings of macOS, launchd's files, by plistlib on every system.

A key leads through dictionaries and lists: "Sockets:Listeners:0:SockServiceName"; a key with a
colon in it cannot be named.
"""

import os

import shell_tools

# No property list of settings is larger.
_LONGEST = 16 * 1024 * 1024


def plist_read(path, key=None):
    """Returns a value of a property list, of any type; without key all of it.

    No such key: KeyError. No such file: FileNotFoundError. Not a property list: ValueError.
    """
    found = _load(path)
    for word in key.split(":") if key else []:
        try:
            found = found[int(word)] if isinstance(found, list) else found[word]
        except (KeyError, IndexError, TypeError, ValueError):
            raise KeyError("%s has no %s" % (path, key)) from None
    return found


def plist_write(path, key, value):
    """Sets a value, of any type that a property list takes. Returns whether it was another one.

    The file and the dictionaries on the way are made if needed; the file keeps its mode and is
    replaced in one step. On macOS what stands in the file itself is written through the system's
    cache of settings, where it is a text, number or truth. Under LDI_NOOP=1 nothing is written.
    """
    import plistlib
    import sys_tools

    try:
        top = _load(path)
    except FileNotFoundError:
        top = {}
    *way, last = key.split(":")
    at = top
    try:
        for word in way:
            at = at.setdefault(word, {}) if isinstance(at, dict) else at[int(word)]
        spot = int(last) if isinstance(at, list) else last
        before = at.get(spot) if isinstance(at, dict) else at[spot]
        # 1 is no truth: the type counts too.
        if before == value and type(before) is type(value):
            return False
        at[spot] = value
    except (AttributeError, IndexError, TypeError, ValueError):
        raise KeyError("%s has no place for %s" % (path, key)) from None
    if shell_tools.would("set %s of %s" % (key, path)):
        return True
    kind = {bool: "-bool", int: "-integer", float: "-float", str: "-string"}.get(type(value))
    if sys_tools.get_platform() == "macos" and not way and kind:
        word = str(value).lower() if kind == "-bool" else str(value)
        sys_tools.act(["defaults", "write", os.path.abspath(path), key, kind, word])
        return True
    import fs_tools

    fs_tools.replace_file(path, plistlib.dumps(top))
    return True


def _load(path):
    import plistlib

    with open(path, "rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError("%s is larger than %d bytes" % (path, _LONGEST))
    try:
        return plistlib.loads(content)
    except Exception as error:  # expat errors and plistlib's own
        raise ValueError("%s is not a property list: %s" % (path, error)) from error
