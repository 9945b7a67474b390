"""Lightning's command line over images: a tuned encoder, and the classifier on top of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pytorch_lightning.cli import ArgsType

from rac.classifier import CONFIG
from rac.encoders.load import usable_name
from rac.model_config import read_config
from rac.progress import say
from training.features_cli import ModeCLI, run_features, start
from training.finetune.data import ImageData
from training.finetune.export import write_encoder, write_resized
from training.finetune.module import TowerTuner, trained_folder
from training.fit import restore_best

_FEATURES = "features"
_MEMORY_ENCODER = "memory_encoder"


class FinetuneCLI(ModeCLI):
    """Trains the image tower; what comes after it is the command line over embeddings.

    ``fit`` writes the tuned encoder to ``encoder`` of the run's folder, and to ``memory_encoder``
    where the memory is to see the pictures larger; then it fits a head on its features, builds the
    memory and fits the fusion, into ``model``. The other subcommands are about that model.
    """

    mode = "finetune"
    model: TowerTuner
    datamodule: ImageData

    def after_fit(self) -> None:
        """Write the best epoch's encoder, then train a head on its features, and make the model.

        What the head in training says of validation rows only ranks the epochs: trained on crops of
        ``image_size``, it is a stranger to whole pictures of the encoder's size. The one that is
        fitted to the embeddings afterwards is not.
        """
        restore_best(self.trainer, self.model)
        for name, figure in sorted(self.trainer.callback_metrics.items()):
            sys.stderr.write(f"head alone, last epoch: {name:12} {float(figure):.3f}\n")
        data = self.datamodule
        folder = write_encoder(self.model.visual(), data.encoder_name, trained_folder(self.root))
        if data.memory_image_size is not None:
            write_resized(folder, self.root / _MEMORY_ENCODER, data.memory_image_size)
        say(f"{folder} is the tuned encoder; now head, memory and fusion")
        self._over_embeddings("fit", self.root / _FEATURES)

    def validate(self, **_: Any) -> None:
        """Judge the classifier on the validation table."""
        self._over_embeddings("validate", self.root)

    def test(self, **_: Any) -> None:
        """Judge it on the test table, and write predictions."""
        self._over_embeddings("test", self.root)

    def predict(self, **_: Any) -> None:
        """Run it over the table to predict."""
        self._over_embeddings("predict", self.root)

    @property
    def root(self) -> Path:
        """The run's folder."""
        return Path(self.trainer.default_root_dir)

    def _over_embeddings(self, subcommand: str, root: Path) -> None:
        data, model = self.datamodule, self.root / "model"
        told = {
            **{f"data.{name}": value for name, value in data.tables.items()},
            **{f"data.{name}": value for name, value in data.columns.items()},
            "data.encoder": trained_folder(self.root).resolve(),
            "data.space": data.space,
            "data.embed_batch_size": data.embed_batch_size,
            "data.max_bad": data.max_bad,
            "seed_everything": data.seed,
            "model.out": model,
            "trainer.default_root_dir": root,
            **(self._to_fit() if subcommand == "fit" else self._memory_of(model)),
        }
        given = [f"--{name}={value}" for name, value in told.items() if value is not None]
        run_features([subcommand, *given])

    def _to_fit(self) -> dict[str, object]:
        data = self.datamodule
        tuned = data.memory == "tuned"
        memory: str | Path | None = None if tuned else data.encoder_name
        if data.memory_image_size is not None:
            memory = (self.root / _MEMORY_ENCODER).resolve()
        by_validation = data.memorise_validation or memory is not None
        return {
            "data.memory_encoder": memory,
            "data.memorise_validation": str(data.memorise_validation).lower(),
            # The tower has learnt to see crops and mirror images as one.
            "data.views_below": 0 if tuned else None,
            # The same rows are held out, so that the fusion is fitted to what the tower has not
            # seen.
            "data.held_out": data.held_out if by_validation and not data.tables["val"] else None,
        }

    def _memory_of(self, model: Path) -> dict[str, object]:
        """Give the options that name the memory of a model, where it has an encoder of its own."""
        own = read_config(model / CONFIG).memory_encoder
        if own is None:
            return {}
        name = own.encoder_name
        # Folders that were named for this run, by its own folder or by the encoder to begin with.
        given = (self.datamodule.encoder_name, str((self.root / _MEMORY_ENCODER).resolve()))
        if name not in given:
            name = usable_name(name, model / CONFIG, "--data.encoder")
        return {"data.memory_encoder": name, "data.memory_space": own.space}


def run_finetune(arguments: ArgsType) -> FinetuneCLI:
    """Run a subcommand over images.

    Args:
        arguments: what stands behind ``rac train``; those of the process if None.
    """
    return start(
        FinetuneCLI,
        TowerTuner,
        ImageData,
        arguments,
        accelerator="auto",
        gradient_clip_val=1.0,
    )
