"""A trained model with its encoder: images in, classes out; from a folder or a hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from eval.predictions import Predictions
from rac.api.faults import as_input_errors
from rac.api.given import ColumnNames, Data, Given, named_encoder, opened_cache, take
from rac.api.predictions import NeighbourLists, PredictionResult, blanked
from rac.classifier import (
    CONFIG,
    IMAGES,
    MEMORY,
    TENSORS,
    ClassifierOutput,
    RacClassifier,
    to_predictions,
)
from rac.embedding.bad import BadTally
from rac.embedding.stream import read_rows
from rac.encoders.layout import CONFIG_FILE
from rac.encoders.load import usable_name
from rac.errors import InputError, JobFailed
from rac.prediction_features import Embedder, FeatureBatch, embed_for
from rac.progress import progress_bar
from rac.tables import Item

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from retrieval_index import Memory

_HUB = "hf-hub:"
_ENCODER = "encoder"
_MEMORY_ENCODER = "memory_encoder"
# What a folder of an encoder holds that is data: weights, settings, vocabularies, a card.
_DATA = (".safetensors", ".json", ".txt", ".md")
_FILES = (
    CONFIG,
    TENSORS,
    IMAGES,
    f"{MEMORY}/*",
    *(f"{folder}/*{end}" for folder in (_ENCODER, _MEMORY_ENCODER) for end in _DATA),
)
_CARD = """---
{{ card_data }}
---

# Image classifier of {{ classes | length }} classes

