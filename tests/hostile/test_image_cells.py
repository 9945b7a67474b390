"""Cells of an image column as an attacker, or a careless export, writes them."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.embedding import embed_table
from rac.images import BadImage, ImageLimits, Reason, addresses, decode_pixels, read_image_bytes
from rac.tables import open_table
from tests.hostile.table import Promise
from tests.toy import ToyEncoder, toy_image

R = Reason
MARKER = "secret.png"
"""A readable image beside the table's folder; none of its pixels may ever be seen."""

OUT = [
    "../secret.png", "photos/../../secret.png", "./../secret.png", "photos/..//../secret.png",
    "photos/./../../secret.png", "../shop/../secret.png", "..", "../", "photos/../..",
    "../" * 40 + "etc/passwd", "../" * 40 + "proc/self/environ", "..\\secret.png",
    "photos\\..\\..\\secret.png", "..\\..\\..\\..\\etc\\passwd", "../shop-private/1.png",
    "/", "//", "///", "/etc/passwd", "//etc/passwd", "/./etc/passwd", "/etc/../etc/passwd",
    "\\etc\\passwd",
    "/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/proc/self/root/etc/passwd",
    "/proc/self/cwd/secret.png", "/proc/kcore", "/dev/zero", "/dev/random", "/dev/urandom",
    "/dev/stdin", "/dev/fd/0", "/dev/tty", "/dev/null", "/dev/full", "/sys/kernel/notes",
    "/run/secrets/key", "/root/.ssh/id_rsa", "/tmp/../etc/shadow",  # noqa: S108
    "\\\\server\\share\\a.png", "//server/share/a.png", "\\\\?\\C:\\a.png", "\\\\.\\pipe\\a",
    "link-out.png", "link-link-out.png", "folder-out/secret.png", "link-zero.png",
    "link-proc.png", "link-dangling-out.png",
]  # fmt: skip
NOTHING = [
    "", " ", "\t", "\n", "\r\n", " \t ", "none.png", "photos/none.png", "photos/1.png/x",
    "photos/1.png/../../secret.png/x", "~/secret.png", "~root/.ssh/id_rsa", "$HOME/secret.png",
    "${HOME}/a.png", "%USERPROFILE%\\a.png", "%2e%2e%2fsecret.png", "..%2fsecret.png",
    "%00.png", "`touch marker`", "$(touch marker)", "; touch marker", "| touch marker",
    "&& touch marker", "photos/*.png", "photos/?.png", "[a-z].png", "-rf", "--help", "@list.txt",
    "C:\\Windows\\win.ini", "C:/Windows/win.ini", "c:a.png", "CON", "NUL", "aux.png", "a:b.png",
    "photos/1.png ", "1.png\n../secret.png", "\x1b[31mred\x1b[0m.png", "\x07.png", "a\x7f.png",
    "\u202egnp.1", "\u200b.png", "\ufeff1.png", "ﬁle.png", "é.png", "e\u0301.png", "\u0661.png",
    "a\0b", "\0", "photos/1.png\0.jpg", "../secret.png\0", "None", "nan", "NaN", "null", "N/A",
    "-", "0", "#REF!", "=HYPERLINK(\"x\")", "<img src=x>", "{{7*7}}", "{0}", "%s%n", "' OR 1=1",
    "mailto:a@b.c", "tel:123", "about:blank", "C::a",
    "link-dangling.png", "http:/one-slash.png", "http:x.png", "jar:http://a!/b",
    "photos/\udcff.png",
]  # fmt: skip
NO_FILE = [
    ".", "./", "photos", "photos/", "photos/.", "pipe.png", "socket.png", "link-loop.png",
    "link-loop-a.png", "link-pipe.png", "x" * 300, "x" * 5000, "a/" * 3000, "x" * 1_000_000,
    "\ud800.png",
]  # fmt: skip
BLOCKED_ADDRESSES = [
    "file:///etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "File:secret.png",
    "file://localhost/etc/passwd", "file://../secret.png", "local:///etc/passwd",
    "local://secret.png", " file:///etc/passwd", "\tfile:///etc/passwd",
]  # fmt: skip
OTHER_ADDRESSES = [
    "data:image/png;base64,AAAA", "DATA:,x", "data:" + "A" * 100_000, "javascript:alert(1)",
    "JavaScript://%0aalert(1)", "ftp://example.org/a.png", "ftps://example.org/a.png",
    "sftp://example.org/a.png", "ssh://example.org/a.png", "gopher://127.0.0.1:25/_a",
    "dict://127.0.0.1:11211/a", "ldap://127.0.0.1/a", "tftp://127.0.0.1/a", "smb://server/a",
    "telnet://127.0.0.1", "ws://127.0.0.1/a", "git://example.org/a",
    "github://a:b@/c", "hdfs://host/a", "webhdfs://host/a", "dbfs://host/a", "reference://a",
    "zip://x.png::file:///etc/passwd", "tar://x.png::file:///etc/passwd",
    "simplecache::file:///etc/passwd", "filecache::file:///etc/passwd",
    "blockcache::http://127.0.0.1/a", "simplecache::zip://a::memory://b",
    "memory://a::file:///etc/passwd", "s3://a::file:///etc/passwd", "dir::file:///etc",
    "libarchive://a::file:///etc/passwd", "view-source://a", "blob://a", "chrome://a",
    "s3://key:hunter2@bucket/a.png", "gs://key:hunter2@bucket/a.png",
    "http://", "https://", "http:///a.png", "http://:80/a.png", "http://[", "http://[::1",
    "http://[zz]/a.png", "http://127.0.0.1:0/a", "http://127.0.0.1:99999/a",
    "http://127.0.0.1:-1/a", "http://127.0.0.1:port/a", "http://user:hunter2@shop.test/a.png",
    "http://user@shop.test/a.png", "http://:hunter2@shop.test/a.png", "http://@shop.test/a.png",
    "http://shop.test\\@127.0.0.1/a.png", "http://shop.test/a\r\nHost: b", "http://shop.test/\ta",
    "http://shop\n.test/a", "http://shop.test/\0", "http://shop.test/\x7f",
    "http://shop.test/" + "a" * 9000, "https://shop.test/" + "a" * 1_000_000,
]  # fmt: skip
PRIVATE_HOSTS = [
    "http://127.0.0.1/a.png", "https://127.0.0.1/a.png", "HTTP://127.0.0.1/a.png",
    "http://127.0.0.1:22/a.png", "http://127.1/a.png", "http://127.0.1/a.png", "http://0/a.png",
    "http://2130706433/a.png", "http://0x7f000001/a.png", "http://0x7f.0.0.1/a.png",
    "http://0177.0.0.1/a.png", "http://017700000001/a.png", "http://0x7f.1/a.png",
    "http://localhost/a.png", "http://LOCALHOST/a.png", "http://localhost./a.png",
    "http://１２７.0.0.1/a.png", "http://127。0。0。1/a.png", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/a.png",  # noqa: RUF001
    "http://[::1]/a.png", "http://[0:0:0:0:0:0:0:1]/a.png", "http://[::]/a.png",
    "http://[::ffff:127.0.0.1]/a.png", "http://[::127.0.0.1]/a.png", "http://[fec0::1]/a.png",
    "http://[fe80::1]/a.png", "http://[fd00::1]/a.png", "http://[64:ff9b:1::7f00:1]/a.png",
    "http://[2002:7f00:1::]/a.png", "http://10.0.0.1/a.png", "http://192.168.0.1/a.png",
    "http://172.16.0.1/a.png", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/a.png",
    "http://rebind.test/a.png", "http://half.test/a.png", "http://metadata.test/a.png",
]  # fmt: skip
UNKNOWN_HOSTS = [
    "http://nowhere.test/a.png", "http://a..b/a.png", "http://" + "a" * 70 + ".test/a.png",
    "http://xn--a/a.png", "http://-/a.png", "http://256.256.256.256/a.png",
]  # fmt: skip
EMPTY_VALUES: list[Any] = [None, math.nan, b"", bytearray(), np.float64("nan")]
NO_VALUES: list[Any] = [
    0, 1, -1, 1.5, math.inf, True, False, [], ["photos/1.png"], {}, {"bytes": b"x", "path": None},
    ("photos/1.png",), {1}, object(), np.int64(3), Path("photos/1.png"), 10**30,
]  # fmt: skip
NO_IMAGES: list[tuple[bytes, Reason]] = [
    (b"\0", R.NOT_AN_IMAGE), (b" ", R.NOT_AN_IMAGE), (b"photos/1.png", R.NOT_AN_IMAGE),
    (b"<html></html>", R.NOT_AN_IMAGE), (b"\xff" * 100, R.NOT_AN_IMAGE),
    (bytes(10_000), R.NOT_AN_IMAGE), (b"GIF", R.NOT_AN_IMAGE), (b"BM", R.UNREADABLE),
    (b"GIF89a", R.TRUNCATED), (b"\xff\xd8\xff", R.TRUNCATED), (b"\xff\xd8\xff\xd9", R.UNREADABLE),
    (b"\x89PNG\r\n\x1a\n", R.TRUNCATED), (b"RIFF\x40\0\0\0WEBPVP8 ", R.TRUNCATED),
    (b"II*\0", R.UNREADABLE), (b"MM\0*\0\0\0\x08", R.UNREADABLE),
    (b"II+\0" + bytes(20), R.UNREADABLE),
    (b"P6\n", R.UNREADABLE), (b"P6 -1 -1 255\n", R.UNREADABLE), (b"P6 0 0 255\n", R.UNREADABLE),
    (b"\0\0\0\x18ftypavif", R.TRUNCATED), (b"\0\0\0\x18ftypheic", R.UNSUPPORTED),
    (b"\xff\x4f\xff\x51", R.UNREADABLE), (b"%PDF-1.7", R.UNSUPPORTED), (b"%!PS", R.UNSUPPORTED),
    (b"8BPS", R.UNSUPPORTED), (b"<svg onload='x'/>", R.UNSUPPORTED), (b"\0\0\1\0", R.UNSUPPORTED),
    (b"PK\3\4", R.NOT_AN_IMAGE), (b"\x1f\x8b\x08\0", R.NOT_AN_IMAGE),
    (b"#!/bin/sh\n", R.NOT_AN_IMAGE),
    (b"\x80\x04cposix\nsystem\n", R.NOT_AN_IMAGE), (b"{\"a\": 1}", R.NOT_AN_IMAGE),
]  # fmt: skip

