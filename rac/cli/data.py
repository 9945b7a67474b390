"""``rac data``: which data sets are known, what they are, and their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rac.cli.common import JsonOption, print_json

if TYPE_CHECKING:
    from rac.cards import Card

app = typer.Typer(help="Known data sets: list, show, prepare.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A card's name; see `rac data list`.")
]


@app.command("list")
def list_data(json: JsonOption = False) -> None:
    """List the data cards and whether their files are on this machine.

    Example:

          rac data list
    """
    from rac.cards import list_cards, load_card

    cards = [load_card(name) for name in list_cards()]
    if json:
        print_json([_summary(card) for card in cards])
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)  # to be copied
    for heading in ("what", "for", "rows", "licence", "state"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for card in cards:
        table.add_row(
            card.name,
            card.pretty_name,
            card.role,
            f"{sum(split.rows for split in card.splits):,}",
            card.license,
            _state(card, _summary(card)),
        )
    Console().print(table)


@app.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show one data card: columns, splits, licence, and how to get the data.

    Example:

          rac data show grocery-store
    """
    from rac.cards import load_card

    card = load_card(name)
    if json:
        print_json({**_summary(card), "text": card.text})
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    console = Console()
    console.print(Markdown(card.text))
    console.print()
    columns = Table(title="columns")
    for heading in ("name", "role", "what"):
        columns.add_column(heading, overflow="fold")
    for column in card.columns:
        columns.add_row(column.name, column.role or "", column.description)
    console.print(columns)
    splits = Table(title="splits")
    for heading in ("name", "rows", "classes"):
        splits.add_column(heading, justify="left" if heading == "name" else "right")
    for split in card.splits:
        splits.add_row(split.name, f"{split.rows:,}", f"{split.classes:,}" if split.classes else "")
    console.print(splits)
    summary = _summary(card)
    console.print(f"role     {card.role}")
    console.print(f"licence  {card.license}")
    console.print(f"home     {card.source.url}")
    console.print(f"state    {_state(card, summary)}")
    if summary["source"]:
        console.print(f"files    {summary['source']}")
    else:
        console.print(f"to get   {' '.join(card.obtain.split())}")
    for difference in summary["differences"]:
        console.print(f"note     {difference}")


@app.command()
def prepare(name: NameArgument, json: JsonOption = False) -> None:
    """Make a data set's tables, one Parquet file a split; does nothing where they are made.

    Example:

          rac data prepare tuxpaint-stamps
    """
    from rac.cards import load_card, prepare_card, read_prepared

    card = load_card(name)
    folder = prepare_card(card)
    state = read_prepared(folder)
    rows = dict(state.rows) if state is not None else {}
    differences = list(state.differences) if state is not None else []
    if json:
        print_json({"name": name, "folder": str(folder), "rows": rows, "differences": differences})
        return
    for split, count in rows.items():
        typer.echo(f"{folder / split}.parquet  {count:,} rows")
    for difference in differences:
        typer.echo(f"note: {difference}", err=True)
    typer.echo(f"Use it as a table: {name}:{next(iter(rows), 'SPLIT')}, or {name} for all splits.")


def _summary(card: Card) -> dict[str, Any]:
    from rac.cards import find_source, prepared_home, read_prepared

    source = find_source(card)
    state = read_prepared(prepared_home() / card.name)
    return {
        "name": card.name,
        "pretty_name": card.pretty_name,
        "role": card.role,
        "license": card.license,
        "url": card.source.url,
        "columns": [column.model_dump() for column in card.columns],
        "splits": [split.model_dump() for split in card.splits],
        "source": _where(card, source),
        "prepared": str(prepared_home() / card.name) if state is not None else None,
        "differences": list(state.differences) if state is not None else [],
        "obtain": " ".join(card.obtain.split()),
    }


def _where(card: Card, source: Any) -> str | None:
    if source is None:
        return None
    return str(source) if card.source.folders else "comes with rac's packages"


def _state(card: Card, summary: dict[str, Any]) -> str:
    if summary["prepared"]:
        return "prepared"
    if summary["source"]:
        return "files are here"
    return "will be downloaded" if card.source.archive else "files are missing"
