"""Images over http(s): bounded in time and size, and never from a private network unasked."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import lru_cache
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from rac.images.addresses import resolve
from rac.images.faults import BadImage, Reason
from rac.images.limits import ImageLimits

_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S = 0.5
_LONGEST_URL = 8192
_PACKED = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})
_SAFE = "%/:=&?~#+!$,;'@()*[]"
_HEADERS = {
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "rac",
}


class _TransientFault(BadImage):
    """A fault that may pass: the server is busy, or the connection broke."""

    def __init__(self, detail: str, retry_after_s: float = 0.0) -> None:
        super().__init__(Reason.FETCH_FAILED, detail)
        self.retry_after_s = retry_after_s


def fetch(url: str, limits: ImageLimits) -> bytes:
    """Read one http(s) URL.

    Every host on the way (redirects as well) is resolved and checked before it is connected to.
    Proxies of the environment are not used: behind one, the check would judge the wrong host.

    A server that is busy (429, 503, ...) or breaks off is asked again after a pause that doubles,
    or as long as it asks for; at most ``max_per_host`` images are fetched from one at a time.
    Neither the wait for a place in that queue nor anything before it counts for the time-out.

    Names, passwords and control characters in a URL are refused, not passed over: what is asked for
    is what stands there.

    Args:
        url: an http or https URL.
        limits: size, total time, attempts, redirects, and whether private hosts may be read.

    Raises:
        BadImage: ``BLOCKED_HOST``, ``FETCH_FAILED``, ``TOO_MANY_BYTES`` or ``UNSUPPORTED``.
    """
    with _places(_host(url), limits.max_per_host):
        deadline = time.monotonic() + limits.timeout_s
        for attempt in range(1, limits.attempts + 1):
            try:
                return _follow(url, limits, deadline)
            except _TransientFault as fault:
                # Half of the pause is drawn, so that clients turned away together do not come
                # back together.
                pause = _FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311
                pause = max(pause, fault.retry_after_s)
                if attempt == limits.attempts or time.monotonic() + pause >= deadline:
                    tried = f" ({attempt} attempts)" if attempt > 1 else ""
                    raise BadImage(fault.reason, fault.detail + tried) from fault
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


@lru_cache(maxsize=4096)
def _places(host: str, count: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(count)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # refused, with its reason, when it is asked for


def _follow(url: str, limits: ImageLimits, deadline: float) -> bytes:
    """Give the body of a URL, redirects followed."""
    for _ in range(limits.max_redirects + 1):
        answer = _get(url, limits, deadline)
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise BadImage(Reason.FETCH_FAILED, f"more than {limits.max_redirects} redirects")


def _get(url: str, limits: ImageLimits, deadline: float) -> bytes | str:
    """Give the body of one URL, or the URL that it redirects to."""
    parts, host, port = _parse(url)
    addresses = resolve(
        host,
        port,
        allow_private=limits.allow_private_hosts,
        timeout_s=deadline - time.monotonic(),
    )
    connection = _Connection(host, port, addresses, deadline, secure=parts.scheme == "https")
    path = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=_SAFE)
    try:
        connection.request("GET", path, headers=_HEADERS)
        response = connection.getresponse()
        if response.status in _REDIRECTS:
            target = response.getheader("Location")
            if not target:
                raise BadImage(Reason.FETCH_FAILED, f"{host} redirects to nowhere")
            return _redirected(url, target)
        # The server's own words for it may be anything; those of the standard say as much.
        said = f"{response.status} {http.client.responses.get(response.status, '')}".rstrip()
        if response.status in _BUSY:
            raise _TransientFault(
                f"{host} answered {said}", _retry_after(response.getheader("Retry-After"))
            )
        if response.status != 200:
            raise BadImage(Reason.FETCH_FAILED, f"{host} answered {said}")
        packed = (response.getheader("Content-Encoding") or "").strip().lower()
        if packed in _PACKED:
            raise BadImage(
                Reason.FETCH_FAILED, f"{host} sent it packed ({packed}), though asked not to"
            )
        return _body(response, limits, deadline, host)
    except BadImage:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise _too_slow(host, limits) from error
        raise _TransientFault(f"{host}: {error or type(error).__name__}") from error
    finally:
        connection.close()


def _parse(url: str) -> tuple[SplitResult, str, int]:
    """Take a URL apart; give its parts, its host and its port.

    Raises:
        BadImage: ``UNSUPPORTED``. The message never holds a name or password of the URL.
    """
    if len(url) > _LONGEST_URL:
        raise BadImage(
            Reason.UNSUPPORTED,
            f"an address of {len(url):,} characters; the limit is {_LONGEST_URL:,}",
        )
    _refuse_control_characters(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadImage(Reason.UNSUPPORTED, "not a valid address") from error
    if "@" in parts.netloc:
        raise BadImage(
            Reason.UNSUPPORTED,
            "the address holds a user name or password, which is not sent; take it out",
        )
    if parts.scheme not in ("http", "https") or not host:
        raise BadImage(Reason.UNSUPPORTED, f"not an http(s) address: {parts.scheme}://{host or ''}")
    if port == 0:
        raise BadImage(Reason.UNSUPPORTED, "port 0 is not an address")
    return parts, host, port or (443 if parts.scheme == "https" else 80)


def _refuse_control_characters(url: str) -> None:
    # urllib leaves them out, and goes on with what remains.
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in url):
        raise BadImage(Reason.UNSUPPORTED, "the address holds a control character")


def _redirected(url: str, header: str) -> str:
    """Give the address that a Location header leads to from a URL.

    Raises:
        BadImage: ``UNSUPPORTED``.
    """
    with suppress(UnicodeError):
        # http.client takes headers for Latin-1; servers write UTF-8.
        header = header.encode("latin-1").decode("utf-8")
    _refuse_control_characters(header)
    try:
        return urljoin(url, header)
    except ValueError as error:
        raise BadImage(Reason.UNSUPPORTED, "not a valid address") from error


def _body(
    response: http.client.HTTPResponse, limits: ImageLimits, deadline: float, host: str
) -> bytes:
    announced = response.getheader("Content-Length")
    if announced and announced.isdecimal() and int(announced) > limits.max_bytes:
        raise BadImage(
            Reason.TOO_MANY_BYTES, f"{int(announced):,} bytes; the limit is {limits.max_bytes:,}"
        )
    pieces: list[bytes] = []
    total = 0
    while piece := response.read1(_CHUNK_BYTES):
        total += len(piece)
        if total > limits.max_bytes:
            raise BadImage(
                Reason.TOO_MANY_BYTES, f"more than the limit of {limits.max_bytes:,} bytes"
            )
        if time.monotonic() >= deadline:
            raise _too_slow(host, limits)
        pieces.append(piece)
    if time.monotonic() >= deadline:
        raise _too_slow(host, limits)
    if announced and announced.isdecimal() and total < int(announced):
        raise _TransientFault(f"{host} sent {total:,} of {int(announced):,} bytes")
    return b"".join(pieces)


def _retry_after(header: str | None) -> float:
    """Read the seconds that a server asks to be left alone; dates, which are rare, count as 0."""
    return float(header) if header is not None and header.isdecimal() else 0.0


def _too_slow(host: str, limits: ImageLimits) -> BadImage:
    return BadImage(Reason.FETCH_FAILED, f"{host} took longer than {limits.timeout_s:g} s")


class _Connection(http.client.HTTPConnection):
    """A connection to addresses that were checked, cut when the deadline passes.

    A socket's time-out bounds each read; a server that drips one byte now and then passes it. So
    a timer shuts the socket down at the deadline, whatever is being waited for.
    """

    def __init__(
        self, host: str, port: int, addresses: list[str], deadline: float, *, secure: bool
    ) -> None:
        super().__init__(host, port, timeout=max(0.01, deadline - time.monotonic()))
        self.default_port = 443 if secure else 80
        self._addresses = addresses
        self._deadline = deadline
        self._secure = secure
        self._timer: threading.Timer | None = None

    def connect(self) -> None:
        failure: OSError | None = None
        for address in self._addresses:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            try:
                self.sock = socket.create_connection((address, self.port), timeout=left)
                break
            except OSError as error:
                failure = error
        else:
            raise failure or OSError("no address")
        self._timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._cut)
        self._timer.daemon = True
        self._timer.start()
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()

    def _cut(self) -> None:
        live = self.sock
        if live is not None:
            try:
                live.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().close()
