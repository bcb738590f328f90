"""Set up a run: its corpora, a model with initial or frozen weights, a summary, a trial of the largest batches."""

import math
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import tensorflow as tf

from seq2seq.config import Config, Precision
from seq2seq.data.batching import BatchPlan, batch_dataset, replica_batches
from seq2seq.data.encoded import EncodedPairs
from seq2seq.data.tokenizer import UNK_ID, Tokenizers
from seq2seq.devices.device import runs_on_gpu
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import TrainingError, suggest_similar
from seq2seq.inference.summary import UnknownCharacters
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import create_model_directory, load_tokenizers, load_weights
from seq2seq.model_directory.pretrained import find_other_model
from seq2seq.models.base import DecoderModel, weight_name
from seq2seq.models.build import build_model
from seq2seq.plurals import pluralize
from seq2seq.training.checkpoints import RunDirectory, restore, snapshot
from seq2seq.training.corpus_checks import MAX_COUNTED_TOKENS
from seq2seq.training.display import Display, Timer
from seq2seq.training.distillation import load_distillation
from seq2seq.training.optimization import make_optimizer
from seq2seq.training.pace import Pace, mean_update
from seq2seq.training.preparation import TrainingData, describe_batch, prepare_data
from seq2seq.training.recovery import explain_out_of_memory
from seq2seq.training.run_state import EpochBatches, RunState
from seq2seq.training.validation import Validator

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MAX_LISTED = 12  # weights listed in a message
# The speed of a run is measured for at least this many batches and this share of its time, up to a limit.
MEASURED_BATCHES, MEASURED_SHARE, MAX_MEASURED_SECONDS = 10, 0.03, 60.0
CHECKPOINTS_PER_VALIDATION = 2.0  # a validation is followed by writing a checkpoint, the model and kept weights


def prepare_on_all_workers(
    config: Config, directory: Path, display: Display, replicas: Replicas, resumes: bool
) -> TrainingData:
    """Call `prepare_data` on all workers: the chief encodes the corpora, and then the others read what it wrote.

    For a new run, the chief also creates its directory.

    Raises:
        CorpusError, TokenizerError, ModelDirectoryError, TrainingError: See `prepare_data`.
    """
    if not replicas.is_chief:
        replicas.barrier()
    written = resumes or not replicas.is_chief
    data = prepare_data(config, directory, display, load_tokenizers(directory) if written else None)
    if replicas.is_chief:
        if not resumes:
            create_model_directory(directory, config, data.tokenizers)
        replicas.barrier()
    return data


def make_compiled_model(
    config: Config, tokenizers: Tokenizers, precision: Precision, replicas: Replicas, display: Display, is_new: bool
) -> DecoderModel:
    """Build and compile a model, with `warm_start` if the run is new.

    Raises:
        TrainingError, ModelDirectoryError: See `warm_start` and `freeze`.
        ConfigError: A tokenizer of a teacher is not this run's.
    """
    training = config.training
    with replicas.strategy.scope():
        model = build_model(config, tokenizers, precision)
        optimizer = make_optimizer(training)
        distillation = load_distillation(config, tokenizers, precision)
    if training.warm_start is not None and is_new:
        warm_start(model, tokenizers, find_other_model(training.warm_start), display)
    freeze(model, training.freeze)
    model.compile(
        optimizer,
        label_smoothing=training.label_smoothing,
        consistency=training.consistency,
        distillation=distillation,
        clip_norm=training.clip_norm,
        accumulation_steps=training.accumulation_steps,
        ema_decay=training.ema_decay,
        max_norm_ratio=training.recovery.max_norm_ratio,
    )
    return model


def warm_start(model: DecoderModel, tokenizers: Tokenizers, folder: Path, display: Display) -> None:
    """Copy the weights of a model directory whose name and shape match, and list those that do not.

    Raises:
        TrainingError: No weight matches.
        ModelDirectoryError, TokenizerError: The directory is incomplete or damaged.
    """
    theirs = load_weights(folder)
    ours = {weight_name(weight): weight for weight in model.weights}
    shared = sorted(ours.keys() & theirs.keys())
    same = [name for name in shared if tuple(ours[name].shape) == theirs[name].shape]
    if not same:
        raise TrainingError(
            f"training.warm_start: none of {pluralize(len(theirs), 'weight')} in {folder} has the name and shape of "
            f"one of this model's {len(ours)}. Take embeddings, encoder and decoder from {folder / 'config.yaml'}."
        )
    for name in same:
        ours[name].assign(theirs[name])
    taken = sum(theirs[name].size for name in same)
    share = taken / model.count_params()
    rows = {"from": str(folder), "weights": f"{len(same)} of {len(ours)}, {share:.1%} of the parameters"}
    reshaped = [
        f"{name} {theirs[name].shape} there, {tuple(ours[name].shape)} here" for name in shared if name not in same
    ]
    for what, names in (
        ("not there", sorted(ours.keys() - theirs.keys())),
        ("of a different shape", reshaped),
        ("left there", sorted(theirs.keys() - ours.keys())),
    ):
        if names:
            rows[what] = "\n".join(names)
    # A language model has no source embedding, and a joint embedding is the target's.
    sides = ["source", "target"] if any(name.startswith("source_embedding/") for name in shared) else ["target"]
    stored = load_tokenizers(folder)
    if any(getattr(tokenizers, side).fingerprint() != getattr(stored, side).fingerprint() for side in sides):
        rows["note"] = "its tokenizers differ from those of this run, so its embeddings may stand for other tokens"
    display.table("Warm start", rows)


