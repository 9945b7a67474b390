"""Web servers that answer wrongly, slowly or without end: one image each, and a bounded wait."""

from __future__ import annotations

import gzip
import itertools
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from rac.images import BadImage, ImageLimits, Reason, read_image_bytes, web
from tests.hostile.raw_server import Answer, RawServer, raw_server
from tests.hostile.table import Promise

R = Reason
OK = b"HTTP/1.1 200 OK\r\n"
PIXELS = b"picture"
LIMITS = ImageLimits(allow_private_hosts=True, timeout_s=5, attempts=2, max_bytes=10_000)
HASTY = ImageLimits(allow_private_hosts=True, timeout_s=0.25, attempts=2, max_bytes=10_000)


class Case(NamedTuple):
    """An answer, and what becomes of the image: its reason, or the bytes that are read."""

    name: str
    answer: Callable[[], Answer]
    outcome: Reason | bytes
    says: str = ""
    limits: ImageLimits = LIMITS
    asked: int = 1


def _with(*headers: bytes, body: bytes = PIXELS) -> bytes:
    return OK + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def _moved(location: bytes, status: bytes = b"302 Found") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nLocation: " + location + b"\r\n\r\n"


def _plain(status: bytes, *headers: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


def _endless(start: bytes, piece: bytes, pause: float = 0.0) -> Iterator[bytes | float]:
    yield start
    for _ in itertools.count():
        yield piece
        if pause:
            yield pause


_CHUNKED = b"Transfer-Encoding: chunked"
_LONG_CHUNK = b"400\r\n" + b"x" * 1024 + b"\r\n"

CASES = [
    # Headers.
    Case("plain", lambda: _with(b"Content-Length: 7"), PIXELS),
    Case("no-length", _with, PIXELS),
    Case("http-1.0", lambda: b"HTTP/1.0 200 OK\r\n\r\n" + PIXELS, PIXELS),
    Case("bare-newlines", lambda: b"HTTP/1.1 200 OK\nContent-Length: 7\n\n" + PIXELS, PIXELS),
    Case("many-headers", lambda: _with(*[b"a: b"] * 500), R.FETCH_FAILED, "100 headers", asked=2),
    Case("endless-headers", lambda: _endless(OK, b"a: b\r\n" * 100), R.FETCH_FAILED, "headers",
         asked=2),
    Case("endless-header-line", lambda: _endless(OK, b"a" * 10_000), R.FETCH_FAILED, "65536",
         asked=2),
    Case("endless-status-line", lambda: _endless(b"HTTP/1.1 200 ", b"a" * 10_000), R.FETCH_FAILED,
         "65536", asked=2),
    Case("drip-status", lambda: _endless(b"", b"H", 0.05), R.FETCH_FAILED, "longer than 0.25 s",
         HASTY),
    Case("drip-headers", lambda: _endless(OK, b"a", 0.05), R.FETCH_FAILED, "longer", HASTY),
    Case("silence", lambda: _endless(b"", b"", 0.05), R.FETCH_FAILED, "longer", HASTY),
    Case("endless-continue", lambda: _endless(b"", _plain(b"100 Continue"), 0.01), R.FETCH_FAILED,
         "longer", HASTY),
    Case("cookies", lambda: _with(*[b"Set-Cookie: a=b"] * 90), PIXELS),
    Case("no-colon", lambda: _with(b"nonsense", b"Content-Length: 7"), PIXELS),
    Case("header-with-nul", lambda: _with(b"X: a\0b"), PIXELS),
    # Status lines.
    Case("http-0.9", lambda: PIXELS, R.FETCH_FAILED, "picture", asked=2),
    Case("nothing", lambda: b"", R.FETCH_FAILED, asked=2),
    Case("other-protocol", lambda: b"SSH-2.0-OpenSSH_9\r\n", R.FETCH_FAILED, "SSH", asked=2),
    Case("no-status", lambda: b"HTTP/1.1\r\n\r\n", R.FETCH_FAILED, asked=2),
    Case("status-word", lambda: _plain(b"OK OK"), R.FETCH_FAILED, asked=2),
    Case("status-99", lambda: _plain(b"99 Low"), R.FETCH_FAILED, asked=2),
    Case("status-1000", lambda: _plain(b"1000 High"), R.FETCH_FAILED, asked=2),
    Case("switching", lambda: _plain(b"101 Switching Protocols"), R.FETCH_FAILED, "101"),
    Case("early-hints", lambda: _plain(b"103 Early Hints"), R.FETCH_FAILED, "103"),
    Case("created", lambda: _with().replace(b"200", b"201"), R.FETCH_FAILED, "201"),
    Case("no-content", lambda: _plain(b"204 No Content"), R.FETCH_FAILED, "204"),
    Case("partial", lambda: _with().replace(b"200", b"206"), R.FETCH_FAILED, "206"),
    Case("choices", lambda: _plain(b"300 Multiple Choices"), R.FETCH_FAILED, "300"),
    Case("not-modified", lambda: _plain(b"304 Not Modified"), R.FETCH_FAILED, "304"),
    Case("unauthorised", lambda: _plain(b"401 x", b"WWW-Authenticate: Basic"), R.FETCH_FAILED,
         "401 Unauthorized"),
    Case("words-of-the-server", lambda: _plain(b"404 \x1b[31m" + b"A" * 9000), R.FETCH_FAILED,
         "404 Not Found"),
    Case("unknown-status", lambda: _plain(b"999 \x07"), R.FETCH_FAILED, "999"),
    # Lengths.
    Case("announces-too-much", lambda: _with(b"Content-Length: 99999999"), R.TOO_MANY_BYTES,
         "99,999,999"),
    Case("announces-endlessly", lambda: _with(b"Content-Length: " + b"9" * 5000), R.FETCH_FAILED,
         asked=2),
    Case("sends-less", lambda: _with(b"Content-Length: 70"), R.FETCH_FAILED, "7 of 70", asked=2),
    Case("sends-more", lambda: _with(b"Content-Length: 3"), PIXELS[:3]),
    Case("negative-length", lambda: _with(b"Content-Length: -5"), PIXELS),
    Case("length-word", lambda: _with(b"Content-Length: many"), PIXELS),
    Case("no-bytes", lambda: _with(b"Content-Length: 0", body=b""), b""),
    Case("endless-body", lambda: _endless(OK + b"\r\n", b"x" * 5000), R.TOO_MANY_BYTES, "10,000"),
    Case("drip-body", lambda: _endless(OK + b"\r\n", b"x", 0.05), R.FETCH_FAILED, "longer", HASTY),
    Case("stops", lambda: [_with(b"Content-Length: 70"), 0.4], R.FETCH_FAILED, "longer", HASTY),
    # Chunks.
    Case("chunked", lambda: _with(_CHUNKED, body=b"7\r\npicture\r\n0\r\n\r\n"), PIXELS),
    Case("chunks-endless", lambda: _endless(_with(_CHUNKED, body=b""), _LONG_CHUNK),
         R.TOO_MANY_BYTES, "10,000"),
    Case("chunk-huge", lambda: _with(_CHUNKED, body=b"fffffffffff\r\nx"), R.FETCH_FAILED, asked=2),
    Case("chunk-garbage", lambda: _with(_CHUNKED, body=b"zz\r\nx"), R.FETCH_FAILED, asked=2),
    Case("chunk-cut", lambda: _with(_CHUNKED, body=b"7\r\npic"), R.FETCH_FAILED, asked=2),
    Case("chunk-size-endless", lambda: _endless(_with(_CHUNKED, body=b""), b"0" * 10_000),
         R.FETCH_FAILED, "65536", asked=2),
    Case("chunk-extension", lambda: _with(_CHUNKED, body=b"7;a=b\r\npicture\r\n0\r\n\r\n"), PIXELS),
    Case("trailers-endless",
         lambda: _endless(_with(_CHUNKED, body=b"7\r\npicture\r\n0\r\n"), b"a: b\r\n", 0.02),
         R.FETCH_FAILED, "longer", HASTY),
    # Packed, though asked not to.
    Case("gzip", lambda: _with(b"Content-Encoding: gzip", body=gzip.compress(bytes(10**6))),
         R.FETCH_FAILED, "packed (gzip)"),
    Case("deflate", lambda: _with(b"Content-Encoding: deflate", body=zlib.compress(bytes(10**6))),
         R.FETCH_FAILED, "packed (deflate)"),
    Case("brotli", lambda: _with(b"content-encoding:  BR "), R.FETCH_FAILED, "packed (br)"),
    Case("identity", lambda: _with(b"Content-Encoding: identity"), PIXELS),
    # Retries.
    Case("retry-in-years", lambda: _plain(b"503 x", b"Retry-After: 1000000000"), R.FETCH_FAILED,
         "503"),
    Case("retry-in-aeons", lambda: _plain(b"503 x", b"Retry-After: " + b"9" * 400), R.FETCH_FAILED,
         "503"),
    Case("retry-before-now", lambda: _plain(b"429 x", b"Retry-After: -5"), R.FETCH_FAILED, "429",
         asked=2),
    Case("retry-by-date", lambda: _plain(b"429 x", b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
         R.FETCH_FAILED, "2 attempts", asked=2),
    Case("retry-word", lambda: _plain(b"500 x", b"Retry-After: soon"), R.FETCH_FAILED, "500",
         asked=2),
    # Redirects.
    Case("moved", lambda: _moved(b"/good"), PIXELS, asked=2),
    Case("moved-for-good", lambda: _moved(b"/good", b"308 Permanent"), PIXELS, asked=2),
    Case("moved-relative", lambda: _moved(b"good"), PIXELS, asked=2),
    Case("moved-in-utf-8", lambda: _moved("/gr\u00fcn".encode()), PIXELS, asked=2),
    Case("moved-in-latin-1", lambda: _moved(b"/gr\xfcn"), PIXELS, asked=2),
    Case("moved-with-spaces", lambda: _moved(b"/a good one"), PIXELS, asked=2),
    Case("circle", lambda: _moved(b"/circle"), R.FETCH_FAILED, "5 redirects", asked=6),
    Case("circle-of-cookies", lambda: _moved(b"/circle-of-cookies\r\nSet-Cookie: a=b"),
         R.FETCH_FAILED, "redirects", asked=6),
    Case("to-nowhere", lambda: _plain(b"302 Found"), R.FETCH_FAILED, "nowhere"),
    Case("to-file", lambda: _moved(b"file:///etc/passwd"), R.UNSUPPORTED, "file"),
    Case("to-data", lambda: _moved(b"data:image/png;base64,AA"), R.UNSUPPORTED, "data"),
    Case("to-gopher", lambda: _moved(b"gopher://127.0.0.1/"), R.UNSUPPORTED, "gopher"),
    Case("to-store", lambda: _moved(b"s3://bucket/a"), R.UNSUPPORTED, "s3"),
    Case("to-name-and-password", lambda: _moved(b"http://a:hunter2@127.0.0.1/"), R.UNSUPPORTED,
         "password"),
    Case("to-control-characters", lambda: _moved(b"/a\tb\x0bc"), R.UNSUPPORTED, "control"),
    Case("to-folded-line", lambda: _moved(b"/a\r\n b"), R.UNSUPPORTED, "control"),
    Case("to-bad-port", lambda: _moved(b"http://127.0.0.1:99999/"), R.UNSUPPORTED, "valid"),
    Case("to-bad-host", lambda: _moved(b"http://[::1/"), R.UNSUPPORTED, "valid"),
    Case("to-long-address", lambda: _moved(b"/" + b"a" * 20_000), R.UNSUPPORTED, "20,0"),
]  # fmt: skip
PRIVATE_TARGETS = [
    "http://10.0.0.1/a.png", "http://[::1]/a.png", "http://169.254.169.254/", "http://localhost/",
    "https://192.168.0.1/", "//10.0.0.1/a.png", "http://[64:ff9b:1::7f00:1]/", "http://2130706433/",
]  # fmt: skip

PROMISES = [
    Promise(
        "web servers",
        "an image that a server withholds, or sends wrongly, slowly or without end, is put aside "
        "with its reason within its time and size",
        "headers, status lines, lengths, chunks, packed bodies, retries and redirects of every "
        "wrong kind; redirects into private networks; a handshake that never ends",
        len(CASES) + len(PRIVATE_TARGETS) + 1,
    )
]


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server() as running:
        for path in ("/good", "/gr%C3%BCn", "/a%20good%20one"):
            running.put(path, _with())
        yield running


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_FIRST_PAUSE_S", 0.001)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer(case: Case, server: RawServer) -> None:
    class Again:
        """Made anew for each request: a generator is used up by the first."""

        def __iter__(self) -> Iterator[bytes | float]:
            answer = case.answer()
            yield from [answer] if isinstance(answer, bytes) else answer

    server.put(f"/{case.name}", Again())
    before = len(server.asked)
    url = f"http://{server.address}/{case.name}"
    if isinstance(case.outcome, bytes):
        assert read_image_bytes(url, None, case.limits) == case.outcome
    else:
        fault = _failure(url, case.limits)
        assert fault.reason is case.outcome, fault
        assert case.says in fault.detail
    assert len(server.asked) - before == case.asked


@pytest.mark.parametrize("target", PRIVATE_TARGETS)
def test_a_redirect_into_a_private_network(
    target: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host counts as public here; the one that it leads to is judged like any other."""
    resolve = web.resolve
    hosts: list[str] = []

    def lenient_once(host: str, port: int, *, allow_private: bool, timeout_s: float) -> list[str]:
        hosts.append(host)
        allowed = allow_private or len(hosts) == 1
        return resolve(host, port, allow_private=allowed, timeout_s=timeout_s)

    monkeypatch.setattr(web, "resolve", lenient_once)
    server.put("/inwards", _moved(target.encode()))
    before = len(server.asked)
    fault = _failure(f"http://{server.address}/inwards", ImageLimits(timeout_s=5))
    assert fault.reason is R.BLOCKED_HOST, fault
    assert len(hosts) == 2
    assert len(server.asked) - before == 1


def test_a_handshake_that_never_ends(server: RawServer) -> None:
    server.put("/tls", _endless(b"", b"", 0.05))
    fault = _failure(f"https://{server.address}/a.png", HASTY)
    assert fault.reason is R.FETCH_FAILED
    assert "longer than 0.25 s" in fault.detail


def test_a_name_that_is_never_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver knows no time-out; the wait for it has one."""
    release = threading.Event()
    monkeypatch.setattr(
        "rac.images.addresses.socket.getaddrinfo", lambda *_, **__: [release.wait(10)][:0]
    )
    fault = _failure("http://slow.test/a.png", HASTY)
    release.set()
    assert fault.reason is R.FETCH_FAILED
    assert "was not found in" in fault.detail


def test_what_is_sent_names_nobody(server: RawServer) -> None:
    read_image_bytes(f"http://{server.address}/good", None, LIMITS)
    head = server.heads[-1].decode().lower()
    assert "cookie" not in head
    assert "authorization" not in head
    assert "referer" not in head


def _failure(url: str, limits: ImageLimits) -> BadImage:
    with pytest.raises(BadImage) as caught:
        read_image_bytes(url, None, limits)
    fault = caught.value
    assert fault.detail.isprintable()
    assert len(fault.detail) < 420
    assert "hunter2" not in fault.detail
    return fault
