"""The network: is it there, waiting for it, and fetching from it. What counts as there is said by
conf/network.conf.
"""

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


def download(url, sha256, path, megabytes=4096):
    """Makes path the content of url, if its SHA-256 is the one given; returns whether it was fetched.

    A path that has it already: nothing is fetched. https only, and http from this machine itself,
    after redirects too. Fetched beside path and renamed, mode 0644; more than megabytes, another
    hash, no answer: RuntimeError, and path is as it was. Under LDI_NOOP=1 nothing is fetched.
    """
    import hashlib
    import http.client
    import os
    import tempfile
    import urllib.request

    import fs_tools
    import shell_tools

    sha256 = sha256.lower()
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError('"%s" is not a SHA-256; it has 64 hexadecimal digits' % sha256)
    _may_fetch(url)
    if os.path.isfile(path) and fs_tools.sha256(path) == sha256:
        return False
    if shell_tools.would("download %s to %s" % (url, path)):
        return True

    class Follow(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request, fp, code, message, headers, address):
            _may_fetch(address)
            return super().redirect_request(request, fp, code, message, headers, address)

    handle, new = tempfile.mkstemp(prefix=".download.", dir=os.path.dirname(path) or ".")
    try:
        got, left = hashlib.sha256(), megabytes * 1024 * 1024
        try:
            with open(handle, "wb") as file, urllib.request.build_opener(Follow).open(url, timeout=60) as answer:
                for piece in iter(lambda: answer.read(65536), b""):
                    left -= len(piece)
                    if left < 0:
                        raise ValueError("it has more than %d MB" % megabytes)
                    got.update(piece)
                    file.write(piece)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RuntimeError("%s could not be fetched: %s; %s was left as it was" % (url, error, path)) from error
        if got.hexdigest() != sha256:
            what = (url, got.hexdigest(), sha256, path)
            raise RuntimeError("%s has SHA-256 %s, not %s; %s was left as it was" % what)
        os.chmod(new, 0o644)
        os.replace(new, path)
    except BaseException:
        os.remove(new)
        raise
    return True


def ask(url, document=None, limit=65536):
    """Returns what a web service answers (bytes, at most limit), or None if it does not answer with 200.

    document: what is sent as JSON by POST; None: GET. https only, and http to this machine itself; a
    redirect is no answer.
    """
    import http.client
    import json
    import urllib.request

    _may_fetch(url)
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.build_opener(_stay()).open(request, timeout=PROBE_SECONDS) as answer:
            content = answer.read(limit + 1)
            return content if answer.status == 200 and len(content) <= limit else None
    except (OSError, http.client.HTTPException):
        return None


def _may_fetch(url):
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValueError('"%s" is refused; give an https:// address' % url)


def _stay():
    """Makes urllib follow no redirect."""
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    return Stay


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

    try:
        with urllib.request.build_opener(_stay()).open(url, timeout=PROBE_SECONDS) as answer:
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
