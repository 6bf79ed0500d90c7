"""Settings of the library: conf/NAME.conf, lines of KEY = VALUE, # for comments.

The same files as conf_value of the bash modules reads. A value is text, never code.
"""

import os

_MAX_LINES = 1000


def library():
    """Returns the folder of the library: LDI_LIB, else the one that holds this module."""
    return os.environ.get("LDI_LIB") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(name):
    """Returns the settings of conf/NAME.conf as a dict; empty if there is no such file."""
    values = {}
    try:
        with open(os.path.join(library(), "conf", name + ".conf"), encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines):
                if number >= _MAX_LINES:
                    break
                key, equals, value = line.partition("=")
                if equals and not line.startswith("#"):
                    values[key.strip()] = value.strip()
    except FileNotFoundError:
        pass
    return values


def read_shell(path):
    """Returns a file of KEY=VALUE lines in shell quoting, such as os-release, as a dict."""
    import shlex

    values = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(65536).splitlines()
    except OSError:
        return values
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            try:
                values[key.strip()] = " ".join(shlex.split(value))
            except ValueError:
                continue  # an open quote: that line only is lost
    return values
