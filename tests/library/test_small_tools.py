import builtins
import contextlib
import grp
import io
import json
import os
import time
import unittest
from unittest import mock

import loopback
from ldi_test import Case

import account_tools
import api_tools
import collect_tools
import conf_tools
import sys_tools
import user_tools


class Asked(unittest.TestCase):
    def answer(self, answers, function, *args, **options):
        """Returns the result and what was asked; an end of input follows the answers."""
        asked, answers = [], iter(answers)

        def read(text=""):
            asked.append(text)
            try:
                return next(answers)
            except StopIteration:
                raise EOFError from None

        with mock.patch.object(builtins, "input", read), contextlib.redirect_stdout(io.StringIO()):
            return function(*args, **options), asked

    def test_prompt(self):
        result, asked = self.answer(["", " Ann ", "n", "Bob", "y"], user_tools.prompt, "name")
        self.assertEqual(result, "Bob")
        self.assertEqual(asked[0], "Enter name: ")
        result, _ = self.answer(["x", "12", "Y"], user_tools.prompt, "age", integer=True)
        self.assertEqual(result, 12)
        result, asked = self.answer(["abcd", "abc", "y"], user_tools.prompt, "tag", max_length=3)
        self.assertEqual(result, "abc")
        self.assertEqual(asked[0], "Enter tag (3 characters at most): ")
        with self.assertRaises(EOFError):
            self.answer(["12", "n"], user_tools.prompt, "age", integer=True)

    def test_binary_prompt(self):
        self.assertEqual(self.answer(["", "maybe", " Y "], user_tools.binary_prompt)[0], True)
        result, asked = self.answer(["n"], user_tools.binary_prompt, prompt="Go on?")
        self.assertEqual((result, asked), (False, ["Go on? [y/n]: "]))


class Api(Case):
    def test_auth_init(self):
        server, port = loopback.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = "http://127.0.0.1:%d/login" % port
        opener = api_tools.auth_init(theurl=url, username="a", password="b")
        with opener.open(url, timeout=5) as answer:
            self.assertEqual(answer.read(), b"ok")
        with self.assertRaises(OSError):
            api_tools.auth_init(url, "a", "wrong").open(url, timeout=5)

    def test_clear_text(self):
        for url in ("http://example.com/", "ftp://localhost/", "http://localhost.example.com/"):
            with self.assertRaises(ValueError):
                api_tools.auth_init(url, "a", "b")
        api_tools.auth_init("https://example.com/", "a", "b")


class Conf(Case):
    def test_read(self):
        self.conf("t", "# a = comment\na = 1\n b = two words \nc=x=y\na = last\nnothing\n")
        self.assertEqual(conf_tools.read("t"), {"a": "last", "b": "two words", "c": "x=y"})
        self.assertEqual(conf_tools.read("missing"), {})
        self.assertEqual(conf_tools.library(), str(self.work / "lib"))
        del os.environ["LDI_LIB"]
        self.assertTrue(os.path.isdir(os.path.join(conf_tools.library(), "modules")))
        self.assertIn("corp", conf_tools.read("network"))

    def test_read_shell(self):
        path = self.work / "os-release"
        path.write_text("# x\nNAME=\"Two Words\"\nID=debian\nBROKEN='open\nV='1'\n")
        self.assertEqual(conf_tools.read_shell(str(path)), {"NAME": "Two Words", "ID": "debian", "V": "1"})
        self.assertEqual(conf_tools.read_shell("/missing"), {})


