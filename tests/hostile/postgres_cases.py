"""Tables with their own ways, what becomes of a job on each, and what happens to them since."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rac.errors import InputError, JobFailed

LISTED = "{values: [red, green, blue, yellow], target_precision: 0.9}"


@dataclass(frozen=True)
class Case:
    """A table, and what is to come of a job on it.

    Attributes:
        name: in words.
        setup: statements of the owner, on the table that every case begins with.
        refused: what the error says, where the job is refused before it writes; None otherwise.
        error: of which class that error is.
        single: what the database says of single cells that it refuses; the others are written.
        schema: of the attributes.
        otherwise: whether the database stores cells otherwise than they were sent.
        left: whether it leaves cells as they were, without an error.
        effects: columns that the database changes by itself.
        since: statements of the owner between the job and its undo.
        stays: what the undo's error says then.
        back: statements after which the undo goes through.
        kept: cells that were changed since, and stay changed.
        table: address of the table, after the database.
        journal: named schema of the journal.
        local: whether the journal is in the run's folder.
        missing: what a missing cell says.
        reset: statements after the case.
    """

    name: str
    setup: tuple[str, ...] = ()
    refused: str | None = None
    error: type[Exception] = InputError
    single: str | None = None
    schema: str = "{colour: {target_precision: 0.9}}"
    otherwise: bool = False
    left: bool = False
    effects: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    stays: str | None = None
    back: tuple[str, ...] = ()
    kept: int = 0
    table: str = "public.items"
    journal: str | None = None
    local: bool = False
    missing: str | None = None
    reset: tuple[str, ...] = ()


def typed(kind: str, using: str = "colour") -> tuple[str, ...]:
    return (f"ALTER TABLE items ALTER colour TYPE {kind} USING {using}::{kind}",)


def trigger(
    body: str, when: str = "BEFORE UPDATE", *, constraint: str = "", returned: str = "NEW"
) -> tuple[str, ...]:
    kind = (
        f"CONSTRAINT TRIGGER own {when} ON items {constraint}"
        if constraint
        else (f"TRIGGER own {when} ON items")
    )
    return (
        "CREATE OR REPLACE FUNCTION own_way() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"AS $$ BEGIN {body} RETURN {returned}; END $$",
        f"CREATE {kind} FOR EACH ROW EXECUTE FUNCTION own_way()",
    )


UPPER = "NEW.colour := upper(NEW.colour);"
AGAIN = "UPDATE items SET colour = upper(colour) WHERE sku = NEW.sku AND colour <> upper(colour);"
DEFERRED = "DEFERRABLE INITIALLY DEFERRED"
NO_YELLOW = "IF NEW.colour = 'yellow' THEN RAISE EXCEPTION 'no yellow here'; END IF;"
PALETTE = (
    "DROP TABLE IF EXISTS palette CASCADE",
    "CREATE TABLE palette (name varchar(20) PRIMARY KEY)",
    "INSERT INTO palette VALUES ('red'), ('green'), ('blue'), (' N/A ')",
)
LISTED_ONLY = f"{{colour: {LISTED}}}"


def renamed_key(kind: str, using: str) -> tuple[str, ...]:
    return (f"ALTER TABLE items ALTER sku TYPE {kind} USING {using}",)


TYPES = (
    Case("varchar(20)"),
    Case("text", typed("text")),
    Case("char(10), which pads", typed("char(10)")),
    Case("name", typed("name")),
    Case("a collation of its own", ('ALTER TABLE items ALTER colour TYPE text COLLATE "C"',)),
    Case(
        "char(3), with values that are longer",
        typed("char(3)"),
        "'green'.*character\\(3\\).*'gre'",
        schema=LISTED_ONLY,
    ),
    Case(
        "varchar(5), with a value that is longer",
        typed("varchar(5)"),
        "'yellow'.*character varying\\(5\\).*'yello'",
        schema=LISTED_ONLY,
    ),
    Case(
        "an enum with all values",
        (
            "DROP TYPE IF EXISTS hue CASCADE",
            "CREATE TYPE hue AS ENUM ('red', 'green', 'blue', 'yellow', ' N/A ')",
            *typed("hue"),
        ),
    ),
    Case(
        "an enum that lacks a value",
        (
            "DROP TYPE IF EXISTS hue CASCADE",
            "CREATE TYPE hue AS ENUM ('red', 'green', 'blue')",
            *typed("hue", "(CASE WHEN colour IN ('yellow', ' N/A ') THEN NULL ELSE colour END)"),
        ),
        "'yellow'.*hue.*invalid input value",
        schema=LISTED_ONLY,
    ),
    Case(
        "a domain",
        ("DROP DOMAIN IF EXISTS shade CASCADE", "CREATE DOMAIN shade AS text", *typed("shade")),
    ),
    Case(
        "a domain that refuses a value",
        (
            "DROP DOMAIN IF EXISTS shade CASCADE",
            "CREATE DOMAIN shade AS text CHECK (VALUE <> 'yellow')",
            *typed("shade", "(CASE WHEN colour = 'yellow' THEN NULL ELSE colour END)"),
        ),
        "'yellow'.*shade.*check constraint",
        schema=LISTED_ONLY,
    ),
    Case(
        "a domain that refuses NULL",
        (
            "DROP DOMAIN IF EXISTS shade CASCADE",
            "CREATE DOMAIN shade AS text NOT NULL",
            *typed("shade", "coalesce(colour, '')"),
        ),
    ),
    *(
        Case(
            f"{kind}, with words",
            typed(kind, "(NULL::text)"),
            f"'red'.*{re.escape(kind)}",
            schema=LISTED_ONLY,
        )
        for kind in (
            "integer",
            "date",
            "jsonb",
            "uuid",
            "text[]",
            "bytea",
            "boolean",
            "inet",
            "numeric(3,1)",
            "interval",
            "point",
            "int4range",
        )
    ),
    Case(
        "numeric(3,1), which rounds",
        typed("numeric(3,1)", "(NULL::text)"),
        "'1.25'.*numeric\\(3,1\\).*'1.3'",
        schema="{colour: {values: ['1.25', '2.5']}}",
    ),
    Case(
        "int, with a leading zero",
        typed("int", "(NULL::text)"),
        "'007'.*integer.*'7'",
        schema="{colour: {values: ['007', '8']}}",
    ),
    Case(
        "smallint, out of its range",
        typed("smallint", "(NULL::text)"),
        "'70000'.*smallint",
        schema="{colour: {values: ['70000', '8']}}",
    ),
    Case(
        "real, which forgets digits",
        typed("real", "(NULL::text)"),
        "'1.23456789012'.*real",
        schema="{colour: {values: ['1.23456789012', '8']}}",
    ),
    Case(
        "boolean, said in other words",
        typed("boolean", "(NULL::text)"),
        "'yes'.*boolean.*'true'",
        schema="{colour: {values: ['yes', 'no']}}",
    ),
    Case(
        "a word for what does not apply that is too long",
        (),
        "'not to be said of such an item'.*character varying\\(20\\)",
        schema="{colour: {target_precision: 0.9, not_applicable: not to be said of such an item}}",
    ),
    Case(
        "a value with a zero byte", (), "'re.x00d'.*NUL", schema='{colour: {values: ["re\\0d", b]}}'
    ),
)

TRIGGERS = (
    Case("upper case before", trigger(UPPER), otherwise=True),
    Case(
        "cut to two letters before",
        trigger("IF NEW.colour <> ' N/A ' THEN NEW.colour := left(NEW.colour, 2); END IF;"),
        otherwise=True,
    ),
    Case(
        "every value becomes NULL",
        trigger(
            "IF NEW.colour IN ('red', 'green', 'blue', 'yellow') THEN NEW.colour := NULL; END IF;"
        ),
        otherwise=True,
    ),
    Case(
        "upper case afterwards, by another update",
        trigger(AGAIN, "AFTER UPDATE OF colour"),
        otherwise=True,
    ),
    Case(
        "upper case at the end of the transaction",
        trigger(AGAIN, "AFTER UPDATE", constraint=DEFERRED),
        otherwise=True,
    ),
    Case("the update is dropped", trigger("", returned="NULL"), left=True),
    Case(
        "some updates are dropped",
        trigger("IF NEW.sku < 50 THEN RETURN OLD; END IF;"),
        otherwise=True,
    ),
    Case(
        "every update is refused",
        trigger("RAISE EXCEPTION 'hands off';"),
        "hands off",
        error=JobFailed,
    ),
    Case("one value is refused", trigger(NO_YELLOW), "no yellow here", error=JobFailed),
    Case(
        "one value is refused at the end of the transaction",
        trigger(NO_YELLOW, "AFTER UPDATE", constraint=DEFERRED),
        "no yellow here",
        error=JobFailed,
    ),
    Case(
        "one late row is refused",
        trigger(
            "IF NEW.sku = 158 AND NEW.colour IS NOT NULL THEN RAISE EXCEPTION 'not this'; END IF;"
        ),
        single="not this",
    ),
    Case(
        "NULL becomes a word, so that nothing can be given back",
        trigger("NEW.colour := coalesce(NEW.colour, 'unset');"),
        "could not be given back",
    ),
    Case(
        "a cell that is set stays set",
        trigger("IF OLD.colour IN ('red', 'blue') THEN NEW.colour := OLD.colour; END IF;"),
        "could not be given back",
    ),
    Case(
        "giving back is refused",
        trigger("IF NEW.colour IS NULL THEN RAISE EXCEPTION 'no way back'; END IF;"),
        "no way back",
        error=JobFailed,
    ),
    Case("another column counts", trigger("NEW.price := NEW.price + 1;"), effects=("price",)),
    Case(
        "a time is set",
        (
            "ALTER TABLE items ADD COLUMN changed timestamptz",
            *trigger("NEW.changed := clock_timestamp();"),
        ),
        effects=("changed",),
    ),
    Case(
        "other rows change too",
        trigger(
            "UPDATE items SET price = 0 WHERE sku = NEW.sku + 1 AND price <> 0;",
            "AFTER UPDATE OF colour",
        ),
        "other rows",
    ),
    Case(
        "the row is deleted",
        trigger("DELETE FROM items WHERE sku = NEW.sku;", "AFTER UPDATE"),
        "could not be given back",
    ),
    Case(
        "the row's key changes",
        trigger("NEW.sku := NEW.sku + 1000;"),
        "could not be given back|other rows",
    ),
    Case(
        "a log of another table",
        (
            "DROP TABLE IF EXISTS seen",
            "CREATE TABLE seen (sku int)",
            *trigger("INSERT INTO seen VALUES (NEW.sku);"),
        ),
    ),
    Case("notices", trigger("RAISE NOTICE 'row %', NEW.sku;")),
    Case(
        "a rule does nothing instead",
        ("CREATE RULE own AS ON UPDATE TO items DO INSTEAD NOTHING",),
        "RETURNING",
        error=JobFailed,
    ),
    Case(
        "a rule logs too",
        (
            "DROP TABLE IF EXISTS seen",
            "CREATE TABLE seen (sku int)",
            "GRANT INSERT ON seen TO filler",
            "CREATE RULE own AS ON UPDATE TO items DO ALSO INSERT INTO seen VALUES (NEW.sku)",
        ),
    ),
)

CONSTRAINTS = (
    Case(
        "a check refuses a value",
        ("ALTER TABLE items ADD CONSTRAINT mild CHECK (colour <> 'yellow') NOT VALID",),
        "mild",
        error=JobFailed,
    ),
    Case(
        "a check refuses a row",
        ("ALTER TABLE items ADD CONSTRAINT mild CHECK (sku <> 158 OR colour IS NULL)",),
        single="mild",
    ),
    Case(
        "NOT NULL, where missing is empty",
        (
            "UPDATE items SET colour = '' WHERE colour IS NULL",
            "ALTER TABLE items ALTER colour SET NOT NULL",
        ),
        missing="",
    ),
    Case(
        "NOT NULL, where missing is a word",
        ("ALTER TABLE items ALTER colour SET NOT NULL",),
        missing="n/a",
    ),
    Case(
        "a foreign key with all values",
        (
            *PALETTE,
            "INSERT INTO palette VALUES ('yellow')",
            "ALTER TABLE items ADD FOREIGN KEY (colour) REFERENCES palette",
        ),
    ),
    Case(
        "a foreign key that lacks a value",
        (
            *PALETTE,
            "ALTER TABLE items ADD CONSTRAINT known FOREIGN KEY (colour) REFERENCES palette "
            "NOT VALID",
        ),
        "known",
        error=JobFailed,
    ),
    Case(
        "a foreign key that is looked at in the end",
        (
            *PALETTE,
            "ALTER TABLE items ADD CONSTRAINT known FOREIGN KEY (colour) REFERENCES palette "
            f"{DEFERRED} NOT VALID",
        ),
        "known",
        error=JobFailed,
    ),
    Case(
        "a foreign key to the column, which does not follow",
        (
            "ALTER TABLE items ADD UNIQUE (sku, colour)",
            "DROP TABLE IF EXISTS tags",
            "CREATE TABLE tags (sku int, colour varchar(20), FOREIGN KEY (sku, colour) "
            "REFERENCES items (sku, colour))",
            "INSERT INTO tags VALUES (5, ' N/A ')",
        ),
        "tags",
        error=JobFailed,
    ),
    Case("unique with the price", ("ALTER TABLE items ADD UNIQUE (colour, price)",)),
    Case(
        "unique among a few rows, which are alike",
        ("CREATE UNIQUE INDEX few ON items (colour) WHERE sku IN (140, 148)",),
        single="few",
    ),
    Case(
        "unique in the end among a few rows",
        (
            "ALTER TABLE items ADD COLUMN shelf int",
            "UPDATE items SET shelf = sku",
            "UPDATE items SET shelf = -1 WHERE sku IN (140, 148)",
            f"ALTER TABLE items ADD CONSTRAINT few UNIQUE (colour, shelf) {DEFERRED}",
        ),
        single="few",
    ),
    Case(
        "a column computed from it",
        ("ALTER TABLE items ADD COLUMN loud text GENERATED ALWAYS AS (upper(colour)) STORED",),
    ),
    Case(
        "a column that the server computes",
        (
            "ALTER TABLE items ADD COLUMN loud text GENERATED ALWAYS AS (lower(image)) STORED",
            "GRANT UPDATE (loud) ON items TO filler",
        ),
        "computes",
        schema="{loud: {target_precision: 0.9}}",
    ),
    Case(
        "an identity",
        (
            "ALTER TABLE items ADD COLUMN n int GENERATED ALWAYS AS IDENTITY",
            "GRANT UPDATE ON items TO filler",
        ),
        "computes",
        schema="{n: {target_precision: 0.9}}",
    ),
)

PARTS = tuple(
    f"CREATE TABLE items_{low} PARTITION OF items FOR VALUES FROM ({low}) TO ({low + 80})"
    for low in (0, 80)
)
PARTITIONED = (
    "ALTER TABLE items RENAME TO flat",
    "CREATE TABLE items (sku int PRIMARY KEY, image text, colour varchar(20), price int) "
    "PARTITION BY RANGE (sku)",
    *PARTS,
    "INSERT INTO items SELECT * FROM flat",
    "DROP TABLE flat",
    "GRANT SELECT, UPDATE (colour) ON items TO filler",
)
KINDS = (
    Case(
        "a view",
        ("CREATE VIEW shown AS SELECT * FROM items", "GRANT SELECT ON shown TO filler"),
        "is a view",
        table="public.shown",
    ),
    Case(
        "a materialised view",
        ("CREATE MATERIALIZED VIEW shown AS SELECT * FROM items",),
        "materialised view",
        table="public.shown",
    ),
    Case("a sequence", ("CREATE SEQUENCE IF NOT EXISTS numbers",), "sequence", table="numbers"),
    Case("partitions", PARTITIONED),
    Case(
        "partitions, one with a trigger",
        (
            *PARTITIONED,
            trigger(UPPER)[0],
            "CREATE TRIGGER own BEFORE UPDATE ON items_80 FOR EACH ROW EXECUTE FUNCTION own_way()",
        ),
        otherwise=True,
    ),
    Case("a parent of other tables", ("CREATE TABLE heirs () INHERITS (items)",), "inherit"),
    Case("unlogged", ("ALTER TABLE items SET UNLOGGED",)),
    Case("found by the search path", table="items"),
    Case(
        "a key of two columns",
        (
            "ALTER TABLE items DROP CONSTRAINT items_pkey",
            "ALTER TABLE items ADD PRIMARY KEY (sku, image)",
        ),
        "primary key of one column",
    ),
    Case("no key", ("ALTER TABLE items DROP CONSTRAINT items_pkey",), "primary key of one column"),
    Case(
        "a key that may be NULL",
        (
            "ALTER TABLE items DROP CONSTRAINT items_pkey",
            "ALTER TABLE items ALTER sku DROP NOT NULL",
            "ALTER TABLE items ADD UNIQUE (sku)",
        ),
        "primary key of one column",
    ),
    Case(
        "a key that only the end of a transaction looks at",
        (
            "ALTER TABLE items DROP CONSTRAINT items_pkey",
            f"ALTER TABLE items ADD PRIMARY KEY (sku) {DEFERRED}",
        ),
    ),
    Case(
        "keys with quotes, percents and spaces",
        renamed_key("text", "format(E' %s''\"\\\\ %%s\\n\\u00fc', sku)"),
    ),
    Case("char(12) keys", renamed_key("char(12)", "sku::text")),
    Case("uuid keys", renamed_key("uuid", "md5(sku::text)::uuid")),
    Case("numeric keys", renamed_key("numeric", "sku + 0.50")),
    Case("timestamp keys", renamed_key("timestamptz", "to_timestamp(sku * 1e6)")),
    Case(
        "a column with quotes and percents",
        ('ALTER TABLE items RENAME colour TO "co""l %s our"',),
        schema='{"co\\"l %s our": {target_precision: 0.9}}',
    ),
    Case(
        "a table with quotes and percents",
        ('ALTER TABLE items RENAME TO "it\'s 100% ""mine"""',),
        table="public.it's%20100%25%20%22mine%22",
        reset=('DROP TABLE "it\'s 100% ""mine"""',),
    ),
)

