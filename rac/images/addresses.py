"""Which network addresses may be read: public ones, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket

from rac.images.faults import BadImage, Reason

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public internet.

    IPv6 addresses that carry an IPv4 address (mapped, 6to4, Teredo, NAT64) are judged by both.

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour]
        if ip.teredo is not None:
            inner.extend(ip.teredo)
        if ip in _NAT64:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        carried = [one for one in inner if one is not None]
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if any(not is_public(str(one)) for one in carried):
            return False
    return ip.is_global and not ip.is_multicast


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Look a host up once and give the addresses that may be connected to.

    The caller connects to these addresses and not to the name, so that a second look-up cannot
    answer differently from the one that was checked.

    Args:
        host: a host name or a literal address.
        port: 1 to 65535.
        allow_private: whether addresses that are not public pass.

    Raises:
        BadImage: ``FETCH_FAILED`` when the name is unknown; ``BLOCKED_HOST`` when any of its
            addresses is not public and that is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadImage(Reason.FETCH_FAILED, f"the host {host} is not known: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private:
        for address in addresses:
            if not is_public(address):
                raise BadImage(
                    Reason.BLOCKED_HOST,
                    f"{host} is {address}, which is not a public address; allow private hosts "
                    "(--allow-private-hosts) if that is meant",
                )
    return addresses
