import contextlib
import io
import os
import syslog
from unittest import mock

import ldi_test

import log_tools


class Log(ldi_test.Case):
    def log(self, action, message, **environment):
        """What goes to the system log, as (tag, priority, message), and to stderr."""
        found, text = [], io.StringIO()
        with mock.patch.object(syslog, "openlog", found.append), contextlib.redirect_stderr(text):
            with mock.patch.object(syslog, "syslog", lambda *entry: found.extend(entry)):
                with mock.patch.dict(os.environ, environment):
                    action(message)
        return tuple(found), text.getvalue()

    def test_levels(self):
        for action, level, priority in (
            (log_tools.log_error, "error", syslog.LOG_ERR),
            (log_tools.log_warning, "warning", syslog.LOG_WARNING),
            (log_tools.log_info, "info", syslog.LOG_INFO),
        ):
            entry, text = self.log(action, "it is so", LDI_JOB="daily/recon")
            self.assertEqual(entry, ("daily/recon", priority, "it is so"))
            self.assertEqual(text, "%s: it is so\n" % level)

    def test_debug(self):
        entry, text = self.log(log_tools.log_debug, "x", LDI_JOB="j")
        self.assertEqual((entry, text), (("j", syslog.LOG_DEBUG, "x"), ""))
        self.assertEqual(self.log(log_tools.log_debug, "x", LDI_DEBUG="1")[1], "debug: x\n")

    def test_anything_is_a_message(self):
        self.assertEqual(self.log(log_tools.log_info, 42)[1], "info: 42\n")
        self.assertEqual(self.log(log_tools.log_info, "a\0b")[0][2], "ab")