RIGHTS = (
    Case(
        "no right to set the column",
        ("REVOKE UPDATE (colour) ON items FROM filler",),
        "'colour'.*permission denied.*GRANT UPDATE",
        error=JobFailed,
    ),
    Case(
        "no right to read",
        ("REVOKE SELECT ON items FROM filler",),
        "permission denied",
        error=JobFailed,
    ),
    Case(
        "a right to read few columns",
        (
            "REVOKE SELECT ON items FROM filler",
            "GRANT SELECT (sku, image, colour) ON items TO filler",
        ),
    ),
    Case(
        "a role that may only read",
        ("ALTER ROLE filler SET default_transaction_read_only = on",),
        "read-only",
        error=JobFailed,
        reset=("ALTER ROLE filler RESET ALL",),
    ),
    Case(
        "a time limit on statements",
        (
            "ALTER ROLE filler SET statement_timeout = '50ms'",
            *trigger("PERFORM pg_sleep(1);"),
        ),
        "statement timeout",
        error=JobFailed,
        reset=("ALTER ROLE filler RESET ALL",),
    ),
    Case(
        "transactions one after the other",
        ("ALTER ROLE filler SET default_transaction_isolation = 'serializable'",),
        reset=("ALTER ROLE filler RESET ALL",),
    ),
    Case(
        "rows that the role may not see",
        (
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY half ON items USING (sku < 120)",
        ),
    ),
    Case(
        "rows that the role may see and not set",
        (
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY seen ON items FOR SELECT USING (true)",
            "CREATE POLICY set ON items FOR UPDATE USING (sku < 100)",
        ),
        left=True,
    ),
    Case(
        "a policy that refuses a value",
        (
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY mild ON items USING (true) WITH CHECK (colour <> 'yellow')",
        ),
        "row-level security",
        error=JobFailed,
    ),
    Case(
        "a role that wants no policy to hide rows",
        (
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY half ON items USING (sku < 99)",
            "ALTER ROLE filler SET row_security = off",
        ),
        "row-level security",
        error=JobFailed,
        reset=("ALTER ROLE filler RESET ALL",),
    ),
    Case("no place for a journal", ("DROP SCHEMA rac",), local=True),
    Case(
        "no place for a journal, and a trigger",
        ("DROP SCHEMA rac", *trigger(UPPER)),
        local=True,
        otherwise=True,
    ),
    Case(
        "no right in the journal's schema",
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC",),
        "may not make a table there.*GRANT USAGE, CREATE",
        journal="public",
    ),
    Case("no such schema for the journal", (), "CREATE SCHEMA", journal="nowhere"),
    Case(
        "a journal in a schema of one's own",
        ("CREATE SCHEMA mine AUTHORIZATION filler",),
        journal="mine",
        reset=("DROP SCHEMA mine CASCADE",),
    ),
    Case(
        "a journal of somebody else's making",
        (
            "DROP ROLE IF EXISTS stranger",
            "CREATE ROLE stranger LOGIN",
            "ALTER SCHEMA rac OWNER TO stranger",
            "SET ROLE stranger; CREATE TABLE rac.rac_journal (job text); "
            "GRANT USAGE ON SCHEMA rac TO filler; GRANT ALL ON rac.rac_journal TO filler; "
            "RESET ROLE",
        ),
        "belongs to somebody",
        journal="rac",
        reset=("DROP SCHEMA rac CASCADE", "DROP ROLE stranger"),
    ),
    Case(
        "a journal that is something else",
        ("CREATE TABLE rac.rac_journal (job text)", "GRANT ALL ON rac.rac_journal TO filler"),
        "lacks the columns",
        journal="rac",
    ),
    Case(
        "a journal that is a view",
        (
            "CREATE VIEW rac.rac_journal AS SELECT 1 AS job",
            "GRANT ALL ON rac.rac_journal TO filler",
        ),
        "may not write",
        journal="rac",
    ),
)