def freeze(model: DecoderModel, patterns: Sequence[str]) -> None:
    """Exclude from training the weights whose name (`weight_name`) matches one of the `fnmatch` patterns.

    The model must not be compiled yet.

    Raises:
        TrainingError: A pattern matches no weight, or nothing is left to train.
    """
    weights = {weight_name(weight): weight for weight in model.trainable_variables}
    frozen: set[str] = set()
    for pattern in patterns:
        matches = {name for name in weights if fnmatchcase(name, pattern)}
        if not matches:
            raise TrainingError(
                f"training.freeze: '{pattern}' matches no weight.{suggest_similar(pattern, _patterns(weights))} "
                f"The model has {pluralize(len(weights), 'weight')}, among them: "
                f"{', '.join(list(weights)[:MAX_LISTED])}."
            )
        frozen |= matches
    if frozen == weights.keys():
        raise TrainingError(
            f"training.freeze: {', '.join(patterns)} matches all {len(weights)} weights, and nothing is left to train."
        )
    for name in frozen:
        weights[name].trainable = False


def _patterns(names: Iterable[str]) -> list[str]:
    """Candidates for suggestions: each weight, and a pattern for each part of the model."""
    found: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        found |= {"/".join([*parts[:depth], "*"]): None for depth in range(1, len(parts))} | {name: None}
    return list(found)


def summarize(
    display: Display,
    model: DecoderModel,
    data: TrainingData,
    plan: BatchPlan,
    directory: Path,
    metric: str,
    overlap: str,
) -> None:
    """Print a summary of the run: the model, the data, the first epoch's plan, and a key to the lines of validations.

    `overlap` describes the overlap of the training corpus with the others; it is "" if there is none.
    """
    tokenizers, shapes = data.tokenizers, plan.shapes()
    vocabulary = ", ".join(data.counts_by_side(*(tokenizer.vocabulary_size for tokenizer in tokenizers)))
    if len(data.sides) > 1 and tokenizers.is_joint:
        vocabulary = f"{tokenizers.target.vocabulary_size:,} joint"
    total, trained = model.count_params(), sum(math.prod(weight.shape) for weight in model.trainable_variables)
    source, target = (lengths[plan.indices].sum() for lengths in (plan.source_lengths, plan.target_lengths))
    batches = f"{len(plan):,} of {pluralize(round(shapes[:, 0].mean()), 'sentence')} on average"
    display.table(
        "Training",
        {
            "parameters": f"{total:,}" + (f", {trained:,} of them trained" if trained < total else ""),
            **_corpora(data),
            **({"overlap": overlap} if overlap else {}),
            "vocabulary": vocabulary,
            **_unknown_characters(data),
            "tokens per epoch": ", ".join(data.counts_by_side(source, target)),
            "batch" if len(plan) == 1 else "batches": f"{batches}, {plan.padding_ratio():.1%} padding",
            "losses": "in nats (natural logarithm) per target token; perplexity is exp(valid loss); train loss is the "
            "mean since the last validation, with dropout",
            "*best*": f"the best {metric} on validation so far: this model is kept",
            "largest batches": "; ".join(describe_batch(data, plan, index) for index in plan.largest_batches()),
            "directory": str(directory),
        },
    )


