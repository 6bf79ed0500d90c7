import socket
import time
import unittest
from unittest import mock

import loopback
from ldi_test import Case

import net_tools


class Network(Case):
    def setUp(self):
        super().setUp()
        self.server, port = loopback.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.listens, self.web = "127.0.0.1:%d" % port, "http://127.0.0.1:%d" % port
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.closed = "127.0.0.1:%d" % free.getsockname()[1]

    def probes(self, corp, internet=""):
        self.conf("network", "corp = %s\ninternet = %s\n" % (corp, internet))

    def test_check_corp_network(self):
        for probes, expected in (
            ("", False),
            (self.closed, False),
            (self.listens, True),
            (self.closed + "  " + self.web + "/ok", True),
            (self.web + "/portal", False),
            (self.web + "/broken", False),
        ):
            self.probes(probes)
            self.assertIs(net_tools.check_corp_network(), expected, probes)

    def test_slow(self):
        self.probes(self.web + "/slow")
        with mock.patch.object(net_tools, "PROBE_SECONDS", 0.3):
            self.assertFalse(net_tools.check_corp_network())

    def test_not_a_probe(self):
        for probe in ("host", "file:///etc/passwd", ":80", "h:x"):
            self.probes(probe)
            with self.assertRaises(ValueError):
                net_tools.check_corp_network()

    def test_check_network(self):
        self.assertTrue(net_tools.check_network(self.web + "/ok"))
        self.assertTrue(net_tools.check_network(url=self.web + "/broken"))
        self.assertFalse(net_tools.check_network("http://" + self.closed))
        with self.assertRaises(ValueError):
            net_tools.check_network("file:///etc/passwd")
        self.probes("", self.closed)
        self.assertFalse(net_tools.check_network())
        self.probes("", self.listens)
        self.assertTrue(net_tools.check_network())
        self.probes("")
        self.assertIn(net_tools.check_network(), (True, False))

    def test_default_route_macos(self):
        with mock.patch("os.path.exists", lambda _: False):
            self.stub("route", status=1)
            self.assertFalse(net_tools.check_network())
            self.stub("route")
            self.assertTrue(net_tools.check_network())
        self.assertIn("route -n get -inet6 default", self.calls())

    def test_wait_for_corp(self):
        self.probes(self.listens)
        self.assertTrue(net_tools.wait_for_corp())
        self.probes(self.closed)
        began = time.monotonic()
        self.assertFalse(net_tools.wait_for_corp(interval=0.05, deadline=0.3))
        self.assertLess(time.monotonic() - began, 5)
