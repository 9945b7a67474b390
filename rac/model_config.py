"""What ``config.json`` of a model folder says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rac.documents import MEBIBYTE, faults_of, parse_json, read_text
from rac.errors import InputError
from rac.fusion import Fusion

Version = Literal[1, 2, 3, 4]

OWN_DIGEST = "config_sha256"
"""The key of ``config.json`` that vouches for the others; since format version 4."""

_DIGEST_SINCE = 4
_MOST_BYTES = 256 * MEBIBYTE

# Bounds that no fit comes near to. Numbers beyond them are damage, and would overflow, or take
# memory without end.
Figure = Annotated[float, Field(ge=-1e9, le=1e9)]
Positive = Annotated[float, Field(ge=1e-9, le=1e9)]
Dimensions = Annotated[int, Field(ge=1, le=1_000_000)]
Rows = Annotated[int, Field(ge=0, le=2**53)]


class FusionConfig(BaseModel):
    """The numbers of a :class:`rac.fusion.Fusion`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weights: tuple[Figure, Figure, Figure, Figure, Figure]
    centre: Figure
    spread: Positive
    temperature: Positive
    text: tuple[Figure, Figure] = (0.0, 0.0)

    def fusion(self) -> Fusion:
        """Give the fusion itself."""
        return Fusion(**self.model_dump())


class TextConfig(BaseModel):
    """The numbers of a :class:`rac.branches.text.TextBranch`; k and gamma are those of the votes.

    Attributes:
        dim: E, of the text vectors.
        temperature: of the similarities.
        scale: of the cosines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dim: Dimensions
    temperature: Positive
    scale: Positive


class MemoryEncoder(BaseModel):
    """The encoder of a memory that is not that of the base branch.

    Attributes:
        encoder: identity.
        encoder_name: what it is called on the command line, if anything.
        space: which of its outputs the memory holds: ``trunk`` or ``embedding``.
        dim: of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    encoder: str
    encoder_name: str | None = None
    space: Literal["trunk", "embedding"]
    dim: Dimensions


class ClassifierConfig(BaseModel):
    """What ``config.json`` of a model folder says; unknown keys are refused.

    Attributes:
        format_version: of the folder.
        classes: the C names, in the order of every score column.
        train_counts: training rows of each class.
        encoder: identity of the encoder whose features the base branch takes, and the memory too
            unless it has an encoder of its own.
        encoder_name: what that encoder is called on the command line, if anything.
        space: which of its outputs: ``trunk`` or ``embedding``.
        dim: D, of the features.
        memory_encoder: of the memory, where that is another than ``encoder``; None where it is the
            same, as in every folder of format versions 1 and 2.
        k: neighbours that are heard.
        temperature: of their similarities.
        gamma: exponent of the class counts that votes are divided by.
        fusion: weights of both branches.
        fallback: weights of the base branch alone, for an empty memory.
        text: of the text branch; None where it is off, as in every folder of format version 1.
        metric_sha256: of the memory's fitted metric, which the base branch shares where both have
            the same encoder.
        tensors_sha256: of ``model.safetensors``; set when saving.
        images_sha256: of ``images.json``; set when saving, None where the images are not known.
        config_sha256: of everything else in the file; set when saving, None in format versions
            before 4.
        training: the settings it was trained with, as JSON values.
        metrics: figures from training and validation rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Version = 4
    classes: tuple[str, ...] = Field(min_length=2)
    train_counts: tuple[Rows, ...]
    encoder: str
    encoder_name: str | None = None
    space: Literal["trunk", "embedding"]
    dim: Dimensions
    memory_encoder: MemoryEncoder | None = None
    k: int = Field(ge=1, le=10_000)
    temperature: Positive
    gamma: float = Field(ge=0, le=100)
    fusion: FusionConfig
    fallback: FusionConfig
    text: TextConfig | None = None
    metric_sha256: str
    tensors_sha256: str | None = None
    images_sha256: str | None = None
    config_sha256: str | None = None
    training: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _classes_fit(self) -> ClassifierConfig:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.train_counts) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.train_counts)} counts")
        return self

    def of_memory(self) -> MemoryEncoder:
        """Tell what the memory is made with: its own encoder, or that of the base branch."""
        return self.memory_encoder or MemoryEncoder(
            encoder=self.encoder,
            encoder_name=self.encoder_name,
            space=self.space,
            dim=self.dim,
        )


def write_config(config: ClassifierConfig, path: Path) -> None:
    """Write a model's configuration, with a digest of itself, in the present format."""
    said = config.model_dump(mode="json") | {"format_version": get_args(Version)[-1]}
    said[OWN_DIGEST] = _digest(said)
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def read_config(path: Path) -> ClassifierConfig:
    """Read a model's configuration.

    Raises:
        InputError: there is no such file, it is of a version that this program does not read, it
            is not what was written, or it is something else.
    """
    if not path.exists():
        raise InputError(
            f"{path.parent}: no {path.name} there; a model folder is what `rac train fit` prints"
        )
    said = parse_json(read_text(path, most_bytes=_MOST_BYTES), str(path))
    if not isinstance(said, dict):
        raise InputError(f"{path}: not the configuration of a model")
    version = said.get("format_version")
    if isinstance(version, bool) or version not in get_args(Version):
        raise InputError(
            f"{path}: written in version {str(version)[:40]} of the model format; this program "
            "reads versions 1 to 4. Train the model again, or use the release that wrote it"
        )
    try:
        config = ClassifierConfig.model_validate_json(json.dumps(said))
    except ValidationError as fault:
        raise InputError(f"{path}: not the configuration of a model: {faults_of(fault)}") from fault
    vouched = config.config_sha256 is not None or config.format_version >= _DIGEST_SINCE
    if vouched and config.config_sha256 != _digest(said):
        raise InputError(
            f"{path}: is not what was written: its {OWN_DIGEST} is of other contents. It is "
            "damaged, or was edited; take it from a copy, or train the model again"
        )
    return config


def _digest(said: dict[str, Any]) -> str:
    """Give a SHA-256 over a configuration without its digest, however it is laid out."""
    rest = {key: value for key, value in said.items() if key != OWN_DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
