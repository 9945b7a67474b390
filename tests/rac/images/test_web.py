"""Images over http: bounded, and never from a private network unasked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rac.images import BadImage, ImageLimits, Reason, read_image_bytes, web
from rac.images.addresses import is_public, resolve

OPEN = ImageLimits(allow_private_hosts=True, timeout_s=5)


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/a%20b.png?size=1":
            self._answer(b"picture")
        elif self.path == "/large":
            self._answer(b"x" * 3000)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b"x" * 1000)
            except OSError:
                return
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"too little")
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                return
        elif self.path == "/loop":
            self._redirect("/loop")
        elif self.path == "/moved":
            self._redirect("/a%20b.png?size=1")
        elif self.path == "/to-file":
            self._redirect("file:///etc/passwd")
        elif self.path == "/to-private":
            self._redirect("http://10.0.0.1/x.png")
        else:
            self.send_error(404)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    shop = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    shop.daemon_threads = True
    thread = threading.Thread(target=shop.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{shop.server_port}"
    shop.shutdown()
    shop.server_close()


def failure(url: str, limits: ImageLimits = OPEN) -> BadImage:
    with pytest.raises(BadImage) as caught:
        read_image_bytes(url, None, limits)
    return caught.value


def test_reads_and_follows(server: str) -> None:
    assert read_image_bytes(f"{server}/a b.png?size=1", None, OPEN) == b"picture"
    assert read_image_bytes(f"{server}/a%20b.png?size=1", None, OPEN) == b"picture"
    assert read_image_bytes(f"{server}/moved", None, OPEN) == b"picture"


def test_errors_of_servers(server: str) -> None:
    assert failure(f"{server}/none").reason is Reason.FETCH_FAILED
    assert "404" in failure(f"{server}/none").detail
    assert "redirects" in failure(f"{server}/loop").detail
    assert failure(f"{server}/short").reason is Reason.FETCH_FAILED
    assert failure(f"{server}/to-file").reason is Reason.UNSUPPORTED
    assert failure("http://127.0.0.1:9/x.png").reason is Reason.FETCH_FAILED
    assert failure("http://[broken/x.png").reason is Reason.UNSUPPORTED


def test_sizes_announced_and_not(server: str) -> None:
    small = ImageLimits(allow_private_hosts=True, max_bytes=2999)
    assert failure(f"{server}/large", small).reason is Reason.TOO_MANY_BYTES
    assert failure(f"{server}/endless", small).reason is Reason.TOO_MANY_BYTES


def test_a_dripping_server_is_cut_at_the_deadline(server: str) -> None:
    started = time.monotonic()
    hasty = ImageLimits(allow_private_hosts=True, timeout_s=0.4)
    assert failure(f"{server}/drip", hasty).reason is Reason.FETCH_FAILED
    assert time.monotonic() - started < 2


def test_this_machine_is_refused_unless_allowed(server: str) -> None:
    error = failure(f"{server}/a b.png?size=1", ImageLimits())
    assert error.reason is Reason.BLOCKED_HOST
    assert "--allow-private-hosts" in error.detail
    local = server.replace("127.0.0.1", "localhost")
    assert failure(f"{local}/a.png", ImageLimits()).reason is Reason.BLOCKED_HOST


def test_a_redirect_into_a_private_network_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host passes as public here; the one it redirects to must be judged as well."""

    def lenient_once(host: str, port: int, *, allow_private: bool) -> list[str]:
        return resolve(host, port, allow_private=allow_private or host == "127.0.0.1")

    monkeypatch.setattr(web, "resolve", lenient_once)
    assert failure(f"{server}/to-private", ImageLimits()).reason is Reason.BLOCKED_HOST


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
     "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]"])
def test_odd_spellings_of_this_machine(host: str) -> None:
    assert failure(f"http://{host}/x.png", ImageLimits()).reason in (
        Reason.BLOCKED_HOST,
        Reason.FETCH_FAILED,
    )
