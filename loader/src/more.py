# Part of boot.py, in whose globals it runs.
def _give_children():
    """Lets processes that multiprocessing starts anew import what this one can."""
    from multiprocessing import util
    passfds = util.spawnv_passfds
    if passfds.__module__ == __name__:
        return
    given = []

    def spawnv_passfds(path, args, fds):
        at = args.index("-c") + 1 if "-c" in args else 0
        if at and ("spawn_main" in args[at] or "forkserver" in args[at]):
            import marshal
            if not given:
                given.append(_private(marshal.dumps((_source, _head, _main_text))))
            fd = given[0].fileno()
            args = list(args)
            args[at] = (
                "import marshal,posix; d=marshal.loads(posix.pread(%d,%d,0)); posix.close(%d); "
                "exec(compile(d[0], '<frozen importlib._bootstrap_external>', 'exec'), "
                "{'__name__': 'ldi', '__builtins__': __builtins__, '_source': d[0], '_given': d}); "
                % (fd, posix.fstat(fd).st_size, fd)) + args[at]
            fds = sorted([*fds, fd])
        return passfds(path, args, fds)

    spawnv_passfds.__module__ = __name__
    util.spawnv_passfds = spawnv_passfds


def _private(data):
    """A file without a name that holds data."""
    import os
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("ldi"), "wb")
    else:
        import tempfile
        file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    return file


def _become_child():
    """Gives multiprocessing the main file that its parent runs, in place of what is on the disk."""
    from multiprocessing import spawn
    from_path = spawn._fixup_main_from_path

    def fixup(path):
        if path != _file:
            return from_path(path)
        if getattr(sys.modules["__main__"], "__file__", None) == path:
            return
        spawn.old_main_modules.append(sys.modules["__main__"])
        module = type(sys)("__mp_main__")
        module.__file__ = path
        sys.modules["__main__"] = sys.modules["__mp_main__"] = module
        exec(compile(_main_text, path, "exec", 0, True), module.__dict__)

    spawn._fixup_main_from_path = fixup


def _tools(text):
    """Makes every *_tools module that text may mean a global, read when it is first used."""
    import importlib.util
    every = text is None or any(word in text for word in ("globals", "eval", "exec", "vars", "dir", "locals"))
    for line in _table.split(b"\n"):
        name = line.partition(b"\0")[0]
        if not name.endswith(b"_tools") or b"." in name:
            continue
        name = name.decode()
        if not every and name not in text:
            continue
        module = sys.modules.get(name)
        if module is None:
            spec = LibraryFinder.find_spec(name)
            if spec.loader is None:
                continue
            spec.loader = importlib.util.LazyLoader(spec.loader)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
        _space.setdefault(name, module)


def _module():
    from importlib.util import find_spec
    name = _code
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name += ".__main__"
        spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("No module named %r" % name, name=name)
    code = spec.loader.get_code(name)
    sys.argv[0] = spec.origin
    _space.update(__file__=spec.origin, __spec__=spec, __loader__=spec.loader, __package__=spec.parent)
    _call(exec, code, _space)
