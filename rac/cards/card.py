"""A data card: what a data set is, where it comes from, and how its tables are made."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rac.documents import parse_yaml
from rac.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TuxPaintRecipe(_Strict):
    """Pictures and captions of the Tux Paint stamp tree."""

    kind: Literal["tuxpaint-stamps"]
    seed: int


class FashionMnistRecipe(_Strict):
    """Images and labels in the idx format; ``imbalance`` thins the training classes out."""

    kind: Literal["fashion-mnist"]
    imbalance: float | None = Field(default=None, ge=1)
    seed: int = 0


class GroceryRecipe(_Strict):
    """The Grocery Store data set's lists; ``tail`` thins the training classes out.

    Args:
        tail: share of its images that the rarest class keeps; None keeps all.
    """

    kind: Literal["grocery-store"]
    tail: float | None = Field(default=None, gt=0, le=1)
    seed: int = 0


class OpenClipartRecipe(_Strict):
    """A tree of PNG files, with what their paths say as captions."""

    kind: Literal["openclipart"]


class CifarRecipe(_Strict):
    """CIFAR-100 in its binary version; ``imbalance`` thins the training classes out."""

    kind: Literal["cifar100"]
    imbalance: float | None = Field(default=None, ge=1)
    seed: int = 0


class SplitListsRecipe(_Strict):
    """Text files of ``path label`` lines, one for each split.

    Args:
        lists: split to file name.
        class_names: ``imagenet`` for the 1,000 names in their usual order; ``folder`` takes the
            names of the folders that the training images of a class lie in.
    """

    kind: Literal["split-lists"]
    lists: dict[str, str]
    class_names: Literal["imagenet", "folder"]


class INaturalistRecipe(_Strict):
    """Annotation files in the COCO format; split to file name."""

    kind: Literal["inaturalist"]
    annotations: dict[str, str]


class DigitsRecipe(_Strict):
    """The digits that scikit-learn brings along."""

    kind: Literal["digits"]
    seed: int


Recipe = Annotated[
    TuxPaintRecipe
    | FashionMnistRecipe
    | GroceryRecipe
    | OpenClipartRecipe
    | CifarRecipe
    | SplitListsRecipe
    | INaturalistRecipe
    | DigitsRecipe,
    Field(discriminator="kind"),
]


class Source(_Strict):
    """Where the raw files are.

    Args:
        url: the home page.
        debian_package: the package that brings the files.
        folders: where to look: absolute, or below ``$RAC_DATA_HOME``.
        needs: files that tell the right folder from another.
        archive: a ``.tar.gz`` to download when no folder is there.
        inside: the folder of the archive that holds the files.
    """

    url: str
    debian_package: str | None = None
    folders: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    archive: str | None = None
    inside: str = "."


class Column(_Strict):
    """One column of the prepared tables, and its role when nobody asks for another."""

    name: str
    role: Literal["image", "label", "text", "id"] | None = None
    description: str


class Split(_Strict):
    """One prepared table; ``classes`` counts the different values of the label column."""

    name: str
    rows: int = Field(ge=0)
    classes: int | None = Field(default=None, ge=1)


class Card(_Strict):
    """A data card's YAML header, with the card's name and its text.

    Args:
        role: ``evaluation`` data is measured on; a ``training-source`` never is.
        counts: ``exact`` where other numbers of rows mean broken files, ``indicative`` where
            another version of the source has other numbers.
        obtain: what to do when the files are not there.
    """

    name: str
    text: str = Field(repr=False)
    pretty_name: str
    license: str
    language: tuple[str, ...] = ()
    task_categories: tuple[str, ...] = ()
    role: Literal["evaluation", "training-source"]
    source: Source
    recipe: Recipe
    counts: Literal["exact", "indicative"]
    columns: tuple[Column, ...]
    splits: tuple[Split, ...]
    obtain: str

    def column_of(self, role: str) -> str | None:
        """Give the column of a role (image, label, text, id), None where none has it."""
        return next((column.name for column in self.columns if column.role == role), None)

    def fingerprint(self) -> str:
        """Give a hash over all that the prepared tables depend on, in hexadecimal."""
        text = self.model_dump_json(include={"recipe", "columns", "splits", "source"})
        return hashlib.sha256(text.encode()).hexdigest()


def list_cards() -> list[str]:
    """Give the names of all data cards, sorted."""
    return sorted(
        entry.name.removesuffix(".md")
        for entry in _folder().iterdir()
        if entry.name.endswith(".md") and entry.name != "README.md"
    )


def load_card(name: str) -> Card:
    """Read a data card.

    Args:
        name: the file's name without ``.md``.

    Raises:
        InputError: there is no such card (the message lists the ones there are), or its header
            is not one.

    >>> load_card("digits").role
    'evaluation'
    """
    known = list_cards()
    if name not in known:
        raise InputError(f"there is no data card {name!r}; the cards are: {', '.join(known)}")
    return parse_card(name, (_folder() / f"{name}.md").read_text("utf-8"))


def parse_card(name: str, text: str) -> Card:
    """Read a card from its Markdown, whose YAML header stands between two lines of ``---``.

    Raises:
        InputError: names the fields that are missing, unknown or wrong.
    """
    before, _, rest = text.partition("---\n")
    header, mark, body = rest.partition("\n---\n")
    if before.strip() or not mark:
        raise InputError(f"data card {name}: it should begin with a YAML header between --- lines")
    fields = parse_yaml(header, f"data card {name}")
    if not isinstance(fields, dict):
        raise InputError(f"data card {name}: its header should hold fields")
    try:
        return Card(name=name, text=body.strip(), **fields)
    except (ValidationError, TypeError) as error:
        raise InputError(f"data card {name}: {error}") from error


def _folder() -> Traversable:
    return files("data_cards")
