"""Lightning's command line over embeddings: tables as data, a model folder as its result."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.plugins import TorchCheckpointIO
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from rac.classifier import CONFIG, RacClassifier, to_predictions
from rac.errors import InputError
from rac.model_config import read_config
from rac.progress import say
from training.branch_figures import branch_lines
from training.data import TableData
from training.fit import (
    best_checkpoint,
    early_stopping,
    finish,
    keep_checkpoints,
    last_checkpoint,
    restore_best,
)
from training.module import CosineHeads
from training.trust import HELP, OPTION, CautiousParser, known_classes_only, trusted

EXAMPLES = {
    "fit": (
        "rac train fit --config grocery-store-lt --trainer.default_root_dir runs/lt. Killed, it "
        "goes on where it was and ends as it would have, to the bit: the same command with "
        "--ckpt_path last behind it"
    ),
    "validate": "rac train validate --config grocery-store-lt",
    "test": "rac train test --config grocery-store-lt",
    "predict": "rac train predict --config grocery-store-lt",
}
PREDICTIONS = "predictions.parquet"

Mode = Literal["features", "finetune"]
Command = TypeVar("Command", bound=LightningCLI)


class ModeCLI(LightningCLI):
    """What the command lines of both modes have in common."""

    mode: Mode

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Give the subcommands with the arguments of the trainer that the config does not name."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
            "validate": {"model", "dataloaders", "datamodule"},
            "test": {"model", "dataloaders", "datamodule"},
            "predict": {"model", "dataloaders", "datamodule"},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One seed for the data as for everything else, and what is trained."""
        # Configurations say what is trained; `training.cli.run` has acted on it by then.
        parser.add_argument(
            "--mode",
            type=Mode,
            default=self.mode,
            help="train a head on embeddings (features), or the image tower too (finetune)",
        )
        parser.link_arguments("seed_everything", "data.seed", compute_fn=as_seed)

    def before_instantiate_classes(self) -> None:
        """Read checkpoints as tensors and plain values.

        Raises:
            InputError: the configuration asks for more, and is not trusted.
        """
        settings = self.config[self.config.subcommand]
        if trusted() or "weights_only" not in settings:
            return
        if settings["weights_only"] is False:
            raise InputError(
                "weights_only: false lets a checkpoint run code when it is read; where you trust "
                f"it as a program, add {OPTION}"
            )
        settings["weights_only"] = True

    def after_instantiate_classes(self) -> None:
        """Have it told where a checkpoint is none; one of a plugin's tells for itself."""
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:
            strategy.checkpoint_io = _ToldCheckpoints()

    def _parse_ckpt_path(self) -> None:
        with _checkpoint_told(self.config.get(self.config.get("subcommand"), {}).get("ckpt_path")):
            super()._parse_ckpt_path()

    def before_fit(self) -> None:
        """Keep checkpoints in one place of the run's folder, where ``--ckpt_path last`` looks.

        Lightning would put them into the folder of the log, which is a new one each time, and an
        interrupted fit would start all over.
        """
        keep_checkpoints(self.trainer)