SINCE = (
    Case(
        "five cells were corrected",
        since=("UPDATE items SET colour = 'theirs' WHERE sku IN (3, 8, 13, 18, 23)",),
        kept=5,
    ),
    Case("two rows were deleted", since=("DELETE FROM items WHERE sku IN (3, 8)",), kept=2),
    Case("rows were added", since=("INSERT INTO items VALUES (1000, 'x', 'red', 1)",)),
    Case(
        "the column was renamed",
        since=("ALTER TABLE items RENAME colour TO hue",),
        stays="no column 'colour' any more.*64 cells cannot be",
        back=("ALTER TABLE items RENAME hue TO colour",),
    ),
    Case(
        "the key was renamed",
        since=("ALTER TABLE items RENAME sku TO number",),
        stays="no column 'sku'.*'number'",
        back=("ALTER TABLE items RENAME number TO sku",),
    ),
    Case(
        "the table was renamed",
        since=("ALTER TABLE items RENAME TO goods",),
        stays="no table 'public.items'.*renamed",
        back=("ALTER TABLE goods RENAME TO items",),
    ),
    Case(
        "the table became a view",
        since=("ALTER TABLE items RENAME TO goods", "CREATE VIEW items AS SELECT * FROM goods"),
        stays="is a view",
        back=("DROP VIEW items", "ALTER TABLE goods RENAME TO items"),
    ),
    Case("the type was widened", since=("ALTER TABLE items ALTER colour TYPE text",)),
    Case(
        "the type holds the earlier cells no more",
        since=(
            "ALTER TABLE items ALTER colour TYPE varchar(20) USING colour",
            "DROP TYPE IF EXISTS hue CASCADE",
            "CREATE TYPE hue AS ENUM ('red', 'green', 'blue', 'yellow')",
            *typed("hue"),
        ),
        stays="' N/A '.*hue.*64 cells cannot be",
        back=typed("varchar(20)", "colour::text"),
    ),
    Case(
        "the right was taken away",
        since=("REVOKE UPDATE (colour) ON items FROM filler",),
        stays="permission denied",
        back=("GRANT UPDATE (colour) ON items TO filler",),
    ),
    Case(
        "NULL is refused now",
        since=("ALTER TABLE items ALTER colour SET NOT NULL",),
        stays="not-null",
        back=("ALTER TABLE items ALTER colour DROP NOT NULL",),
    ),
    Case(
        "a trigger came that makes NULL a word",
        since=trigger("NEW.colour := coalesce(NEW.colour, 'unset');"),
        stays="makes 'unset' of it",
        back=("DROP TRIGGER own ON items",),
    ),
    Case(
        "the journal was dropped",
        since=("ALTER TABLE rac.rac_journal RENAME TO lost",),
        stays="rac_journal is gone",
        back=("ALTER TABLE rac.lost RENAME TO rac_journal",),
    ),
    Case(
        "the journal was emptied",
        since=(
            "CREATE TABLE rac.lost AS SELECT * FROM rac.rac_journal",
            "DELETE FROM rac.rac_journal",
        ),
        stays="has 0 entries of this run, which wrote 64",
        back=("INSERT INTO rac.rac_journal OVERRIDING SYSTEM VALUE SELECT * FROM rac.lost",),
    ),
    Case(
        "the journal lost a half",
        since=(
            "CREATE TABLE rac.lost AS SELECT * FROM rac.rac_journal WHERE row_key < '5'",
            "DELETE FROM rac.rac_journal WHERE row_key < '5'",
        ),
        stays="entries of this run, which wrote 64",
        back=("INSERT INTO rac.rac_journal OVERRIDING SYSTEM VALUE SELECT * FROM rac.lost",),
    ),
    Case(
        "the right to the journal was taken away",
        since=("ALTER SCHEMA rac OWNER TO owner",),
        stays="permission denied",
        back=("ALTER SCHEMA rac OWNER TO filler",),
    ),
)

CASES = (*TYPES, *TRIGGERS, *CONSTRAINTS, *KINDS, *RIGHTS, *SINCE)
