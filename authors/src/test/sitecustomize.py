"""The clock and the system that a test pretends, in every Python that it starts.

Python reads this file at its start because PYTHONPATH names its folder; ldi_test uses it too.
"""

import os
import sys


def freeze(now):
    """Every clock of time and datetime says `now`, in seconds since 1970; monotonic clocks go on."""
    import datetime
    import time

    def of(function):
        return lambda seconds=None: function(now if seconds is None else seconds)

    localtime, asctime, strftime = of(time.localtime), time.asctime, time.strftime
    time.time = lambda: float(now)
    time.time_ns = lambda: int(now * 10**9)
    time.localtime, time.gmtime, time.ctime = localtime, of(time.gmtime), of(time.ctime)
    time.asctime = lambda parts=None: asctime(localtime() if parts is None else parts)
    time.strftime = lambda text, parts=None: strftime(text, localtime() if parts is None else parts)

    if isinstance(datetime.datetime, _Frozen):
        _Frozen.now = now
        return
    _Frozen.now = now
    real_datetime, real_date = datetime.datetime, datetime.date

    class FrozenDatetime(real_datetime, metaclass=_Frozen):
        @classmethod
        def now(cls, tz=None):
            return real_datetime.fromtimestamp(_Frozen.now, tz)

        @classmethod
        def today(cls):
            return cls.now()

        @classmethod
        def utcnow(cls):
            return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    class FrozenDate(real_date, metaclass=_Frozen):
        @classmethod
        def today(cls):
            return real_date.fromtimestamp(_Frozen.now)

    datetime.datetime, datetime.date = FrozenDatetime, FrozenDate


class _Frozen(type):
    """Real values are instances of the frozen classes too."""

    now = 0

    def __instancecheck__(cls, value):
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, other):
        return issubclass(other, cls.__mro__[1])


def pretend(system):
    """Python says that it runs on macos or linux."""
    import platform
    import types

    if system == "macos":
        names = ("Darwin", "test.local", "23.6.0", "version", "arm64")
        # What urllib asks for proxies there.
        proxies = types.ModuleType("_scproxy")
        proxies._get_proxy_settings = proxies._get_proxies = dict
        sys.modules.setdefault("_scproxy", proxies)
    else:
        names = ("Linux", "test.local", "6.1.0-18-amd64", "version", "x86_64")
    # What is imported later looks at sys.platform: these only exist where they belong.
    import subprocess  # noqa: F401

    sys.platform = "darwin" if system == "macos" else "linux"
    os.uname = lambda: os.uname_result(names)
    platform._uname_cache = None
    platform.mac_ver = lambda *_: ("14.6", ("", "", ""), "arm64") if system == "macos" else ("", ("", "", ""), "")


if __name__ == "sitecustomize":
    if os.environ.get("LDI_TEST_OS"):
        pretend(os.environ["LDI_TEST_OS"])
    if os.environ.get("LDI_TEST_CLOCK"):
        freeze(int(os.environ["LDI_TEST_CLOCK"]))