def try_largest_batches(validator: Validator, train: EncodedPairs, plan: BatchPlan) -> None:
    """Run the batches that need the most memory once, so that a shortage shows now; undo it, and print the peak memory.

    Each training batch is followed by an update, whatever `training.accumulation_steps` is: the optimizer needs memory,
    too.

    Raises:
        TrainingError: A batch does not fit into memory.
    """
    model, data, display, replicas = validator.model, validator.data, validator.display, validator.replicas
    before = snapshot(model)
    with display.spinner("compiling and trying the largest batches"):
        for index in plan.largest_batches():
            model.update.flush_after_next_batch()
            with explain_out_of_memory(data, plan, index, replicas.num_replicas):
                rows = plan.batch(index)
                model.step_function()(*replica_batches(train, rows, replicas.local_replicas, replicas.num_replicas))
        validator.try_largest_batches()
    restore(model, before, "trial")
    if peak := peak_memory():
        display.print(f"peak memory: {peak / 2**30:.2f} GiB with the largest batches; training will take about as much")


def measure_pace(
    validator: Validator,
    directory: RunDirectory,
    run_state: RunState,
    train: EncodedPairs,
    plan: BatchPlan,
    epoch_batches: EpochBatches,
) -> Pace:
    """Time some updates, a validation and a checkpoint, for a run with `training.minutes`, and restore the weights.

    Updates before `consistency.start_epoch` are timed apart from those with the second pass.

    Returns:
        The chief's measurement, on all workers.
    """
    model, replicas, training = validator.model, validator.replicas, validator.config.training
    assert training.minutes is not None
    before, since_start, timer = snapshot(model), Timer(), Timer()
    waiting = max(epoch_batches.up_to(training.consistency.start_epoch - 1) - run_state.total_batches, 0)
    longest = min(60 * training.minutes * MEASURED_SHARE, MAX_MEASURED_SECONDS) / (2 if waiting else 1)
    most = math.inf if training.epochs is None else epoch_batches.up_to(training.epochs)

    def seconds_per_update(passes_twice: bool) -> float:
        model.uses_consistency = passes_twice
        timer.restart()
        batches = batch_dataset(train, plan, 0, replicas.local_replicas, replicas.num_replicas).repeat()
        for number, batch in enumerate(batches, start=1 - MEASURED_BATCHES):
            logs = model.step_function()(*batch)
            if number % MEASURED_BATCHES:
                continue
            float(logs["loss"])  # waits for the device
            (enough,) = replicas.any_worker(number >= most or timer.seconds() > longest)
            if number and enough:
                break
            if not number:
                timer.restart()  # the first batches were a warmup
        return timer.seconds() / max(number, 1) * training.accumulation_steps

    with validator.display.spinner("measuring the speed of training"):
        double = seconds_per_update(passes_twice=True)
        single = seconds_per_update(passes_twice=False) if waiting else double
        validation = validator.rehearse()
    restore(model, before, "measuring")
    timer.restart()
    directory.save(LAST, run_state)
    validation += CHECKPOINTS_PER_VALIDATION * timer.seconds()
    so_far = run_state.seconds + since_start.seconds()
    count = waiting / training.accumulation_steps
    update = mean_update(single, double, count, 60 * training.minutes - so_far)
    measured = np.array([update, validation, so_far])
    return Pace(*map(float, replicas.sum_over_workers(measured * replicas.is_chief)))


def _corpora(data: TrainingData) -> dict[str, str]:
    """A row for each training corpus."""
    rows = {}
    several = len(data.train.parts) > 1
    for number, (facts, part) in enumerate(zip(data.corpus_stats["train"], data.train.parts, strict=True), start=1):
        pairs = part.report.describe(data.corpus_unit)
        share = f"{facts['name']}: {facts['share']:.1%} of an epoch, "
        rows[f"corpus {number}" if several else "corpus"] = share + pairs if several else pairs
    return rows


def _unknown_characters(data: TrainingData) -> dict[str, str]:
    """A row if the corpora have characters that the tokenizers do not know; it names those of the validation corpus."""
    rows = []
    for side in data.sides:
        counted = [getattr(part, side).tokens[:MAX_COUNTED_TOKENS] for part in data.train.parts]
        if unknown := sum(int(np.count_nonzero(tokens == UNK_ID)) for tokens in counted):
            rows.append(f"{unknown / sum(map(len, counted)):.2%} of the {side} tokens")
        if (getattr(data.valid, side).tokens == UNK_ID).any():
            found, tokenizer = UnknownCharacters(), getattr(data.tokenizers, side)
            for number, pair in enumerate(data.valid_pairs, start=1):
                found.add(number, tokenizer.unknown_characters(getattr(pair, side)))
            total = pluralize(len(data.valid_pairs), f"validation {data.corpus_unit}")
            rows.append(f"{found} in the {side} of {found.lines.count:,} of {total}")
    return {"unknown text": "; ".join(rows)} if rows else {}


def peak_memory() -> int | None:
    """Peak memory in bytes of the first GPU, or else of this process; None if the system does not report it."""
    if runs_on_gpu():
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
