"""What the Python tests share: a scratch folder, stubbed commands, a pretended macOS."""

import importlib.machinery
import importlib.util
import os
import pathlib
import shlex
import sys
import tempfile
import unittest
from unittest import mock

TREE = pathlib.Path(os.environ.get("TREE") or pathlib.Path(__file__).resolve().parents[2])
sys.dont_write_bytecode = True
if str(TREE / "modules") not in sys.path:
    sys.path.insert(0, str(TREE / "modules"))

import sys_tools  # noqa: E402


def script(path):
    """Imports a job or collector of the tree, without running it."""
    name = path.replace("/", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(TREE / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Case(unittest.TestCase):
    """self.work: a scratch folder; LDI_LIB, LDI_STATE_DIR and PATH lead into it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        for name in ("bin", "lib/conf", "state"):
            (self.work / name).mkdir(parents=True)
        patch = mock.patch.dict(
            os.environ,
            {
                "PATH": "%s%s%s" % (self.work / "bin", os.pathsep, os.environ["PATH"]),
                "LDI_LIB": str(self.work / "lib"),
                "LDI_STATE_DIR": str(self.work / "state"),
                # Nothing is written into the tree, by no child either.
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        patch.start()
        self.addCleanup(patch.stop)

    def stub(self, name, stdout="", status=0, stderr=""):
        """A command first on the PATH; its calls are kept for self.calls()."""
        path = self.work / "bin" / name
        log = shlex.quote(str(self.work / "calls"))
        path.write_text(
            "#!/bin/bash\n{ printf '%%s' \"${0##*/}\"; printf ' %%s' \"$@\"; echo; } >>%s\nprintf %%s %s\nprintf %%s %s >&2\nexit %d\n"
            % (log, shlex.quote(stdout), shlex.quote(stderr), status)
        )
        path.chmod(0o755)

    def stub_body(self, name, body):
        path = self.work / "bin" / name
        path.write_text("#!/bin/bash\n" + body + "\n")
        path.chmod(0o755)

    def calls(self):
        log = self.work / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def no_commands(self):
        """Nothing is on the PATH but what is stubbed (and what the stubs need)."""
        os.environ["PATH"] = str(self.work / "bin")

    def conf(self, name, text):
        (self.work / "lib/conf" / (name + ".conf")).write_text(text)

    def platform(self, name):
        patch = mock.patch.object(sys_tools, "get_platform", lambda: name)
        patch.start()
        self.addCleanup(patch.stop)
