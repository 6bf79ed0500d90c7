"""The words of Python tests (docs/testing.md): functions, and the same as methods of Case.

Each test has a process of its own, so nothing that a word changes is taken back.
"""

import datetime
import importlib.machinery
import importlib.util
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import unittest

import ldi_test_system as _system

work = None  # pathlib.Path: the test's own folder
tree = None  # pathlib.Path: the tree under test
_dir = _site = _runner = None
_path = os.environ.get("PATH", "").partition(os.pathsep)[2]  # without the stubs, which come first
_bash = "/bin/bash" if os.path.exists("/bin/bash") else shutil.which("bash")


def stub(name, stdout="", status=0, stderr=""):
    """A command of that name, first on the PATH; its calls are recorded."""
    stub_body(
        name,
        "printf %%s %s\nprintf %%s %s >&2\nexit %d" % (shlex.quote(stdout), shlex.quote(stderr), status),
    )


def stub_body(name, body):
    """A command of that name, first on the PATH, which does `body` (bash); its calls are recorded."""
    log = shlex.quote(str(_dir / "calls"))
    record = '__call=; [ $# -eq 0 ] || printf -v __call " %q" "$@"\n'
    record += 'printf "%s%s\\n" "${0##*/}" "$__call" >>' + log + "; unset __call\n"
    _stub(name, record + body)


def _stub(name, body):
    if not name or "/" in name or name.startswith("-"):
        raise ValueError("%r is no name of a command" % name)
    path = work / "bin" / name
    # What a stub does is the test's: it has the commands that the test took away.
    found = shlex.quote("%s:%s" % (work / "bin", _path))
    first = shlex.quote(str(_site / "stub.sh"))
    path.write_text("#!%s\nPATH=%s\n. %s\n%s\n" % (_bash, found, first, body))
    path.chmod(0o755)


def calls(name=None):
    """The recorded calls of stubs, of all or of one: NAME ARG ARG, quoted as bash does."""
    log = _dir / "calls"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if name is None or line.split(" ", 1)[0] == name]


def no_commands():
    """Nothing is on the PATH but stubs."""
    os.environ["PATH"] = str(work / "bin")


def conf(name, text):
    """conf/NAME.conf holds `text`: in a library beside the tree, the same but for this file."""
    if not name or "/" in name or name.startswith("."):
        raise ValueError("%r is no name" % name)
    folder = work / "lib" / "conf"
    if not folder.exists():
        folder.mkdir(parents=True)
        for entry in tree.iterdir():
            if entry.name != "conf":
                (work / "lib" / entry.name).symlink_to(entry)
        for entry in (tree / "conf").iterdir() if (tree / "conf").is_dir() else ():
            (folder / entry.name).symlink_to(entry)
    path = folder / (name + ".conf")
    if path.is_symlink():
        # Never through the link into the tree.
        path.unlink()
    path.write_text(text)
    os.environ["LDI_LIB"] = str(work / "lib")


def fact(name, value):
    """What ldi_fact says of NAME."""
    os.environ["LDI_FACT_" + name.upper()] = str(value)


def clock(when):
    """Freezes the clock at `when`: seconds since 1970, or ISO 8601, in UTC where it names no zone."""
    if isinstance(when, str) and not when.isdigit():
        parsed = datetime.datetime.fromisoformat(when[:-1] if when.endswith("Z") else when)
        when = (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.timezone.utc)).timestamp()
    os.environ.update(LDI_TEST_CLOCK=str(int(when)), PYTHONPATH=str(_site))
    _stub("date", (_site / "date.sh").read_text())
    _system.freeze(int(when))


def pretend(system):
    """This machine is "macos" or "linux"."""
    if system not in ("macos", "linux"):
        raise ValueError("%r is neither macos nor linux" % system)
    os.environ.update(LDI_TEST_OS=system, LDI_FACT_OS=system, PYTHONPATH=str(_site))
    _stub("uname", (_site / "uname.sh").read_text())
    if system == "macos":
        _stub("sw_vers", (_site / "sw_vers.sh").read_text())
    _system.pretend(system)


def script(path):
    """Imports a script of the tree, without running it."""
    name = path.replace("/", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(tree / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def ldi_exec(path, *args, **options):
    """Runs a script of the tree as `ldi exec` does; a subprocess.CompletedProcess with text."""
    command = [_runner, "test", "--tree", str(tree), "--start", "--", path, *args]
    options = dict({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "universal_newlines": True}, **options)
    return subprocess.run(command, **options)


def skip(reason=""):
    """Ends the test; it counts as skipped."""
    raise unittest.SkipTest(reason)


class Case(unittest.TestCase):
    """A test case with the words as methods."""

    stub = staticmethod(stub)
    stub_body = staticmethod(stub_body)
    calls = staticmethod(calls)
    no_commands = staticmethod(no_commands)
    conf = staticmethod(conf)
    fact = staticmethod(fact)
    clock = staticmethod(clock)
    pretend = staticmethod(pretend)
    script = staticmethod(script)
    ldi_exec = staticmethod(ldi_exec)

    @property
    def work(self):
        """The test's own folder."""
        return work

    @property
    def tree(self):
        """The tree under test."""
        return tree


def _begin(folder, site, runner, of):
    global work, tree, _dir, _site, _runner
    _dir, _site, _runner = pathlib.Path(folder), pathlib.Path(site), runner
    work, tree = _dir / "work", pathlib.Path(of)
    sys.dont_write_bytecode = True