class Collect(Case):
    def test_emit(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            collect_tools.emit({"b": 1, "a": ["ü"]})
        self.assertEqual(out.getvalue(), '{"a": ["ü"], "b": 1}\n')

    def test_stable(self):
        self.assertEqual(collect_tools.stable("x", "unknown"), "unknown")
        self.assertEqual(collect_tools.stable("x", [1]), [1])
        self.assertEqual(collect_tools.stable("x", "unknown"), [1])
        self.assertEqual(collect_tools.stable("y", "unknown"), "unknown")
        self.assertEqual(collect_tools.stable("x", 2), 2)
        with mock.patch("shell_tools.get_unix_time", lambda: int(time.time()) + 31 * 86400):
            self.assertEqual(collect_tools.stable("x", "unknown"), "unknown")
            self.assertEqual(collect_tools.stable("x", "unknown", days=40), 2)
        (self.work / "state/last-x.json").write_text("broken")
        self.assertEqual(collect_tools.stable("x", "unknown"), "unknown")
        del os.environ["LDI_STATE_DIR"]
        self.assertEqual(collect_tools.stable("z", json.loads("1")), 1)


class Accounts(Case):
    def setUp(self):
        super().setUp()
        self.conf("directory", "domain = ad.example.com\nuser = joiner\nou = OU=Laptops\n")
        self.secret = self.work / "secret"
        self.secret.write_text("hunter2\n")
        self.secret.chmod(0o600)
        os.environ["LDI_AD_PASSWORD_FILE"] = str(self.secret)
        for tool in ("systemsetup", "timedatectl", "dseditgroup", "usermod", "dscacheutil", "sss_cache"):
            self.stub(tool)

    def test_bind_linux(self):
        self.pretend("linux")
        self.stub_body("realm", '[ "$1" != join ] || cat >"%s/stdin"' % self.work)
        account_tools.bind_to_ad(hostname="lap-1.example.com")
        self.assertEqual(
            self.calls()[-1], "realm join --user=joiner --computer-name=lap-1 --computer-ou=OU=Laptops ad.example.com"
        )
        self.assertEqual((self.work / "stdin").read_text(), "hunter2\n")
        self.stub_body("realm", '[ "$1" = list ] && exit 0; cat >/dev/null; echo "wrong: hunter2" >&2; exit 1')
        with self.assertRaises(RuntimeError) as caught:
            account_tools.bind_to_ad(loaner=True, hostname="lap-1")
        self.assertNotIn("hunter2", str(caught.exception))

    def test_bind_macos(self):
        self.pretend("macos")
        self.stub("dsconfigad", "Active Directory Domain          = ad.example.com\n")
        account_tools.bind_to_ad(hostname="a-very-long-computer-name")
        calls = [call for call in self.calls() if call.startswith("dsconfigad") and "-show" not in call]
        self.assertIn("-remove", calls[0])
        self.assertIn("-add ad.example.com -computer a-very-long-com ", calls[1])
        self.assertEqual(calls[2], "dsconfigad -mobile enable -mobileconfirm disable")

    def test_bind_refuses(self):
        self.pretend("linux")
        self.stub("realm")
        with self.assertRaises(ValueError):
            account_tools.bind_to_ad(hostname="-x;y")
        self.secret.chmod(0o644)
        with self.assertRaises(PermissionError):
            account_tools.bind_to_ad(hostname="x")
        del os.environ["LDI_AD_PASSWORD_FILE"]
        with self.assertRaisesRegex(RuntimeError, "LDI_AD_PASSWORD_FILE"):
            account_tools.bind_to_ad(hostname="x")
        self.conf("directory", "")
        with self.assertRaisesRegex(RuntimeError, "set domain and user in conf/directory.conf"):
            account_tools.bind_to_ad()
        self.assertEqual(self.calls(), [])

    def test_is_bound(self):
        self.pretend("macos")
        for stdout, status, expected in (("Active Directory Domain = x", 0, True), ("", 0, False), ("", 1, "unknown")):
            self.stub("dsconfigad", stdout, status)
            self.assertEqual(account_tools.is_bound_to_ad(), expected)
        self.pretend("linux")
        for stdout, status, expected in (("ad.example.com\n", 0, True), ("", 0, False), ("", 1, "unknown")):
            self.stub("realm", stdout, status)
            self.assertEqual(account_tools.is_bound_to_ad(), expected)

    def test_make_admin(self):
        self.pretend("macos")
        account_tools.make_admin(username="ann")
        self.assertEqual(self.calls(), ["dseditgroup -o edit -a ann -t user admin"])
        self.pretend("linux")
        for groups, expected in (("sudo", "wheel"), "sudo"), (("wheel",), "wheel"):
            with mock.patch.object(grp, "getgrall", lambda groups=groups: [mock.Mock(gr_name=name) for name in groups]):
                account_tools.make_admin("ann")
            self.assertEqual(self.calls()[-1], "usermod -a -G %s ann" % expected)
        with mock.patch.object(grp, "getgrall", lambda: []), self.assertRaises(sys_tools.NotSupported):
            account_tools.make_admin("ann")
        with self.assertRaises(ValueError):
            account_tools.make_admin("-G root")

    def test_create_mobile_account(self):
        self.pretend("linux")
        with self.assertRaises(sys_tools.NotSupported):
            account_tools.create_mobile_account("ann")
        self.pretend("macos")
        with mock.patch.object(account_tools, "act") as act:
            account_tools.create_mobile_account(ad_account="ann")
        self.assertEqual([call[0][0][1:3] for call in act.call_args_list], [["-n", "ann"], ["-o", "edit"]])

    def test_flush(self):
        self.pretend("macos")
        account_tools.flush_ad_cache()
        self.pretend("linux")
        account_tools.flush_ad_cache()
        self.assertEqual(self.calls(), ["dscacheutil -flushcache", "sss_cache -E"])
