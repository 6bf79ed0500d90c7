"""A web server on loopback for tests: prints its port, ends after 60 s.

/ok answers 200, /portal redirects to /ok, /broken answers 500, /login asks for a:b by HTTP basic
authentication, /slow answers after 10 s.
"""

import base64
import http.server
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(10)
        code = {"/ok": 200, "/portal": 302, "/broken": 500, "/login": 401, "/slow": 200}.get(self.path, 404)
        if code == 401 and self.headers.get("Authorization") == "Basic " + base64.b64encode(b"a:b").decode():
            code = 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/ok")
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Length", "2")
        self.end_headers()
        try:
            self.wfile.write(b"ok")
        except OSError:
            pass

    def log_message(self, *_):
        pass


def start():
    """Returns (server, port)."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, server.server_address[1]


if __name__ == "__main__":
    print(start()[1], flush=True)
    time.sleep(60)
