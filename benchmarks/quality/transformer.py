"""Quality of a small Transformer over CPU minutes, on the batches of the recipe `multi30k-en-de-small`.

    python benchmarks/quality/transformer.py --work runs/transformer-15 --budget 15 --set training.updates=6200
    python benchmarks/quality/transformer.py --check

Network: Transformer-Tiny from stock Keras layers (`network.py`), with normalised inputs of sublayers. Tokenizer,
batches, loss, Adam, search and scores are the toolkit's, as for its recurrent models. `--set` changes the recipe, as in
`seq2seq train`: data, batches, training and seed. A run ends after `training.updates`, some 410 per CPU minute of its
budget, depending on the machine. Each epoch ends with a validation: loss, and BLEU of greedy translations. At the end,
the weights with the best BLEU translate the test set at beam size 5, and a line is appended to `transformer.jsonl`.

A CPU minute is a minute of this process on one core, user and system time, over all sessions. As in the history of
`seq2seq train`, it includes reading the corpora, tracing and validation; translating the test set does not count. The
same command resumes a run that was interrupted or killed, from its last checkpoint; what came after that is repeated
and not counted twice.
"""

import argparse
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import records
import tensorflow as tf
from network import Shape, Transformer
from translation import TransformerTranslator, check_decoding

from seq2seq.config import Config, SearchOptions, dump_config, load_config
from seq2seq.corpora import open_corpus
from seq2seq.data.batching import batch_dataset
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.devices.determinism import enable_determinism
from seq2seq.devices.device import set_up_device
from seq2seq.layers import RandomStream
from seq2seq.layers.losses import output_cross_entropy
from seq2seq.model_directory.directory import create_model_directory, load_tokenizers
from seq2seq.models.base import assign_weights, named_weights
from seq2seq.models.trainable import TrainableModel
from seq2seq.storage.arrays import load_arrays, save_arrays
from seq2seq.training.checkpoints import lock_run, training_state
from seq2seq.training.display import make_display
from seq2seq.training.optimization import learning_rate, make_optimizer
from seq2seq.training.preparation import prepare_data
from seq2seq.training.run_state import plan_epoch
from seq2seq.training.validation import Validator

HERE = Path(__file__).parent
RECIPE = "multi30k-en-de-small"
SETTINGS = (
    "training.learning_rate=0.002",
    "training.schedule={type: cosine, warmup_updates: 400, min_learning_rate: 1.0e-5}",
    "training.beta_2=0.98",
)
# Sections of a recipe that this benchmark does not use: changes of them would have no effect.
UNUSED = (
    "embeddings", "encoder", "decoder", "stages", "teachers", "tokenizer.sampling", "training.consistency",
    "training.distillation", "training.freeze", "training.warm_start",
)  # fmt: skip
CHECKPOINT = "last.safetensors"


