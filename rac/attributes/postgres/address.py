"""Which table of which server: ``postgresql://HOST[:PORT]/DATABASE?table=[SCHEMA.]TABLE``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from rac.errors import InputError

_SCHEMES = ("postgresql", "postgres")
_LIKE_ONE = re.compile(r"\s*postgres(ql)?(\+\w+)?:/", re.IGNORECASE)

# What the client library takes besides secrets, up to version 18. It is a list of what is let
# through, so that a secret that it learns to take later is not written down by us.
_PLAIN_PARAMETERS = {
    "service",
    "user",
    "passfile",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "client_encoding",
    "options",
    "application_name",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslcertmode",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "require_auth",
    "min_protocol_version",
    "max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "target_session_attrs",
    "load_balance_hosts",
    "oauth_issuer",
    "oauth_client_id",
    "oauth_scope",
}
_SECRET = re.compile(
    r"(passw(or)?d|secret|scram_\w+_key|token)\w*\s*=|\b(pass|pwd)\s*=|"
    # A user and a password, also one with a slash in it; not a port.
    r"//[^/?#@\s]*:(?!\d*[/?#])[^?#@]*@",
    re.IGNORECASE,
)
_MOST_DECODINGS = 8

_NO_SECRETS = (
    "an address of a database with a password or another secret in it can be seen by everybody on "
    "this machine and would be written into the run's files; leave it out, and set PGPASSWORD, or "
    "use ~/.pgpass or a service file (~/.pg_service.conf)"
)


def is_address(source: str) -> bool:
    """Whether a table's name is meant as an address in PostgreSQL.

    >>> [is_address(one) for one in ("postgresql://db/shop", "PostgreSQL+asyncpg://db", "a.csv")]
    [True, True, False]
    """
    return _LIKE_ONE.match(source) is not None


@dataclass(frozen=True)
class Address:
    """A table in a database.

    Attributes:
        server: what the client library connects to, without the table and without secrets.
        schema: of the database; None for the first in the search path that has the table.
        table: its name.
    """

    server: str
    schema: str | None
    table: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address.

        Raises:
            InputError: no table is named, a parameter is not one of the client library's, or a
                secret stands in it. The message never repeats an address that may hold one.

        >>> found = Address.parse("postgresql://db.example:5433/shop?table=public.items")
        >>> found.server, found.schema, found.table
        ('postgresql://db.example:5433/shop', 'public', 'items')
        """
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True)
        except ValueError:
            raise InputError(
                "the address of the database cannot be read; write "
                "postgresql://HOST/DATABASE?table=SCHEMA.TABLE"
            ) from None
        if parts.password is not None or _hides_a_secret(url):
            raise InputError(_NO_SECRETS)
        if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
            raise InputError(
                "an address of a database begins with postgresql:// in small letters, and names no "
                "driver"
            )
        for key, _ in query:
            if key != "table" and key not in _PLAIN_PARAMETERS:
                raise InputError(
                    f"the address of the database has a parameter {key!r}, which is not one that "
                    "may stand there; put it into a service file (~/.pg_service.conf)"
                )
        named = [value for key, value in query if key == "table" and value]
        if len(named) != 1 or parts.fragment:
            raise InputError(
                f"{url}: which table? Write postgresql://HOST/DATABASE?table=SCHEMA.TABLE"
            )
        rest = urlencode([(key, value) for key, value in query if key != "table"])
        schema, _, table = named[0].rpartition(".")
        server = f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if rest else ''}{rest}"
        return cls(server, schema or None, table)

    def __str__(self) -> str:
        name = f"{self.schema}.{self.table}" if self.schema else self.table
        return f"{self.server}{'&' if '?' in self.server else '?'}table={name}"


def _hides_a_secret(url: str) -> bool:
    """Whether an address holds what looks like a secret, however often it is percent-encoded."""
    for _ in range(_MOST_DECODINGS):
        if _SECRET.search(url):
            return True
        decoded = unquote(url)
        if decoded == url:
            return False
        url = decoded
    return True