TEXTS = [
    *((cell, R.BLOCKED_PATH) for cell in [*OUT, *BLOCKED_ADDRESSES]),
    *((cell, R.MISSING) for cell in NOTHING),
    *((cell, R.UNREADABLE) for cell in NO_FILE),
    *((cell, R.UNSUPPORTED) for cell in OTHER_ADDRESSES),
    *((cell, R.BLOCKED_HOST) for cell in PRIVATE_HOSTS),
    *((cell, R.FETCH_FAILED) for cell in UNKNOWN_HOSTS),
]
VALUES = [
    *((cell, R.MISSING) for cell in EMPTY_VALUES),
    *((cell, R.UNREADABLE) for cell in NO_VALUES),
]

PROMISES = [
    Promise(
        "image cells",
        "nothing outside the table's folder is opened, no private host is connected to, nothing is "
        "run, nothing hangs; each cell is put aside with its reason in one line",
        "paths and links that lead out, devices, pipes, control characters, URLs of every kind, "
        "hosts written in odd ways, wrong types, bytes that are no image",
        len(TEXTS) + len(VALUES) + len(NO_IMAGES),
    )
]

# What the resolver of a hostile domain answers.
_NAMES = {
    "localhost": ["127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "rebind.test": ["127.0.0.1"],
    "half.test": ["93.184.216.34", "10.0.0.1"],
    "metadata.test": ["169.254.169.254"],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    top = tmp_path_factory.mktemp("cells")
    folder = top / "shop"
    (folder / "photos").mkdir(parents=True)
    (top / "shop-private").mkdir()
    for place in (folder / "photos" / "1.png", top / MARKER, top / "shop-private" / "1.png"):
        toy_image("red").save(place)
    links = {
        "link-out.png": "../secret.png", "link-link-out.png": "link-out.png", "folder-out": "..",
        "link-zero.png": "/dev/zero", "link-proc.png": "/proc/self/environ",
        "link-dangling-out.png": "../none.png", "link-dangling.png": "none.png",
        "link-loop.png": "link-loop.png", "link-loop-a.png": "link-loop-b.png",
        "link-loop-b.png": "link-loop-a.png", "link-pipe.png": "pipe.png",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    here = os.getcwd()
    os.chdir(folder)  # the name of a socket is short
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket.png")
    os.chdir(here)
    yield folder
    listening.close()


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch, shop: Path) -> list[str]:
    """No name is looked up in earnest; what is opened outside, and each connection, is noted."""
    done: list[str] = []
    really_open, really_look_up = os.open, socket.getaddrinfo

    def noting_open(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = really_open(path, *arguments, **options)
        real = os.path.realpath(f"/proc/self/fd/{descriptor}")
        if not real.startswith(f"{shop}{os.sep}") and real != str(shop):
            done.append(f"opened {real}")
        return descriptor

    def look_up(host: str, port: int, **options: Any) -> list[Any]:
        name = host.encode("idna").decode("ascii").lower()
        if name in _NAMES:
            return [(2, 1, 6, "", (address, port)) for address in _NAMES[name]]
        found: list[Any] = really_look_up(name, port, flags=socket.AI_NUMERICHOST, **options)
        return found

    monkeypatch.setattr("rac.images.source.os.open", noting_open)
    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(
        socket, "create_connection", lambda *to, **_: done.append(f"connected to {to}")
    )
    return done


def _has_half_a_letter(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def put_aside(cell: Any, shop: Path) -> BadImage:
    with pytest.raises(BadImage) as caught:
        decode_pixels(read_image_bytes(cell, shop))
    fault = caught.value
    assert fault.detail.isprintable()
    assert 0 < len(fault.detail) < 420
    assert "hunter2" not in fault.detail
    return fault


@pytest.mark.parametrize(
    ("cell", "expected"), TEXTS, ids=[f"{n}-{c[:30]!a}" for n, (c, _) in enumerate(TEXTS)]
)
def test_texts(cell: str, expected: Reason, shop: Path, watched: list[str]) -> None:
    fault = put_aside(cell, shop)
    assert fault.reason is expected, fault
    assert watched == []
    assert not (shop / "marker").exists()


def _plain_id(value: object) -> str:
    """Name a cell; processes that share the tests must agree, and addresses differ."""
    return ascii(value)[:30].partition(" at 0x")[0]


@pytest.mark.parametrize(("cell", "expected"), VALUES, ids=_plain_id)
def test_values_of_other_types(cell: Any, expected: Reason, shop: Path) -> None:
    assert put_aside(cell, shop).reason is expected


@pytest.mark.parametrize(("cell", "expected"), NO_IMAGES, ids=lambda value: ascii(value)[:30])
def test_bytes_that_are_no_image(cell: bytes, expected: Reason, shop: Path) -> None:
    fault = put_aside(cell, shop)
    assert fault.reason is expected, fault


def test_a_job_over_all_of_them_embeds_the_good_rows_and_nothing_else(
    shop: Path, watched: list[str], tmp_path: Path
) -> None:
    # What a Parquet file cannot hold cannot come from one.
    cells = [
        (cell, reason) for cell, reason in TEXTS if "\ud800" not in cell and "\udcff" not in cell
    ]
    column = ["photos/1.png", *(cell for cell, _ in cells), "photos/1.png"]
    rows = pa.table({"id": [str(n) for n in range(len(column))], "image": column})
    pq.write_table(rows, shop / "table.parquet")
    encoder = ToyEncoder()
    batches = list(
        embed_table(
            open_table(str(shop / "table.parquet")), encoder, limits=ImageLimits(), progress=False
        )
    )
    reasons = [reason for batch in batches for reason in batch.reasons]
    assert [reasons[0], reasons[-1]] == [None, None]
    assert [str(reason).partition(":")[0] for reason in reasons[1:-1]] == [r for _, r in cells]
    assert len(cells) > 200
    # The same image twice, perhaps in one batch.
    assert 1 <= encoder.images_encoded <= 2
    assert [one for one in watched if "table.parquet" not in one] == []


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/dev/random", "/dev/stdin", "/dev/null", "/dev/full"]
)
def test_a_device_is_never_read_even_where_every_path_is_allowed(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rac.images.source.os.read", lambda *_: pytest.fail("a device was read"))
    with pytest.raises(BadImage, match="not a file"):
        read_image_bytes(path, None, ImageLimits(allow_outside=True))
