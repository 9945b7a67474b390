"""``rac index``: make a memory of labelled images, edit it, look into it, and check it."""

from __future__ import annotations

import typer

from rac.cli.index import build, edit, exchange, judge, look, migrate

app = typer.Typer(help="The memory: build, search, edit, judge and check it.", no_args_is_help=True)
app.command("build")(build.build)
app.command("add")(edit.add)
app.command("upsert")(edit.upsert)
app.command("delete")(edit.delete)
app.command("compact")(edit.compact)
app.command("rollback")(edit.rollback)
app.command("search")(look.search)
app.command("info")(look.info)
app.command("verify")(look.verify)
app.command("duplicates")(judge.duplicates)
app.command("try")(judge.try_edit)
app.command("harmful")(judge.harmful)
app.command("migrate")(migrate.migrate)
app.command("export")(exchange.export)
app.command("import")(exchange.import_plain)
