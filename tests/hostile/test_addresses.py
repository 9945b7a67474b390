"""Which addresses count as the public internet, in whatever form they are written."""

from __future__ import annotations

import pytest

from rac.images.addresses import is_public
from tests.hostile.table import Promise

PRIVATE = [
    # This machine and this network.
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::", "::1", "::1%lo",  # noqa: S104
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
    "100.64.0.1", "100.127.255.255", "169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0",
    "febf::1", "fc00::1", "fdff:ffff::1", "fd00:ec2::254",
    # Nobody's, or everybody's.
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "ff02::1", "ff0e::1", "100::1", "2001:db8::1",
    "2001:2::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "8000::1",
    # Site-local, which was given up and is still routed within sites.
    "fec0::1", "feff:ffff::1", "fec0::1%eth0",
    # IPv4 inside IPv6: mapped, compatible, translated.
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "::ffff:7f00:1", "::127.0.0.1", "::10.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1",
    "::ffff:0:10.0.0.1", "::ffff:0:7f00:1",
    # Translators: the well-known prefix around a private address, and networks' own prefixes.
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "64:ff9b:1::127.0.0.1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff:ffff:ffff:7f00:1",
    # Tunnels: 6to4, Teredo (the client's address is written upside down), ISATAP.
    "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "2002:a9fe:a9fe::",
    "2001:0:7f00:1::1", "2001:0:5ef5:79fd:0:0:80ff:fffe", "2001:0:5ef5:79fd:0:0:f5ff:fffe",
    "2606:4700::5efe:7f00:1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:c0a8:101",
    "fe80::5efe:7f00:1", "fe80::200:5efe:8.8.8.8",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.255.255",
    "172.32.0.1", "192.167.255.255", "192.169.0.1", "11.0.0.1", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2600::1",
    "2001:4860:4860::8888", "::ffff:93.184.216.34", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2002:808:808::1", "2606:4700::5efe:808:808", "2606:4700::200:5efe:101:101",
    "2606:4700:0:1:7f00:1::",
]  # fmt: skip

PROMISES = [
    Promise(
        "network addresses",
        "an image is fetched from the public internet only, unless --allow-private-hosts is given",
        "private, local, reserved and retired ranges; IPv4 inside IPv6 in nine forms; public "
        "addresses next to them, which pass",
        len(PRIVATE) + len(PUBLIC),
    )
]


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)
