"""Messages with a level: to the system log under the job's name, and to stderr.

The output of a run hides the job's secrets, the system log does not: never log one.
"""

import os
import sys


def log_error(message):
    """Logs what failed."""
    _log("LOG_ERR", "error", message)


def log_warning(message):
    """Logs what works for now and needs somebody's attention."""
    _log("LOG_WARNING", "warning", message)


def log_info(message):
    """Logs what was done."""
    _log("LOG_INFO", "info", message)


def log_debug(message):
    """Logs what helps to find a fault; on stderr only with LDI_DEBUG=1."""
    _log("LOG_DEBUG", "debug", message)


def _log(priority, level, message):
    import syslog

    message = str(message).replace("\0", "")
    if level != "debug" or os.environ.get("LDI_DEBUG") == "1":
        print("%s: %s" % (level, message), file=sys.stderr, flush=True)
    syslog.openlog(os.environ.get("LDI_JOB") or os.path.basename(sys.argv[0]) or "python")
    syslog.syslog(getattr(syslog, priority), message)
    syslog.closelog()
