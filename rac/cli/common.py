"""What the commands share: options, output, and how a mistake is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rac.images import ImageLimits

ImageOption = Annotated[
    str | None, typer.Option("--image", help="Column with the images.", metavar="COLUMN")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", help="Column with the classes.", metavar="COLUMN")
]
TextOption = Annotated[
    str | None, typer.Option("--text", help="Column with captions.", metavar="COLUMN")
]
IdOption = Annotated[
    str | None, typer.Option("--id", help="Column with the items' ids.", metavar="COLUMN")
]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="mini, MODEL/PRETRAINED of open_clip, hf-hub:ORG/NAME, or a local folder.",
    ),
]
JournalSchemaOption = Annotated[
    str | None,
    typer.Option(
        "--journal-schema",
        help="Of a database, the schema of the table rac_journal, which keeps what is written; rac "
        "by default.",
        metavar="SCHEMA",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
MaxBadOption = Annotated[
    float | None,
    typer.Option(
        "--max-bad",
        min=0.0,
        max=1.0,
        help="End the job when more than this share of the images is bad; never by default.",
    ),
]
ImageRootOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--image-root",
        help="Folder that image paths may point into besides the table's own; repeatable.",
        metavar="DIR",
    ),
]
PrivateHostsOption = Annotated[
    bool,
    typer.Option(
        "--allow-private-hosts",
        help="Fetch images from addresses of private networks and of this machine too.",
    ),
]
RuntimeOption = Annotated[
    Literal["auto", "torch", "openvino"],
    typer.Option(
        "--runtime", help="What runs the encoder; auto: the fastest that keeps its results."
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(
        "--precision",
        help="What the encoder computes in. A lower one asked for by name is not checked against "
        "float32 and counts as another encoder.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder to write.")]


def image_limits(roots: list[Path] | None, allow_private_hosts: bool) -> ImageLimits:
    """Turn the two options into bounds on where images may come from."""
    from rac.images import ImageLimits

    return ImageLimits(roots=tuple(roots or ()), allow_private_hosts=allow_private_hosts)


def refuse_input_as_output(sources: Iterable[str | Path], *outputs: Path) -> None:
    """Refuse to write over what is read.

    Args:
        sources: files or other names of tables.
        outputs: files that will be written.

    Raises:
        InputError: one of them is one of the sources, by whatever path or link.
    """
    from rac.errors import InputError

    for source in map(Path, sources):
        for output in outputs:
            try:
                same = output.samefile(source)
            except (OSError, ValueError):  # one of them is not there, or is no path
                continue
            if same:
                raise InputError(f"{output}: is what is read here; write to another place")


def print_json(result: Any) -> None:
    """Print a result for machines on standard output; a NaN is refused, not printed."""
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")
