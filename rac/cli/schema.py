"""``rac schema``: draft an attribute schema from a table, and hold one against a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import IdOption, ImageOption, JsonOption, print_json, refuse_input_as_output

app = typer.Typer(
    help="Draft and check attribute schemas, the YAML files that `rac fill` goes by.",
    no_args_is_help=True,
)


@app.command()
def infer(
    table: Annotated[
        str,
        typer.Argument(help="Table of items; also postgresql://HOST/DATABASE?table=TABLE."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; standard output if none.")
    ] = None,
    image: ImageOption = None,
    id: IdOption = None,
    most_values: Annotated[
        int, typer.Option(min=2, help="Columns with more different values are left out.")
    ] = 200,
) -> None:
    """Draft a schema from a table's columns and values, to be read and corrected by you.

    Example:

          rac schema infer products.csv -o schema.yaml
          rac schema infer 'postgresql://db/shop?table=public.items' -o schema.yaml
    """
    from rac.attributes.infer import infer_schema
    from rac.attributes.source import opened_table
    from retrieval_index.files import replace_file

    if out is not None:
        refuse_input_as_output([table], out)
    with opened_table(table, image=image, id=id) as opened:
        text = infer_schema(opened, most_values=most_values)
    if out is None:
        typer.echo(text, nl=False)
        return
    with replace_file(out) as draft:
        draft.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: read it, correct it, then: rac schema check {out} {table}", err=True)


@app.command()
def check(
    schema: Annotated[Path, typer.Argument(help="Attribute schema, a YAML file.")],
    table: Annotated[
        str | None, typer.Argument(help="Table to hold it against; without one, the file alone.")
    ] = None,
    image: ImageOption = None,
    id: IdOption = None,
    json: JsonOption = False,
) -> None:
    """Check a schema, and what a table makes of it; exit code 2 where they do not fit.

    Example:

          rac schema check schema.yaml products.csv
    """
    from rac.attributes.infer import check_schema
    from rac.attributes.schema import load_schema
    from rac.attributes.source import opened_table

    read = load_schema(schema)
    if table is None:
        facts = {"schema_hash": read.hash, "attributes": list(read.attributes)}
        if json:
            print_json(facts)
        else:
            typer.echo(f"{schema}: {len(read.attributes)} attributes, nothing wrong")
        return
    with opened_table(table, wanted=read.looked_at, image=image, id=id) as opened:
        checks = check_schema(read, opened)
    if json:
        print_json({"schema_hash": read.hash, "attributes": [one.as_json() for one in checks]})
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=str(schema))
    shown.add_column("attribute")
    for heading in ("values", "known", "missing", "not applicable", "outside"):
        shown.add_column(heading, justify="right")
    for one in checks:
        counts = (one.values, one.known, one.missing, one.not_applicable, one.outside)
        shown.add_row(escape(one.attribute), *(f"{count:,}" for count in counts))
    console = Console()
    console.print(shown)
    for one in checks:
        notes = []
        if one.new:
            notes.append(f"the table has no column {one.column!r}; it will be added")
        if one.outside_words:
            notes.append(f"cells outside the schema, kept as they are: {one.outside_words}")
        if one.unused:
            notes.append(f"values that no cell holds: {one.unused}")
        if not one.enough:
            notes.append(
                f"{one.known} known cells cannot vouch for the target (at least {one.needed}); "
                "prompts alone will fill, unverified"
            )
        for note in notes:
            console.print(f"{escape(one.attribute)}: {escape(note)}", soft_wrap=True)
