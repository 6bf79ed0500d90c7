"""Running other programs: once, again, alone, or only said. Never through a shell: an argument is
an argument.
"""

import os
import sys
import time

# A program may print more; the rest is read and dropped.
MAX_OUTPUT = 16 * 1024 * 1024


def get_unix_time():
    """Returns the seconds since 1970-01-01 UTC, as an int."""
    return int(time.time())


def sanitize_output(text):
    """Returns text without blanks at its ends and without line ends inside."""
    return text.strip().replace("\r", "").replace("\n", "")


def run(command, sanitize=True, timeout=None, stdin=None):
    """Runs a program and waits for it.

    command:  a list of arguments, or a string that is split into arguments as a shell would
              quote them; |, >, && and $ mean nothing and reach the program as they stand
    sanitize: pass stdout and stderr through sanitize_output
    timeout:  seconds after which the program is killed; None: as long as it takes
    stdin:    text for its standard input; None: empty

    Returns a dict: stdout, stderr (str), status (int), success (status is 0). Status 127: there
    is no such program; 126: it cannot be run; 124: killed at the timeout; -N: ended by signal N.
    """
    import shlex
    import subprocess

    arguments = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
    if not arguments:
        raise ValueError("there is no command to run; name a program")
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        return _result("", "%s is not on this machine" % arguments[0], 127, sanitize)
    except OSError as error:
        return _result("", "cannot run %s: %s" % (arguments[0], error.strerror), 126, sanitize)
    readers = [_Reader(process.stdout), _Reader(process.stderr)]
    if stdin is not None:
        _Writer(process.stdin, stdin)
    late = False
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status, late = 124, True
    except BaseException:
        process.kill()
        process.wait()
        raise
    stdout, stderr = [reader.text() for reader in readers]
    if late:
        stderr += "%s was killed after %s seconds" % (arguments[0], timeout)
    return _result(stdout, stderr, status, sanitize)


def noop(command, **options):
    """Runs a command as run does; under LDI_NOOP=1 only says "would run: …" on stderr.

    options: those of run. Nothing was run: an empty answer with success.
    """
    import shlex

    arguments = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
    if os.environ.get("LDI_NOOP") == "1":
        print("would run: " + " ".join(map(shlex.quote, arguments)), file=sys.stderr, flush=True)
        return _result("", "", 0, False)
    return run(arguments, **options)


def would(what):
    """Returns whether this is a dry run (LDI_NOOP=1), and then says "would WHAT" on stderr.

    For functions that change something: if would("remove x"): return
    """
    if os.environ.get("LDI_NOOP") != "1":
        return False
    print("would %s" % what, file=sys.stderr, flush=True)
    return True


def retry(times, seconds, action, *arguments):
    """Does something until it succeeds, at most times times; returns what it returned.

    Waits seconds after the first failure and twice as long after each further one, at most 300.
    action: a command as run takes it (a list or string), which fails by its status; its last
    answer is returned. Or a function, called with arguments, which fails by raising; the last
    exception is raised.
    """
    for left in range(int(times) - 1, -1, -1):
        try:
            result = action(*arguments) if callable(action) else run(action)
            if callable(action) or result["success"] or not left:
                return result
            why = "status %d" % result["status"]
        except Exception as error:
            if not left:
                raise
            why = "%s: %s" % (type(error).__name__, error)
        name = getattr(action, "__name__", None) or (action.split() if isinstance(action, str) else action)[0]
        seconds = min(seconds, 300)
        print("retry: %s ended with %s; again in %s s" % (name, why, seconds), file=sys.stderr, flush=True)
        time.sleep(seconds)
        seconds *= 2
    raise ValueError("%s tries are none; give 1 or more" % times)


def with_lock(name, action, *arguments, wait=60):
    """Does something while no other with_lock of that name runs here; returns what it returned.

    action: a function, called with arguments, or a command as run takes it. Waits for the other
    one, at most wait seconds (LDI_LOCK_WAIT instead, where it is set), then TimeoutError. The same
    name in bash is the same lock, and the kernel ends it with its holder; each account has its own.
    """
    import fcntl
    import re

    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError('"%s" is not the name of a lock; it has letters, digits and ._-' % name)
    end = time.monotonic() + float(os.environ.get("LDI_LOCK_WAIT") or wait)
    with open(os.path.join(_lock_folder(), name + ".lock"), "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise TimeoutError("the lock %s is held by another process" % name) from None
                time.sleep(0.1)
        return action(*arguments) if callable(action) else run(action)


def _lock_folder():
    root = os.geteuid() == 0
    folder = "/var/run/ldi-locks" if root else os.path.expanduser("~/.cache/ldi-locks")
    folder = os.environ.get("LDI_LOCK_DIR") or folder
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder) or ".", mode=0o700, exist_ok=True)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
    # What others own could lead through a link to any file.
    if os.path.islink(folder) or os.stat(folder).st_uid != os.geteuid():
        raise PermissionError("%s is not a folder of this account's own" % folder)
    return folder


def _result(stdout, stderr, status, sanitize):
    clean = sanitize_output if sanitize else str
    return {"stdout": clean(stdout), "stderr": clean(stderr), "status": status, "success": status == 0}


class _Reader:
    """Drains a pipe in a thread, so that neither pipe can fill while the other is read."""

    def __init__(self, pipe):
        import threading

        self._pipe = pipe
        self._data = bytearray()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self):
        try:
            while True:
                piece = self._pipe.read1(65536)
                if not piece:
                    break
                self._data += piece[: MAX_OUTPUT - len(self._data)]
        except (OSError, ValueError):
            pass
        self._pipe.close()

    def text(self):
        # The program has ended, so what it wrote is in the pipe: only a child that it left
        # running can keep the pipe open, and that one is not waited for.
        self._thread.join(2)
        return bytes(self._data).decode("utf-8", "replace")


class _Writer:
    def __init__(self, pipe, text):
        import threading

        self._pipe, self._text = pipe, text
        threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self):
        try:
            self._pipe.write(self._text.encode("utf-8"))
        except OSError:
            pass
        try:
            self._pipe.close()
        except OSError:
            pass
