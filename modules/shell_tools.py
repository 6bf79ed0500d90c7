"""Running other programs. Never through a shell: an argument is an argument."""

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
