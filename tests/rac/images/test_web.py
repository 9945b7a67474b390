"""Images over http: bounded, and never from a private network unasked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rac.images import BadImage, ImageLimits, Reason, read_image_bytes, web
from rac.images.addresses import is_public, resolve

OPEN = ImageLimits(allow_private_hosts=True, timeout_s=5)


SEEN: Counter[str] = Counter()
AT_ONCE = [0]
COUNTING = threading.Lock()


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_FIRST_PAUSE_S", 0.001)


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        SEEN[self.path] += 1
        if self.path == "/slow":
            with COUNTING:
                AT_ONCE.append(AT_ONCE[-1] + 1)
            time.sleep(0.05)
            with COUNTING:
                AT_ONCE.append(AT_ONCE[-1] - 1)
            self._answer(b"picture")
        elif self.path.startswith("/busy") and SEEN[self.path] <= int(self.path[-1]):
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
        elif self.path.startswith("/busy") or self.path == "/a%20b.png?size=1":
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


def test_a_busy_server_is_asked_again_and_a_plain_no_is_taken(server: str) -> None:
    assert read_image_bytes(f"{server}/busy2", None, OPEN) == b"picture"
    assert SEEN["/busy2"] == 3
    error = failure(f"{server}/busy9")
    assert "503" in error.detail
    assert "4 attempts" in error.detail
    assert SEEN["/busy9"] == OPEN.attempts == 4
    before = SEEN["/nowhere"]
    failure(f"{server}/nowhere")
    assert SEEN["/nowhere"] == before + 1


def test_a_server_that_asks_for_a_longer_pause_than_there_is_time(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_retry_after", lambda header: 3600.0)
    assert "503" in failure(f"{server}/busy8").detail
    assert SEEN["/busy8"] == 1


def test_one_host_is_asked_for_few_images_at_once(server: str) -> None:
    limits = ImageLimits(allow_private_hosts=True, max_per_host=3)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: web.fetch(f"{server}/slow", limits), range(24)))
    assert found == [b"picture"] * 24
    assert 1 < max(AT_ONCE) <= 3


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

    def lenient_once(host: str, port: int, *, allow_private: bool, timeout_s: float) -> list[str]:
        allowed = allow_private or host == "127.0.0.1"
        return resolve(host, port, allow_private=allowed, timeout_s=timeout_s)

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
