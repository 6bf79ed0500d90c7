"""The network: is it there, and waiting for it. What counts is said by conf/network.conf."""

import conf_tools

# Seconds that one probe may take.
PROBE_SECONDS = 5


def check_corp_network():
    """Returns whether one of the probes "corp" of conf/network.conf answers; none set: False."""
    return any(_probe(target) for target in conf_tools.read("network").get("corp", "").split())


def check_network(url=None):
    """Returns whether the network is there.

    url: an http(s) URL; any answer counts, an error page too. Without: one of the probes
    "internet" of conf/network.conf; none set: whether there is a default route.
    """
    if url:
        return _answer(url) is not None
    targets = conf_tools.read("network").get("internet", "").split()
    if targets:
        return any(_probe(target) for target in targets)
    return _has_default_route()


def wait_for_corp(interval=3, deadline=4 * 3600):
    """Returns True once check_corp_network is, False after deadline seconds."""
    import time

    end = time.monotonic() + deadline
    while not check_corp_network():
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(interval, left))
    return True


def _probe(target):
    """HOST:PORT: a TCP connection. URL: an answer of 200 to 299, so no log-in page of a hotspot."""
    if target.startswith(("http://", "https://")):
        status = _answer(target)
        return status is not None and 200 <= status < 300
    import socket

    host, _, port = target.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError('"%s" is not a probe; conf/network.conf takes HOST:PORT or an http(s) URL' % target)
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
        return True
    except (OSError, OverflowError):
        return False


def _answer(url):
    """The HTTP status that a URL answers with, redirects not followed; None if none comes."""
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise ValueError('"%s" is not a URL; it must begin with http:// or https://' % url)

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        with urllib.request.build_opener(Stay).open(url, timeout=PROBE_SECONDS) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None


def _has_default_route():
    import os

    if not os.path.exists("/proc/net/route"):
        import shell_tools

        return any(
            shell_tools.run(["route", "-n", "get"] + family + ["default"], timeout=10)["success"]
            for family in ([], ["-inet6"])
        )
    with open("/proc/net/route") as routes:
        if any(line.split()[1:2] == ["00000000"] for line in routes):
            return True
    try:
        with open("/proc/net/ipv6_route") as routes:
            for line in routes:
                words = line.split()
                # The kernel keeps a ::/0 through lo that means "none".
                if len(words) == 10 and words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
                    return True
    except OSError:
        pass
    return False
