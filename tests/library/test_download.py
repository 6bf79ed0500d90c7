"""net_tools: download and ask, with a real web server of this machine."""

import contextlib
import hashlib
import http.server
import io
import os
import stat
import threading
from unittest import mock

import ldi_test

import net_tools

HELLO = hashlib.sha256(b"hello\n").hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response({"/moved": 302, "/away": 302, "/missing": 404}.get(self.path, 200))
        if self.path in ("/moved", "/away"):
            self.send_header("Location", "/hello" if self.path == "/moved" else "ftp://localhost/hello")
        self.end_headers()
        # No length: the end of the connection is the end of the content.
        self.wfile.write(b"x" * 3 * 1024 * 1024 if self.path == "/large" else b"hello\n")

    def do_POST(self):
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"yes": 1}')

    def log_message(self, *_):
        pass


class Network(ldi_test.Case):
    def setUp(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        self.base = "http://127.0.0.1:%d" % server.server_port
        self.file = str(self.work / "file")
        # A proxy of the person who runs the tests is not asked for this machine.
        os.environ["no_proxy"] = "*"

    def failed(self, pattern, path, sha256=HELLO, **options):
        with open(self.file, "w") as file:
            file.write("old")
        with self.assertRaisesRegex(RuntimeError, pattern):
            net_tools.download(self.base + path, sha256, self.file, **options)
        with open(self.file) as file:
            self.assertEqual(file.read(), "old")
        self.assertEqual([name for name in os.listdir(self.work) if name.startswith(".download")], [])


class Download(Network):
    def test_it_is_fetched_once(self):
        self.assertTrue(net_tools.download(self.base + "/hello", HELLO.upper(), self.file))
        with open(self.file) as file:
            self.assertEqual(file.read(), "hello\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o644)
        self.assertFalse(net_tools.download(self.base + "/hello", HELLO, self.file))
        self.assertEqual(Handler.asked, ["/hello"])

    def test_a_redirect(self):
        self.assertTrue(net_tools.download(self.base + "/moved", HELLO, self.file))
        self.failed("refused; give an https", "/away")

    def test_another_content(self):
        self.failed("has SHA-256 %s, not 0{64}" % HELLO, "/hello", "0" * 64)

    def test_no_answer(self):
        self.failed("could not be fetched: .*404", "/missing")

    def test_more_than_may_be(self):
        self.failed("more than 1 MB", "/large", megabytes=1)

    def test_what_is_refused(self):
        for url in (
            "http://example.com/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "http://localhost@example.com/",
            "",
        ):
            with self.assertRaisesRegex(ValueError, "https"):
                net_tools.download(url, HELLO, self.file)
        for sha256 in ("", "abc", "g" * 64):
            with self.assertRaisesRegex(ValueError, "64 hexadecimal"):
                net_tools.download(self.base, sha256, self.file)

    def test_dry_run(self):
        text = io.StringIO()
        with mock.patch.dict(os.environ, LDI_NOOP="1"), contextlib.redirect_stderr(text):
            self.assertTrue(net_tools.download(self.base + "/hello", HELLO, self.file))
        self.assertEqual(text.getvalue(), "would download %s/hello to %s\n" % (self.base, self.file))
        self.assertEqual((Handler.asked, os.path.exists(self.file)), ([], False))


class Ask(Network):
    def test_an_answer(self):
        self.assertEqual(net_tools.ask(self.base + "/hello"), b"hello\n")
        self.assertEqual(net_tools.ask(self.base, {"a": 1}), b'{"yes": 1}')
        self.assertEqual(Handler.asked, ["/hello", '{"a": 1}'])

    def test_none(self):
        for path in ("/missing", "/moved", "/large"):
            self.assertIsNone(net_tools.ask(self.base + path))
        with self.assertRaises(ValueError):
            net_tools.ask("http://example.com/")
