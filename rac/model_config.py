"""What ``config.json`` of a model folder says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rac.errors import InputError
from rac.fusion import Fusion

Version = Literal[1, 2, 3]


class FusionConfig(BaseModel):
    """The numbers of a :class:`rac.fusion.Fusion`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: tuple[float, float, float, float, float]
    centre: float
    spread: float = Field(gt=0)
    temperature: float = Field(gt=0)
    text: tuple[float, float] = (0.0, 0.0)

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

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: int = Field(ge=1)
    temperature: float = Field(gt=0)
    scale: float = Field(gt=0)


class MemoryEncoder(BaseModel):
    """The encoder of a memory that is not that of the base branch.

    Attributes:
        encoder: identity.
        encoder_name: what it is called on the command line, if anything.
        space: which of its outputs the memory holds: ``trunk`` or ``embedding``.
        dim: of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str
    encoder_name: str | None = None
    space: str
    dim: int = Field(ge=1)


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
        training: the settings it was trained with, as JSON values.
        metrics: figures from training and validation rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Version = 3
    classes: tuple[str, ...] = Field(min_length=2)
    train_counts: tuple[int, ...]
    encoder: str
    encoder_name: str | None = None
    space: str
    dim: int = Field(ge=1)
    memory_encoder: MemoryEncoder | None = None
    k: int = Field(ge=1)
    temperature: float = Field(gt=0)
    gamma: float = Field(ge=0)
    fusion: FusionConfig
    fallback: FusionConfig
    text: TextConfig | None = None
    metric_sha256: str
    tensors_sha256: str | None = None
    images_sha256: str | None = None
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


def read_config(path: Path) -> ClassifierConfig:
    """Read a model's configuration.

    Raises:
        InputError: there is no such file, it is of a version that this program does not read, or
            it is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(
            f"{path.parent}: no {path.name} there; a model folder is what `rac train fit` prints"
        ) from None
    try:
        version = json.loads(text).get("format_version")
        if version not in get_args(Version):
            raise InputError(
                f"{path}: written in version {version} of the model format; this program reads "
                "versions 1, 2 and 3. Train the model again, or use the release that wrote it"
            )
        return ClassifierConfig.model_validate_json(text)
    except (ValidationError, json.JSONDecodeError, AttributeError) as fault:
        raise InputError(f"{path}: not the configuration of a model ({fault})") from fault
