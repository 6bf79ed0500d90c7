import sys
# In a child that multiprocessing started: what its parent was given. Else None.
_given = globals().get("_given")
if not (_given or sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]
import posix
import _frozen_importlib
_call = _frozen_importlib._call_with_frames_removed
_Spec = _frozen_importlib.ModuleSpec
_LIMIT = 256 << 20


def _read(fd):
    parts = []
    left = _LIMIT
    try:
        while left > 0:
            part = posix.read(fd, 1 << 20)
            if not part:
                break
            left -= len(part)
            parts.append(part)
    finally:
        posix.close(fd)
    return b"".join(parts)


def _text(raw):
    return raw.decode(sys.getfilesystemencoding(), "surrogateescape")


_head = _given[1] if _given else _read(112)
_fields = _head.split(b"\0", 7)
_mode, _tree, _file, _code, _late, _flags, _rest = map(_text, _fields[:7])
_table = _fields[7]
_main_text = _given[2] if _given else _read(111) if _file else b""


def _more(name):
    """What few starts need is compiled when it is needed."""
    if name not in globals():
        exec(compile(_rest, _more.__code__.co_filename, "exec"), globals())
    return globals()[name]


def _hash(data):
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256
    return sha256(data).hexdigest().encode()


def _row(name):
    try:
        at = _table.find(b"\n" + name.encode() + b"\0")
    except UnicodeEncodeError:
        return None
    if at < 0:
        return None
    return _table[at + 1:_table.find(b"\n", at + 1)].split(b"\0")


class LibraryLoader:
    """Reads a module of the library once and runs those bytes if they are the signed ones."""

    def __init__(self, name, path, signed, package):
        self.name = name
        self.path = path
        self._signed = signed
        self._package = package

    def __repr__(self):
        return "<module of the code library %r>" % self.path

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        _call(exec, self.get_code(), module.__dict__)

    def _bytes(self):
        flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
        if self._signed:
            flags |= posix.O_NOFOLLOW
        try:
            data = _read(posix.open(self.path, flags))
        except OSError as error:
            if not self._signed:
                raise ImportError("cannot read %s: %s" % (self.path, error), name=self.name, path=self.path)
            data = None
        if self._signed and (data is None or _hash(data) != self._signed):
            raise ImportError(
                "%s is not what was signed for this release; it was not imported "
                "and the next sync repairs it" % self.path, name=self.name, path=self.path)
        return data

    def get_code(self, name=None):
        return _call(compile, self._bytes(), self.path, "exec", 0, True)

    def get_source(self, name=None):
        from importlib.util import decode_source
        return decode_source(self._bytes())

    def get_filename(self, name=None):
        return self.path

    def is_package(self, name=None):
        return self._package

    def get_data(self, path):
        with open(path, "rb") as file:
            return file.read()

    def get_resource_reader(self, name):
        try:
            from importlib.readers import FileReader
        except ImportError:  # 3.9 takes what lies beside the package by itself
            return None
        return FileReader(self)


class LibraryFinder:
    """Finds what the index lists, and beneath its packages nothing else."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        row = _row(name)
        if row is None:
            if name in ("multiprocessing.popen_spawn_posix", "multiprocessing.forkserver"):
                _more("_give_children")()
            parent = name.rpartition(".")[0]
            if parent and "s" in _flags and _row(parent) is not None:
                raise ModuleNotFoundError("No module named %r" % name, name=name)
            return None
        _, where, signed, kind = row
        where = _tree + "/" + _text(where)
        if kind == b"n":
            spec = _Spec(name, None, is_package=True)
            spec.submodule_search_locations = [where]
            return spec
        package = kind == b"p"
        spec = _Spec(name, LibraryLoader(name, where, signed, package), origin=where, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [where.rpartition("/")[0]]
        return spec

    @staticmethod
    def invalidate_caches():
        pass


# Behind what is part of Python itself, before what is found on sys.path.
for _at, _finder in enumerate(sys.meta_path):
    if getattr(_finder, "__name__", "") == "PathFinder":
        sys.meta_path.insert(_at, LibraryFinder)
        break
else:
    sys.meta_path.append(LibraryFinder)


if _given:
    _more("_become_child")()
else:
    del sys.argv[0]
_main = type(sys)("__main__")
_main.__builtins__ = __builtins__
_main.__loader__ = None
_main.__spec__ = None
_space = _main.__dict__
if not _given:
    sys.modules["__main__"] = _main
    if _file:
        _main.__file__ = _file


def _function():
    module, _, name = _code.rpartition(".")
    __import__(module)
    result = getattr(sys.modules[module], name)(*sys.argv[1:])
    if result is not None:
        print(result)


def _start():
    if _mode == "call":
        return _call(_function)
    if _mode == "module":
        return _call(_more("_module"))
    if "g" in _flags:
        _more("_tools")(_code if _mode == "code" and "i" not in _flags else None)
    if _mode == "code":
        exec(compile(_code, "<string>", "exec", 0, True), _space)
    elif _mode == "file":
        exec(compile(_main_text, _file, "exec", 0, True), _space)


def _own(tb):
    while tb is not None and tb.tb_frame.f_code.co_filename == _start.__code__.co_filename:
        tb = tb.tb_next
    return tb


def _run():
    try:
        _start()
        return
    except SystemExit:
        if "i" in _flags:
            return
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        error.__traceback__ = trace = _own(error.__traceback__)
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
        sys.last_exc = error
        sys.excepthook(type(error), error, trace)
        if _late:
            space = {"__name__": "__main__", "__file__": _late, "__builtins__": __builtins__}
            try:
                exec(compile(_read(113), _late, "exec", 0, True), space)
            except SystemExit:
                raise
            except BaseException as second:
                sys.excepthook(type(second), second, _own(second.__traceback__))
    if "i" not in _flags:
        raise SystemExit(1)


if not _given:
    _run()