class TrainingCLI(ModeCLI):
    """Wires tables, heads and trainer; after ``fit`` it exports the model, after ``test`` it writes
    predictions for ``rac report``.
    """

    mode = "features"
    model: CosineHeads
    datamodule: TableData

    def before_fit(self) -> None:
        """Keep checkpoints in one place.

        Raises:
            InputError: the strategy trains in processes that cannot give the heads back.
        """
        super().before_fit()
        if isinstance(self.trainer.strategy.launcher, _MultiProcessingLauncher):
            raise InputError(
                "this strategy trains in copies of the program that cannot give the heads back; "
                "use --trainer.strategy ddp, or one device"
            )

    def after_validate(self) -> None:
        """Warn where the validation rows are in the memory, and thus find themselves."""
        if read_config(self.model.model_folder / CONFIG).training.get("memorise_validation"):
            say("the model's memory holds validation rows: they find themselves, and the figures")
            say("are too good. Judge it on a test table: rac train test")

    def after_fit(self) -> None:
        """Export the best epoch's model and print its folder."""
        if not self.trainer.is_global_zero:
            return
        restore_best(self.trainer, self.model)
        settings = {"seed": self.datamodule.seed, "epochs": self.trainer.current_epoch}
        folder = self.model.model_folder
        classifier = finish(self.model, self.datamodule, folder, settings)
        for name, figure in sorted(classifier.config.metrics.items()):
            sys.stderr.write(f"{name:24} {figure:.3f}\n")
        print(folder)  # noqa: T201 (the result of the command)

    def after_test(self) -> None:
        """Write the predictions of the test table, tell what each branch adds, and print where."""
        if not self.trainer.is_global_zero:
            return
        from eval.predictions import write_predictions

        data = self.datamodule
        features, table = data.embedded("test"), data.opened["test"]
        classifier = RacClassifier.load(self.model.model_folder, **data.asked_of_a_model)
        output = classifier.predict(features.space(data.space), data.memory_features("test"))
        predictions = to_predictions(
            output,
            features.items,
            [item.label for item in features.items],
            name=Path(classifier.config.encoder_name or "encoder").name,
            model=classifier,
            ok=features.ok,
            hashes=features.hashes,
            source=table.source,
            image_folder=table.base,
            metadata={
                "table": data.tables["test"],
                "model": str(self.model.model_folder),
                "encoder": classifier.config.encoder_name,
            },
        )
        path = Path(self.trainer.default_root_dir) / PREDICTIONS
        write_predictions(predictions, path)
        sys.stderr.writelines(f"{line}\n" for line in branch_lines(predictions))
        print(path)  # noqa: T201 (the result of the command)


def run_features(arguments: ArgsType) -> TrainingCLI:
    """Run a subcommand over embeddings.

    Args:
        arguments: what stands behind ``rac train``; those of the process if None.
    """
    # Training takes seconds, and a batch that is dealt out to devices is another training: so each
    # device does all of it, and any number of them ends at the same bits.
    return start(TrainingCLI, CosineHeads, TableData, arguments, use_distributed_sampler=False)


def start(
    command: type[Command],
    module: type[LightningModule],
    data: type[LightningDataModule],
    arguments: ArgsType,
    **defaults: Any,
) -> Command:
    """Run one of the command lines, with the trainer's settings that suit both.

    Args:
        command: which.
        module: that it trains.
        data: that it trains on.
        arguments: what stands behind ``rac train``; those of the process if None.
        defaults: of the trainer, other than those that suit both.
    """
    # Lightning doubts that a program would name arguments; this one does so on purpose.
    for told in (
        "LightningCLI's args parameter",
        ".*treespec, LeafSpec",
        ".*Starting from v1.9.0",
        "Checkpoint directory .* exists and is not empty",
        # Normalisations that keep their statistics are left so on purpose.
        "Found .* in eval mode at the start of training",
    ):
        warnings.filterwarnings("ignore", message=told)
    # What Lightning advertises would stand before our own messages.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_no_advertisement)
    with known_classes_only():
        return command(
            module,
            data,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=CautiousParser,
            parser_kwargs={
                "prog": "rac train",
                **{
                    name: {"epilog": f"Example: {example}. {HELP}."}
                    for name, example in EXAMPLES.items()
                },
            },
            trainer_defaults={
                "accelerator": "cpu",
                "devices": 1,
                "max_epochs": 10,
                "deterministic": True,
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 1,
                "enable_model_summary": False,
                "callbacks": [best_checkpoint(), last_checkpoint(), early_stopping()],
                **defaults,
            },
            args=arguments,
        )


class _ToldCheckpoints(TorchCheckpointIO):
    def load_checkpoint(self, path: Any, *options: Any, **more: Any) -> dict[str, Any]:
        with _checkpoint_told(path):
            read: dict[str, Any] = super().load_checkpoint(path, *options, **more)
        return read


@contextmanager
def _checkpoint_told(path: Any) -> Iterator[None]:
    """Tell of a checkpoint that is none, or more than data."""
    try:
        yield
    except InputError:
        raise
    except Exception as fault:
        # Readers of pickles end on odd bytes with whatever error comes first.
        said = str(fault).partition("\n")[0] or type(fault).__name__
        raise InputError(
            f"{path}: is not a checkpoint of tensors and plain values, or is damaged ({said})"
        ) from fault


def _no_advertisement(record: logging.LogRecord) -> bool:
    return "Tip: " not in record.getMessage()


def as_seed(value: Any) -> int:
    """Give ``seed_everything`` as a number: true asks for one to be drawn, false for none."""
    if value is True:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(value or 0)
