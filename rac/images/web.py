"""Images over http(s): bounded in time and size, and never from a private network unasked."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from urllib.parse import quote, urljoin, urlsplit

from rac.images.addresses import resolve
from rac.images.faults import BadImage, Reason
from rac.images.limits import ImageLimits

_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = "%/:=&?~#+!$,;'@()*[]"
_HEADERS = {
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "rac",
}


def fetch(url: str, limits: ImageLimits) -> bytes:
    """Read one http(s) URL.

    Every host on the way (redirects as well) is resolved and checked before it is connected to.
    Proxies of the environment are not used: behind one, the check would judge the wrong host.

    Args:
        url: an http or https URL.
        limits: size, total time, redirects, and whether private hosts may be read.

    Raises:
        BadImage: ``BLOCKED_HOST``, ``FETCH_FAILED``, ``TOO_MANY_BYTES`` or ``UNSUPPORTED``.
    """
    deadline = time.monotonic() + limits.timeout_s
    for _ in range(limits.max_redirects + 1):
        answer = _get(url, limits, deadline)
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise BadImage(Reason.FETCH_FAILED, f"more than {limits.max_redirects} redirects")


def _get(url: str, limits: ImageLimits, deadline: float) -> bytes | str:
    """Give the body of one URL, or the URL that it redirects to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadImage(Reason.UNSUPPORTED, f"not a valid URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise BadImage(Reason.UNSUPPORTED, f"not an http(s) address: {parts.scheme}://{host}")
    if port == 0:
        raise BadImage(Reason.UNSUPPORTED, "port 0 is not an address")
    port = port or (443 if parts.scheme == "https" else 80)
    addresses = resolve(host, port, allow_private=limits.allow_private_hosts)
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
            return urljoin(url, target)
        if response.status != 200:
            raise BadImage(
                Reason.FETCH_FAILED, f"{host} answered {response.status} {response.reason}"
            )
        return _body(response, limits, deadline, host)
    except BadImage:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise _too_slow(host, limits) from error
        raise BadImage(Reason.FETCH_FAILED, f"{host}: {error or type(error).__name__}") from error
    finally:
        connection.close()


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
        raise BadImage(Reason.FETCH_FAILED, f"{host} sent {total:,} of {int(announced):,} bytes")
    return b"".join(pieces)


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
