"""Which network addresses may be read: public ones, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket
import threading

from rac.images.faults import BadImage, Reason

# Of IPv6, what is not global unicast belongs to one link, one site, one house, or to nobody.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# The well-known prefix of translators to IPv4; every other one (64:ff9b:1::/48) is a network's own.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Ranges given away for other ends than the internet, which older Pythons do not know as such.
_NEVER_ROUTED = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "2001:db8::/32", "3fff::/20")
)
# The last 64 bits of an address of a host behind a tunnel (RFC 5214) begin so; one bit says whether
# the address inside is unique in the world.
_ISATAP = 0x00005EFE
_ISATAP_UNIQUE = 0x02000000


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public internet.

    An IPv6 address that carries an IPv4 address is public only where both are: mapped, NAT64, 6to4,
    Teredo, ISATAP. Forms that are no longer used (``::127.0.0.1``, ``::ffff:0:127.0.0.1``,
    site-local) are not public.

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _NEVER_ROUTED):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if ip.ipv4_mapped is not None:
        return is_public(str(ip.ipv4_mapped))
    if ip in _NAT64:
        return is_public(str(_last_bits(ip)))
    if ip not in _GLOBAL_UNICAST or not ip.is_global:
        return False
    return all(is_public(str(one)) for one in _carried(ip))


def _carried(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that packets to a global IPv6 address may end at."""
    carried = list(ip.teredo or ())
    if ip.sixtofour is not None:
        carried.append(ip.sixtofour)
    if (int(ip) >> 32) & 0xFFFFFFFF & ~_ISATAP_UNIQUE == _ISATAP:
        carried.append(_last_bits(ip))
    return carried


def _last_bits(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


def resolve(host: str, port: int, *, allow_private: bool, timeout_s: float) -> list[str]:
    """Look a host up once and give the addresses that may be connected to.

    The caller connects to these addresses and not to the name, so that a second look-up cannot
    answer differently from the one that was checked.

    Args:
        host: a host name or a literal address.
        port: 1 to 65535.
        allow_private: whether addresses that are not public pass.
        timeout_s: seconds that the look-up may take.

    Raises:
        BadImage: ``FETCH_FAILED`` when the name is unknown or not found in time; ``BLOCKED_HOST``
            when any of its addresses is not public and that is not allowed.
    """
    addresses = _look_up(host, port, timeout_s)
    if not allow_private:
        for address in addresses:
            if not is_public(address):
                raise BadImage(
                    Reason.BLOCKED_HOST,
                    f"{host} is {address}, which is not a public address; allow private hosts "
                    "(--allow-private-hosts) if that is meant",
                )
    return addresses


def _look_up(host: str, port: int, timeout_s: float) -> list[str]:
    """Ask the system's resolver, which knows no time-out, for the addresses of a host."""
    outcome: list[list[str] | Exception] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # carried over to the caller's thread
            outcome.append(error)
        else:
            outcome.append(list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    asking = threading.Thread(target=look_up, daemon=True)
    asking.start()
    asking.join(max(timeout_s, 0.0))
    if not outcome:
        raise BadImage(Reason.FETCH_FAILED, f"the host {host} was not found in {timeout_s:.3g} s")
    result = outcome[0]
    if isinstance(result, OSError | UnicodeError | ValueError):
        raise BadImage(Reason.FETCH_FAILED, f"the host {host} is not known: {result}") from result
    if isinstance(result, Exception):
        raise result
    return result
