"""``rac fill run``: missing attribute values, filled where they can be vouched for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import (
    EncoderOption,
    IdOption,
    ImageOption,
    ImageRootOption,
    JournalSchemaOption,
    JsonOption,
    MaxBadOption,
    OutOption,
    PrivateHostsOption,
    image_limits,
    print_json,
    refuse_input_as_output,
)

if TYPE_CHECKING:
    from rac.attributes.prepare import FillOptions
    from rac.attributes.schema import Schema
    from rac.attributes.summary import FillSummary, WrittenBack
    from rac.embedding import EmbeddingCache
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from rac.tables import Table


def fill(
    table: Annotated[
        str,
        typer.Argument(
            help="Table of items with images; also postgresql://HOST/DATABASE?table=TABLE."
        ),
    ],
    schema: Annotated[Path, typer.Option("--schema", help="Attribute schema, a YAML file.")],
    out: OutOption,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    target: Annotated[
        float | None,
        typer.Option(help="Target precision for every attribute, in place of the schema's."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="With which the target precision is promised.")
    ] = 0.95,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Consider only so many rows, from the start.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Only tell how much would be filled, and how well."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide everything, but write no filled copy.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Threads that learn and decide; one a processor by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds and samples.")] = 0,
    journal_schema: JournalSchemaOption = None,
    json: JsonOption = False,
) -> None:
    """Fill missing attribute values from the images, and write down why.

    A cell is filled where its value is right with the target precision, judged on cells whose
    value is known; it may also turn out not to apply, or stay as it is because nobody can tell.
    Known cells are never touched.

    OUT then holds the filled copy in the table's own format, ledger.parquet (every cell that was
    missing: what was decided, how sure, what it rests on), quarantine.csv (bad images with
    reasons), run.json and summary.json. Run again with another schema or target, it opens no
    image. A job that was killed goes on where it was; state.json says where that is.

    A table in PostgreSQL is written back where a cell is still what it was. User and password come
    from the environment (PGUSER, PGPASSWORD, ~/.pgpass), never from the address. What is written
    is kept in a table of ours, rac_journal in the schema rac of that database or in the one that
    you name: each cell as it was, as it was sent and as it is stored. Where the role may not make
    it (GRANT CREATE ON DATABASE, or CREATE SCHEMA rac AUTHORIZATION the_role), OUT holds it.

    The schema:

          version: 1
          attributes:
            colour: {values: [red, {name: navy, synonyms: [dark blue]}]}
            sleeve: {target_precision: 0.9, applies_when: {kind: [shirt, dress]}}

    Example:

          rac fill products.csv --schema schema.yaml -o runs/products --plan
          rac fill products.csv --schema schema.yaml -o runs/products
          rac fill 'postgresql://db/shop?table=public.items' --schema schema.yaml -o runs/shop
    """
    from rac.attributes.fill import fill_table
    from rac.attributes.postgres.address import Address, is_address
    from rac.attributes.postgres.job import fill_postgres, plan_table
    from rac.attributes.prepare import FillOptions
    from rac.attributes.run_folder import RUN_FILES
    from rac.attributes.schema import load_schema
    from rac.embedding import EmbeddingCache
    from rac.encoders import load_encoder
    from rac.errors import InputError
    from rac.tables import open_table

    attributes = load_schema(schema)
    if target is not None:
        if not 0 < target < 1:
            raise InputError(f"--target must lie between 0 and 1, not {target:g}")
        attributes = attributes.with_target(target)
    options = FillOptions(
        max_bad=max_bad,
        confidence=confidence,
        seed=seed,
        limit=limit,
        dry_run=dry_run,
        workers=workers,
    )
    limits = image_limits(image_root, allow_private_hosts)
    if is_address(table):
        address = Address.parse(table)
        base = image_root[0] if image_root else Path.cwd()
        network = load_encoder(encoder)
        with EmbeddingCache(network) as cache:
            if plan:
                opened = plan_table(
                    address, attributes, network, out, options, image=image, key=id, base=base
                )
                _plan(opened, attributes, network, out, options, cache, limits, json=json)
                return
            summary = fill_postgres(
                address,
                attributes,
                network,
                out,
                options,
                image=image,
                key=id,
                base=base,
                cache=cache,
                image_limits=limits,
                journal=journal_schema,
            )
    else:
        if journal_schema is not None:
            raise InputError("--journal-schema is for tables in a database")
        refuse_input_as_output([table, schema], *(out / name for name in RUN_FILES))
        opened = open_table(table, image=image, id=id)
        network = load_encoder(encoder)
        with EmbeddingCache(network) as cache:
            if plan:
                _plan(opened, attributes, network, out, options, cache, limits, json=json)
                return
            summary = fill_table(
                opened, attributes, network, out, options, cache=cache, image_limits=limits
            )
    if json:
        print_json(summary.as_json())
    else:
        _print(summary)


def _plan(
    table: Table,
    schema: Schema,
    encoder: Encoder,
    out: Path,
    options: FillOptions,
    cache: EmbeddingCache,
    limits: ImageLimits,
    *,
    json: bool,
) -> None:
    from rac.attributes.plan import plan_fill
    from rac.attributes.prepare import prepare_fill
    from rac.attributes.run_folder import RunFolder

    with RunFolder.locked(out) as folder:
        job = prepare_fill(
            table, schema, encoder, folder, options, cache=cache, image_limits=limits
        )
        plans = plan_fill(job, job.fit())
        folder.note("planned")
    if json:
        print_json({"rows": len(job.store.ok), "attributes": [one.as_json() for one in plans]})
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    shown = Shown(title=f"{len(job.store.ok):,} rows; nothing is written yet")
    shown.add_column("attribute")
    for heading in ("known", "missing", "would be filled", "coverage", "precision", "at least"):
        shown.add_column(heading, justify="right")
    for one in plans:
        shown.add_row(
            escape(one.attribute),
            f"{one.known:,}",
            f"{one.missing:,}",
            "not known" if one.expected_fills is None else f"about {one.expected_fills:,}",
            _share(one.expected_coverage),
            _share(one.expected_precision),
            _share(one.precision_bound),
        )
    console = Console()
    if not len(job.store.ok):
        console.print(f"{escape(table.source)} has no rows: there is nothing to fill")
        return
    console.print(shown)
    for one in plans:
        if one.reason:
            console.print(f"{escape(one.attribute)}: {escape(one.reason)}", soft_wrap=True)


def _print(summary: FillSummary) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    shown = Table(title=f"{summary.rows:,} rows, {summary.bad_images:,} bad images")
    shown.add_column("attribute")
    absent = any(one.not_applicable for one in summary.attributes.values())
    headings = ("missing", "filled", "n/a", "coverage", "precision", "at least", "target")
    for heading in headings:
        if heading != "n/a" or absent:
            shown.add_column(heading, justify="right")
    for name, one in summary.attributes.items():
        shown.add_row(
            escape(name),
            f"{one.missing:,}",
            f"{one.filled:,}",
            *([f"{one.not_applicable:,}"] if absent else []),
            _share(one.coverage),
            _share(one.expected_precision) if one.source == "fused" else "not known",
            _share(one.precision_bound),
            f"{one.target_precision:g}",
        )
    if not summary.rows:
        console.print(f"{escape(summary.table)} has no rows: there is nothing to fill")
        _print_files(summary)
        return
    console.print(shown)
    console.print(
        "precision: judged on known cells; at least: what it is with the confidence asked for"
        + ("; n/a: does not apply" if absent else "")
    )
    for name, one in summary.attributes.items():
        if one.reason:
            rule = "nothing is filled" if one.threshold is None else one.source
            console.print(f"{escape(name)}: {rule}: {escape(one.reason)}")
        if one.held_back and one.filled:
            console.print(f"{escape(name)}: held back: {escape(', '.join(one.held_back))}")
    if summary.new_columns:
        console.print(f"new columns: {escape(', '.join(summary.new_columns))}")
    if summary.duplicate_ids:
        named = ", ".join(summary.first_duplicates)
        console.print(f"{summary.duplicate_ids:,} rows repeat an id: {escape(named)}, ...")
    for reason, count in summary.bad_reasons.items():
        console.print(f"bad images: {escape(reason)}: {count:,}")
    if 0 < summary.rows == summary.resumed_rows:
        console.print("nothing has changed since this folder was last filled: that run stands")
    for words in summary.damaged:
        console.print(f"made anew: {escape(words)}", soft_wrap=True)
    if summary.cells_written is not None:
        console.print(f"cells set in the database: {summary.cells_written:,}")
    if summary.database is not None:
        _print_database(summary.database)
    _print_files(summary)


def _print_database(database: WrittenBack) -> None:
    from rich.console import Console
    from rich.markup import escape

    def tell(text: str) -> None:
        Console().print(escape(text), soft_wrap=True)

    if database.stored_otherwise:
        one = database.examples[0]
        tell(
            f"stored otherwise than sent: {database.stored_otherwise:,} of them; of row "
            f"{one['key']}, column {one['column']}: {one['sent']!r} was sent, and the database "
            f"holds {one['stored']!r}"
        )
    if database.left:
        one_left = database.left_examples[0]
        tell(
            f"not set: {database.left:,} cells that were changed meanwhile, or that the database "
            f"lets nobody set; row {one_left['key']}, column {one_left['column']} is one"
        )
    if database.refused:
        one_refused = database.refused_examples[0]
        tell(
            f"refused by the database: {database.refused:,} cells, which stay as they were; row "
            f"{one_refused['key']}, column {one_refused['column']}: {one_refused['error']}"
        )
    if database.other_runs:
        tell(f"fills of other runs: {database.other_runs:,} cells; they teach nothing, and stay")
    if database.side_effects:
        tell(
            "the database itself changes these columns with a fill, and undo does not give them "
            f"back: {', '.join(database.side_effects)}"
        )
    tell(f"journal: {database.journal}")


def _print_files(summary: FillSummary) -> None:
    from rich.console import Console
    from rich.markup import escape

    for kind, path in summary.files.items():
        Console().print(f"{kind}: {escape(path)}", soft_wrap=True)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