class TrainedTransformer(TrainableModel):
    """The network with the toolkit's training step: its loss, clipping, accumulation and averaging of weights."""

    def __init__(self, network: Transformer, config: Config) -> None:
        super().__init__("transformer", "float32", RandomStream(config.seed))
        self.network, training = network, config.training
        self.compile(
            make_optimizer(training),
            label_smoothing=training.label_smoothing,
            clip_norm=training.clip_norm,
            accumulation_steps=training.accumulation_steps,
            ema_decay=training.ema_decay,
            max_norm_ratio=training.recovery.max_norm_ratio,
        )

    @property
    def vocabulary_sizes(self) -> tuple[int, int]:
        return (self.network.vocabulary_size,) * 2

    def loss_sums(
        self, source: tf.Tensor, target: tf.Tensor, label_smoothing: float = 0.0, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Sums of the smoothed loss and the negative log-likelihood, and the number of real target tokens."""
        outputs, real = self.network(source, target, training=training), target != PAD_ID
        labels = tf.boolean_mask(target, real)
        table, bias = self.network.embedding.embeddings.value, self.network.output_bias.value
        loss, nll = output_cross_entropy(tf.boolean_mask(outputs, real), table, bias, labels, label_smoothing)
        return tf.reduce_sum(loss), tf.reduce_sum(nll), tf.cast(tf.size(labels), tf.float32)

    def state(self) -> dict[str, Any]:
        """Every variable on which a later training step depends, by name."""
        seeds = [variable for variable in self.network.variables if "seed" in variable.name]
        return training_state(self) | {f"seeds/{number}": seed for number, seed in enumerate(seeds)}


@dataclass
class Progress:
    """Position of a run.

    Attributes:
        epoch: Current epoch, from 1.
        batch: Number of batches done in this epoch.
        batches: Number of batches done in all.
        epochs: Number of epochs done, with a fraction.
        cpu_seconds: CPU seconds so far.
        best: Position, loss and BLEU of the best validation; None before the first one.
    """

    epoch: int = 1
    batch: int = 0
    batches: int = 0
    epochs: float = 0.0
    cpu_seconds: float = 0.0
    best: dict[str, Any] | None = None


class Run:
    """A run in a folder, which ends after the updates of its recipe."""

    def __init__(self, config: Config, shape: Shape, folder: Path) -> None:
        self.clock = time.process_time()
        self.config, self.folder = config, folder
        self.progress = Progress()
        self.settings = {"recipe": dump_config(config), "shape": asdict(shape)}
        checkpoint, display = folder / CHECKPOINT, make_display(None)
        tokenizers = load_tokenizers(folder) if checkpoint.exists() else None
        self.data = prepare_data(config, folder, display, tokenizers)
        create_model_directory(folder, config, self.data.tokenizers)
        keras.utils.set_random_seed(config.seed)
        network = Transformer(self.data.tokenizers.target.vocabulary_size, shape)
        self.model = TrainedTransformer(network, config)
        self.validator = Validator(self.model, self.data, config, display)
        self.translator = TransformerTranslator(network, self.data.tokenizers)
        self.best_weights: dict[str, np.ndarray] = {}
        if checkpoint.exists():
            self.load(checkpoint)
        self.last_saved = time.monotonic()

    @property
    def update(self) -> int:
        return self.progress.batches // self.config.training.accumulation_steps

    def load(self, checkpoint: Path) -> None:
        arrays, about = load_arrays(checkpoint)
        if about["settings"] != self.settings:
            raise SystemExit(
                f"{checkpoint}: was written with other settings. Repeat its command, or give another --work."
            )
        for name, variable in self.model.state().items():
            variable.assign(arrays[f"state/{name}"])
        best = [name for name in arrays if name.startswith("best/")]
        self.best_weights = {name.removeprefix("best/"): arrays[name] for name in best}
        self.progress = Progress(**about["progress"])
        print(f"resuming after update {self.update:,}, {self.progress.cpu_seconds / 60:.1f} CPU minutes", flush=True)

    def save(self) -> None:
        arrays = {f"state/{name}": variable.numpy() for name, variable in self.model.state().items()}
        arrays |= {f"best/{name}": array for name, array in self.best_weights.items()}
        save_arrays(self.folder / CHECKPOINT, arrays, {"progress": asdict(self.progress), "settings": self.settings})
        self.last_saved = time.monotonic()

    def train(self) -> records.Row:
        """Train to the last update; returns the position and the scores of the best weights on the test set."""
        progress, last = self.progress, self.config.training.updates
        assert last is not None  # checked by `main`
        while self.update < last:
            plan = plan_epoch(self.config, self.data.train, progress.epoch)
            for batch in batch_dataset(self.data.train, plan, progress.batch):
                self.learn(batch)
                progress.epochs = progress.epoch - 1 + progress.batch / len(plan)
                if progress.batch == len(plan):
                    progress.epoch, progress.batch = progress.epoch + 1, 0
                if self.update == last or progress.batch == 0:
                    self.validate()
                elif time.monotonic() - self.last_saved > 60 * self.config.training.checkpoint_minutes:
                    self.count()
                    self.save()
                if self.update == last:
                    break
        return self.row()

    @property
    def greedy(self) -> SearchOptions:
        return self.config.search.model_copy(update={"beam_size": 1})

    def count(self) -> None:
        """Add the CPU time since the last call."""
        now = time.process_time()
        self.progress.cpu_seconds += now - self.clock
        self.clock = now

    def learn(self, batch: tuple[tf.Tensor, ...]) -> None:
        rate = learning_rate(self.config.training, self.update + 1, end=self.config.training.updates)
        self.model.optimizer.learning_rate.assign(rate)
        self.model.step_function()(*batch)
        self.progress.batch += 1
        self.progress.batches += 1

    def validate(self) -> None:
        """Measure loss and BLEU, keep the weights if BLEU is the best so far, and write a checkpoint."""
        progress, pairs = self.progress, self.data.valid_pairs
        trained = float(self.model.nll_metric.result())
        for metric in self.model.metrics:
            metric.reset_state()
        with self.model.update.averaged_weights():
            loss = self.validator.loss()
            texts = self.translator.translate([pair.source for pair in pairs], self.greedy)
            bleu = self.score(texts, [pair.target for pair in pairs])["bleu"]
            weights = {name: array.copy() for name, array in named_weights(self.model).items()}
        self.count()
        improved = progress.best is None or bleu > progress.best["valid_bleu"]
        if improved:
            position = {"best_update": self.update, "best_cpu_minutes": round(progress.cpu_seconds / 60, 2)}
            progress.best = position | {"valid_loss": round(loss, 4), "valid_bleu": bleu}
            self.best_weights = weights
        print(
            f"epoch {progress.epochs:.1f}  update {self.update:,}  train loss {trained:.3f}  valid loss {loss:.3f}  "
            f"BLEU {bleu:.2f}  skipped {int(self.model.update.skipped)}  {progress.cpu_seconds / 60:.2f} CPU minutes"
            f"{'  *best*' if improved else ''}",
            flush=True,
        )
        self.save()

    def row(self) -> records.Row:
        """The position of the run, and the scores of its best weights on the test set."""
        pairs, best = list(open_corpus(self.config.data.test)), self.progress.best or {}
        assign_weights(self.model, self.best_weights, self.folder)
        texts = self.translator.translate([pair.source for pair in pairs], records.TEST_SEARCH)
        return {
            "cpu_minutes": round(self.progress.cpu_seconds / 60, 2),
            "parameters": sum(array.size for array in self.best_weights.values()),
            "updates": self.update,
            "epochs": round(self.progress.epochs, 2),
            **best,
            **self.score(texts, [pair.target for pair in pairs]),
        }

    def score(self, texts: list[str], references: list[str]) -> records.Row:
        return records.score(texts, references, self.config.data.target_language)


def use_cpu(threads: int | None) -> None:
    """Hide all GPUs, limit the threads of TensorFlow, and make its operations deterministic."""
    tf.config.set_visible_devices([], "GPU")
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    enable_determinism(set_up_device())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/transformer"), help="folder of the run")
    parser.add_argument("--budget", type=float, default=15.0, help="CPU minutes of the run in the figure; default: 15")
    parser.add_argument("--record", type=Path, default=HERE / "transformer.jsonl", help="file for the row")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change of the recipe")
    parser.add_argument("--threads", type=int, help="number of TensorFlow's threads; default: one per core")
    parser.add_argument("--check", action="store_true", help="check cached decoding with random weights, and end")
    network = parser.add_argument_group("network", "Transformer-Tiny by default, but with --pre-norm")
    network.add_argument("--layers", type=int, default=Shape.layers, help="of the encoder, and of the decoder")
    network.add_argument("--width", type=int, default=Shape.width)
    network.add_argument("--feed-forward", type=int, default=Shape.feed_forward, help="width of the hidden layers")
    network.add_argument("--heads", type=int, default=Shape.heads)
    network.add_argument("--dropout", type=float, default=Shape.dropout)
    network.add_argument("--attention-dropout", type=float, default=Shape.attention_dropout)
    network.add_argument(
        "--pre-norm",
        action=argparse.BooleanOptionalAction,
        default=Shape.pre_norm,
        help="normalise inputs of sublayers, not sums",
    )
    options = parser.parse_args()
    use_cpu(options.threads)
    if options.check:
        for pre_norm in (False, True):
            check_decoding(Shape(layers=2, width=24, feed_forward=40, pre_norm=pre_norm))
        print("cached decoding equals teacher forcing")
        return
    shape = Shape(**{part.name: getattr(options, part.name) for part in fields(Shape)})
    unused = [key for key in options.set if key.startswith(UNUSED)]
    if unused:
        raise SystemExit(f"--set {unused[0]}: has no effect here. Remove it; --help lists the options for the network.")
    config, run = load_config(RECIPE, [*SETTINGS, *options.set]), options.work.name
    schedule = config.training.schedule
    if schedule.type == "plateau":
        raise SystemExit("training.schedule.type: expected a schedule that depends on the update only, found plateau")
    if config.training.updates is None:
        raise SystemExit("training.updates: expected the last update of the run, found null")
    if any(row["run"] == run for row in records.read(options.record)):
        raise SystemExit(f"{options.record}: has a row of a run {run}. Remove it, or give another --work.")
    options.work.mkdir(parents=True, exist_ok=True)
    with lock_run(options.work):
        row = Run(config, shape, options.work).train()
    records.append(options.record, {"model": "Transformer", "run": run, "budget": options.budget, **row})


if __name__ == "__main__":
    main()