A trained head and a memory of {{ rows }} labelled images, by [rac](https://pypi.org/project/rac).
Encoder: `{{ encoder }}`.

```python
import rac

model = rac.load("hf-hub:ORG/NAME")
print(model.predict(["photo.jpg"]).labels)
```

Classes: {{ classes | join(", ") }}.
"""


class Model(
    ModelHubMixin,
    library_name="rac",
    pipeline_tag="image-classification",
    tags=["long-tail", "retrieval-augmented"],
    model_card_template=_CARD,
):
    """A classifier and its encoder, loaded; :func:`rac.load` gives one.

    ``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` are those of huggingface_hub. What
    they write and read is data: JSON, safetensors, Arrow and the files of the memory. Nothing is
    unpickled, nothing executed.

    Attributes:
        classifier: head, memory and fusion; it takes features.

    >>> import rac
    >>> from PIL import Image
    >>> colours = ["red", "red", "blue", "blue"]
    >>> pictures = [Image.new("RGB", (64, 64), colour) for colour in colours]
    >>> model = rac.Classifier().fit(pictures, colours, progress=False).model_
    >>> model.classes, len(model.memory)
    (('blue', 'red'), 4)
    """

    def __init__(
        self,
        classifier: RacClassifier,
        network: Encoder | None = None,
        memory_network: Encoder | None = None,
    ) -> None:
        """Put a classifier and its encoders together.

        Args:
            classifier: trained.
            network: gives the features of the base branch; loaded by its name when it is first
                needed, if None.
            memory_network: likewise those for a memory with an encoder of its own.

        Raises:
            InputError: an encoder is not the one that the classifier was trained with.
        """
        # The names of the arguments are not those of keys in config.json: the mixin would hand the
        # values of such keys on.
        self.classifier = classifier
        self._folder: Path | None = None
        for name, encoder in (("encoder", network), ("memory_encoder", memory_network)):
            if encoder is not None:
                with as_input_errors():
                    classifier.require(**{name: encoder.identity})
                self.__dict__[name] = encoder

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names, in the order of the probabilities."""
        return self.classifier.classes

    @property
    def memory(self) -> Memory:
        """The labelled rows that neighbours come from."""
        return self.classifier.memory

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the base branch, loaded when it is first asked for."""
        return self._loaded(_ENCODER, self.classifier.config.encoder_name)

    @cached_property
    def memory_encoder(self) -> Encoder | None:
        """The memory's own encoder; None where it shares that of the base branch."""
        own = self.classifier.config.memory_encoder
        return None if own is None else self._loaded(_MEMORY_ENCODER, own.encoder_name)

    @as_input_errors()
    def predict(
        self,
        data: Data,
        *,
        limits: ImageLimits | None = None,
        max_bad: float | None = None,
        cache: bool = True,
        batch_size: int = 64,
        progress: bool = True,
        **columns: Unpack[ColumnNames],
    ) -> PredictionResult:
        """Classify images of any origin; each has a row in the result, bad ones with their reason.

        Args:
            data: as :func:`rac.embed` takes it.
            limits: bounds on images, and the folders that paths may point into.
            max_bad: give up when more than this share of the images, 0 to 1, is bad.
            cache: whether known embeddings are looked up on disk, and new ones kept.
            batch_size: images in one forward pass.
            progress: whether a progress bar is shown.
            columns: ``image``, ``id``, and ``label`` for reports, where they are not called so.

        Returns:
            (N, C) probabilities, N labels, neighbours.

        Raises:
            InputError: the data cannot be read, or a column is not there.
            JobFailed: too many bad images.

        >>> import rac
        >>> from PIL import Image
        >>> colours = ["red", "red", "red", "blue", "blue", "blue"]
        >>> pictures = [Image.new("RGB", (64, 64), colour) for colour in colours]
        >>> model = rac.Classifier().fit(pictures, colours, progress=False).model_
        >>> found = model.predict([pictures[0], "no-such-file.png"], progress=False)
        >>> found.labels, found.probabilities.shape, found.neighbours.labels[0][0]
        (['red', None], (2, 2), 'red')
        >>> found.reasons[1]
        'missing: there is no file no-such-file.png'
        """
        given = take(data, limits, columns)
        given.table.require("image")
        table, config = given.table, self.classifier.config
        taken: list[FeatureBatch] = []
        items: list[Item] = []
        tally = BadTally(max_bad)
        with (
            self._embedders(cache) as (embedder, memory),
            progress_bar("predicting", table.num_rows(), shown=progress) as advance,
        ):
            rows = read_rows(table, batch_size)
            for batch in embed_for(config, rows, table.base, embedder, memory, limits=given.limits):
                tally.count(batch.reasons)
                taken.append(replace(batch, items=[]))
                # The bytes of images are not needed any more.
                items += [
                    replace(item, image=None) if isinstance(item.image, bytes) else item
                    for item in batch.items
                ]
                advance(len(batch.items))
        tally.close()
        return self._result(given, items, taken)

    def _result(
        self, given: Given, items: list[Item], taken: Sequence[FeatureBatch]
    ) -> PredictionResult:
        config = self.classifier.config
        nothing = np.zeros((0, config.dim), np.float32)
        features = np.concatenate([nothing, *(batch.features for batch in taken)])
        asked = None
        if config.memory_encoder is not None:
            none = np.zeros((0, config.memory_encoder.dim), np.float32)
            own = [batch.memory_features for batch in taken]
            asked = np.concatenate([none, *(part for part in own if part is not None)])
        output = self.classifier.predict(features, asked)
        reasons = [reason for batch in taken for reason in batch.reasons]
        hashes = [digest for batch in taken for digest in batch.hashes]
        told = partial(
            self._told, given=given, items=items, output=output, reasons=reasons, hashes=hashes
        )
        return PredictionResult(
            ids=[item.id for item in items],
            classes=output.classes,
            probabilities=blanked(output.probabilities, reasons),
            truth=[item.label for item in items],
            reasons=reasons,
            neighbours=self._neighbours(output, reasons),
            _given=given,
            _told=told,
        )

    def _told(
        self,
        name: str,
        *,
        given: Given,
        items: Sequence[Item],
        output: ClassifierOutput,
        reasons: Sequence[str | None],
        hashes: Sequence[str | None],
    ) -> Predictions:
        return to_predictions(
            output,
            items,
            [item.label for item in items],
            name,
            model=self.classifier,
            ok=np.array([reason is None for reason in reasons], np.bool_),
            hashes=hashes,
            source=given.table.source,
            image_folder=given.table.base,
            metadata={
                "table": given.table.source,
                "encoder": self.encoder.name,
                "space": self.classifier.config.space,
            },
        )

    def _neighbours(
        self, output: ClassifierOutput, reasons: Sequence[str | None]
    ) -> NeighbourLists:
        memory, near = self.classifier.memory, output.neighbours
        ids, labels = memory.ids, memory.labels
        found = NeighbourLists([], [], [])
        for rows, scores, reason in zip(near.rows, near.scores, reasons, strict=True):
            there = (rows >= 0) & (reason is None)
            found.ids.append([ids[row] for row in rows[there]])
            found.labels.append([labels[row] for row in rows[there]])
            found.scores.append(scores[there].astype(float).tolist())
        return found

    @contextmanager
    def _embedders(self, cache: bool) -> Iterator[tuple[Embedder, Embedder | None]]:
        with ExitStack() as stack:

            def embedder(encoder: Encoder) -> Embedder:
                return Embedder(encoder, stack.enter_context(opened_cache(encoder, cache)))

            own = self.memory_encoder
            yield embedder(self.encoder), None if own is None else embedder(own)

    def save(self, folder: str | Path) -> Path:
        """Write a model folder, as ``rac train fit`` writes it; ``rac predict --model`` reads it.

        An encoder that lies in a folder of this machine goes along.

        Returns:
            The folder.
        """
        target = self.classifier.save(folder)
        config = self.classifier.config
        self._copy_encoder(_ENCODER, config.encoder_name, target)
        if config.memory_encoder is not None:
            self._copy_encoder(_MEMORY_ENCODER, config.memory_encoder.encoder_name, target)
        return target

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        encoder: str | Encoder | None = None,
        memory_encoder: str | Encoder | None = None,
        **more: Any,
    ) -> Model:
        if more:
            raise InputError(f"a model is loaded without {', '.join(sorted(more))}")
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(
                snapshot_download(
                    model_id,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                    allow_patterns=list(_FILES),
                )
            )
        with as_input_errors():
            model = cls(
                RacClassifier.load(folder),
                None if encoder is None else named_encoder(encoder),
                None if memory_encoder is None else named_encoder(memory_encoder),
            )
        model._folder = folder
        return model

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Write the card that goes with the model: its classes, its encoder, how to use it."""
        facts = {
            "classes": self.classes,
            "rows": len(self.memory),
            "encoder": self.classifier.config.encoder_name or self.classifier.config.encoder,
        }
        return super().generate_model_card(*args, **{**facts, **kwargs})

    def _loaded(self, kind: str, name: str | None) -> Encoder:
        with as_input_errors():
            inside = self._encoder_folder(kind)
            encoder = named_encoder(
                inside or usable_name(name, self._folder or "the model", f"{kind}=")
            )
            self.classifier.require(**{kind: encoder.identity})
        return encoder

    def _encoder_folder(self, kind: str) -> str | None:
        """Give the encoder's folder inside the model's, where there is one."""
        if self._folder is None or not (self._folder / kind / CONFIG_FILE).is_file():
            return None
        return str(self._folder / kind)

    def _copy_encoder(self, kind: str, name: str | None, target: Path) -> None:
        origin = Path(self._encoder_folder(kind) or Path(name or "mini").expanduser())
        home = target / kind
        if not (origin / CONFIG_FILE).is_file() or origin.resolve() == home.resolve():
            return
        home.mkdir(exist_ok=True)
        for file in sorted(origin.iterdir()):
            if file.is_file() and file.suffix.lower() in _DATA:
                shutil.copyfile(file, home / file.name)

    def __repr__(self) -> str:
        """Say what it knows."""
        return f"<rac.Model of {len(self.classes)} classes, {self.memory!r}>"


def load(
    folder: str | Path,
    *,
    encoder: str | Encoder | None = None,
    memory_encoder: str | Encoder | None = None,
) -> Model:
    """Load a trained model; nothing in it is executed or unpickled.

    Args:
        folder: what ``rac train fit``, :meth:`rac.Classifier.save` or :meth:`rac.Model.save` wrote,
            or ``hf-hub:ORG/NAME`` or ``hf-hub:ORG/NAME@REVISION`` on a hub.
        encoder: a name or a loaded one, in place of the one that the model names.
        memory_encoder: likewise, for a memory with an encoder of its own.

    Raises:
        InputError: there is no such model, it is damaged, or the encoder is another.
        JobFailed: the hub cannot be reached.

    >>> import tempfile, rac
    >>> from PIL import Image
    >>> colours = ["red", "red", "blue", "blue"]
    >>> pictures = [Image.new("RGB", (64, 64), colour) for colour in colours]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = rac.Classifier().fit(pictures, colours, progress=False).save(folder)
    ...     model = rac.load(saved)
    ...     print(model.predict(pictures[2], progress=False).labels)
    ['blue']
    """
    name = str(folder)
    options: dict[str, Any] = {"encoder": encoder, "memory_encoder": memory_encoder}
    if not name.startswith(_HUB):
        if not Path(folder).expanduser().is_dir():
            raise InputError(
                f"{folder}: there is no such folder; a model is the folder that `rac train fit` "
                f"prints, or {_HUB}ORG/NAME"
            )
        return Model._from_pretrained(
            model_id=str(Path(folder).expanduser()),
            revision=None,
            cache_dir=None,
            force_download=False,
            local_files_only=True,
            token=None,
            **options,
        )
    repository, _, revision = name.removeprefix(_HUB).partition("@")
    try:
        return Model.from_pretrained(repository, revision=revision or None, **options)
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise JobFailed(
            f"{name}: the hub cannot be reached, and no copy is here: {error}"
        ) from error
    except (
        EntryNotFoundError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    ) as error:
        raise InputError(f"{name}: there is no such model on the hub: {error}") from error
    except (HfHubHTTPError, ConnectionError, TimeoutError) as error:
        raise JobFailed(f"{name}: the hub does not answer as it should: {error}") from error
