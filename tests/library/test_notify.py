import contextlib
import io
import os
import pwd
from unittest import mock

import ldi_test

import user_tools


class Notify(ldi_test.Case):
    def setUp(self):
        # Somebody who is on every machine.
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.fact("console_user", self.user)
        for name in ("env", "runuser", "launchctl", "osascript"):
            self.stub(name)

    def notify(self, *words):
        text = io.StringIO()
        with contextlib.redirect_stderr(text):
            return user_tools.ldi_notify(*words), text.getvalue()

    def test_nobody_is_there(self):
        self.fact("console_user", "none")
        self.assertEqual(
            self.notify("Title", "Text"), (False, 'ldi_notify: nobody is at the console; "Title" was not shown\n')
        )

    def test_the_person(self):
        self.pretend("linux")
        self.assertEqual(self.notify("Title", "-x"), (True, ""))
        bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%d/bus" % os.getuid()
        self.assertEqual(self.calls("env"), ["env %s notify-send -- Title -x" % bus])
        self.pretend("macos")
        self.assertTrue(self.notify("Title", "Text")[0])
        self.assertTrue(self.calls("osascript")[0].endswith("-- Title Text"))

    def test_root(self):
        uid = os.getuid()
        with mock.patch.object(os, "geteuid", lambda: uid + 1):
            self.pretend("linux")
            self.notify("Title", "Text")
            self.assertTrue(self.calls("runuser")[0].startswith("runuser -u %s -- env DBUS" % self.user))
            self.pretend("macos")
            self.notify("Title", "Text")
            self.assertIn("asuser %d sudo -n -u %s -- osascript" % (uid, self.user), self.calls("launchctl")[0])

    def test_it_cannot_be_shown(self):
        self.pretend("linux")
        self.stub("env", "", 1, "no bus")
        self.assertEqual(self.notify("Title", "Text")[0], False)
        self.assertIn("could not be shown to %s: no bus" % self.user, self.notify("Title", "Text")[1])

    def test_dry_run(self):
        self.pretend("linux")
        with mock.patch.dict(os.environ, LDI_NOOP="1"):
            shown, text = self.notify("Title", "Text")
        self.assertTrue(shown and text.startswith("would run: env "))
        self.assertEqual(self.calls("env"), [])
