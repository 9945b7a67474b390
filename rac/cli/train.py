"""``rac train``: Lightning's command line behind ours."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Train a classifier (Lightning's command line; every option from YAML or by name).",
    no_args_is_help=True,
)

# Lightning's parser reads the options, `--help` and `--print_config` among them.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _run(subcommand: str, context: typer.Context) -> None:
    from training.cli import run

    run([subcommand, *context.args])


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def fit(context: typer.Context) -> None:
    """Train a model; its folder is printed at the end.

    A configuration may name classes of Lightning and torch and our own; others are built, and
    checkpoints that hold more than data are read, with --trust-config only: to build a class can
    run any code.

    Example:

          rac train fit --config grocery-store-lt --trainer.default_root_dir runs/lt
          rac train fit --data.train items.csv --data.label kind --data.encoder mini
          rac train fit --config grocery-store-lt --ckpt_path last  # goes on after a kill
          rac train fit --config grocery-store-lt --print_config
          rac train fit --config grocery-store-finetune  # the image tower too, not only a head
          rac train fit --mode finetune --help
    """
    _run("fit", context)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def validate(context: typer.Context) -> None:
    """Judge the exported model on the validation table.

    Example:

          rac train validate --config grocery-store-lt
    """
    _run("validate", context)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def test(context: typer.Context) -> None:
    """Judge the exported model on the test table and write predictions for `rac report`.

    Example:

          rac train test --config grocery-store-lt
          rac report runs/grocery-store-lt/predictions.parquet -o runs/report
    """
    _run("test", context)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def predict(context: typer.Context) -> None:
    """Run the exported model over the table to predict; `rac predict` writes files.

    Example:

          rac train predict --config grocery-store-lt --data.predict new.csv
    """
    _run("predict", context)
