"""Runs one test of one file, or lists the tests of a file. The runner starts it through the loader."""

import importlib.machinery
import importlib.util
import os
import sys
import traceback
import unittest

_mode, _file, _name, _dir, _site, _runner, _tree = sys.argv[1:8]
sys.argv[:] = [_file]
os.umask(0o022)
sys.dont_write_bytecode = True


def _load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _record(kind, where, text):
    # By a file, so that it comes without any descriptor too.
    with open(_dir + "/report", "a", encoding="utf-8", errors="backslashreplace") as report:
        report.write("%s\t%s\t%s\0" % (kind, where, text))


def _failure(error, note=""):
    """Records an exception: where the test file led to it, and what followed from there."""
    kind, value, trace = error
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if "/unittest/" not in frame.filename and frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    own = [at for at, frame in enumerate(frames) if frame.filename == _file]
    where, deeper = _file, frames
    if own:
        where = "%s:%d" % (_file, frames[own[-1]].lineno)
        deeper = frames[own[-1] + 1 :]
    if isinstance(value, SyntaxError):
        where = "%s:%s" % (value.filename, value.lineno)
    text = "".join(traceback.format_exception_only(kind, value)).rstrip()
    if deeper:
        text += "\n" + "".join(traceback.format_list(deeper)).rstrip()
    _record("fail", where, note + text)


class _Result(unittest.TestResult):
    def addError(self, test, err):
        super().addError(test, err)
        _failure(err)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            _failure(err, subtest._subDescription() + "\n")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        _record("skip", _file, reason)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        _record("fail", _file, "it passed, and is marked as an expected failure")


def _function_line(function):
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code else 0


def _found(module):
    """Each test of the module: line, name, and what makes a TestCase of it."""
    names = unittest.defaultTestLoader.getTestCaseNames
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            # A class that was imported is another file's.
            for method in names(value) if value.__module__ == module.__name__ else ():
                yield _function_line(getattr(value, method)), "%s::%s" % (name, method), (value, method)
        elif name.startswith("test") and callable(value) and getattr(value, "__module__", "") == module.__name__:
            yield _function_line(value), name, (unittest.FunctionTestCase, value)


def _main():
    _load("ldi_test_system", _site + "/sitecustomize.py")
    _load("ldi_test", _site + "/ldi_test.py")._begin(_dir, _site, _runner, _tree)
    sys.path.insert(0, os.path.dirname(_file))
    try:
        module = _load(os.path.splitext(os.path.basename(_file))[0], _file)
    except unittest.SkipTest as reason:
        return _record("skip", _file, reason)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return _failure(sys.exc_info())
    tests = sorted(_found(module), key=lambda one: one[0])
    if _mode == "list":
        for line, name, _ in tests:
            _record("test", line, name)
        return
    suite = unittest.TestSuite(kind(test) for _, name, (kind, test) in tests if name == _name)
    result = _Result()
    suite.run(result)
    if not (result.testsRun or result.errors or result.skipped):
        _record("fail", _file, "%s is not there when the file is read again" % _name)


_main()
_record("done", "", "")
