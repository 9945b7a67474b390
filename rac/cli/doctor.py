"""``rac doctor``: what this machine has, and what to do."""

from __future__ import annotations

import typer

from rac.cli.common import JsonOption, print_json


def doctor(json: JsonOption = False) -> None:
    """Say what this machine has, and what to do about what it has not.

    Exits with 1 when something that the product needs is missing.

    Example:

          rac doctor
    """
    from dataclasses import asdict

    from rac.doctor import examine

    findings = examine()
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        colours = {"ok": "green", "note": "yellow", "fail": "red"}
        table = Table(show_edge=False)
        for heading in ("", "what", "found", "to do"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            state = f"[{colours[finding.state]}]{finding.state}[/]"
            table.add_row(state, finding.topic, escape(finding.found), escape(finding.advice))
        Console().print(table)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)
