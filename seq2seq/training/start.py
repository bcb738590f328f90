"""Before the first batch: corpora and model are made, what is to be trained is said, the largest batches are tried."""

from pathlib import Path

from seq2seq.config import Config, Precision
from seq2seq.data.batching import BatchPlan, batch_shares
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.replicas import Replicas
from seq2seq.model_directory.directory import load_tokenizers, start_directory
from seq2seq.models.base import DecoderModel
from seq2seq.models.build import build_model
from seq2seq.storage.paths import expand
from seq2seq.training.checkpoints import restore, snapshot
from seq2seq.training.display import Display
from seq2seq.training.fine_tuning import freeze, trained_parameters, warm_start
from seq2seq.training.memory import describe_batch, explaining_memory, peak_memory
from seq2seq.training.optimization import make_optimizer
from seq2seq.training.preparation import Prepared, prepare
from seq2seq.training.validation import Validator


def prepare_together(config: Config, directory: Path, display: Display, replicas: Replicas, resumes: bool) -> Prepared:
    """`prepare` of all workers: the chief encodes the corpora, and then the others read what it wrote.

    Where a run starts, the chief also starts its directory.

    Raises:
        CorpusError, TokenizerError, ModelDirectoryError, TrainingError: See `prepare`.
    """
    if not replicas.is_chief:
        replicas.wait()
    written = resumes or not replicas.is_chief
    data = prepare(config, directory, display, load_tokenizers(directory) if written else None)
    if replicas.is_chief:
        if not resumes:
            start_directory(directory, config, data.tokenizers)
        replicas.wait()
    return data


def make_model(
    config: Config, tokenizers: Tokenizers, precision: Precision, replicas: Replicas, display: Display, starts: bool
) -> DecoderModel:
    """A compiled model, with `warm_start` where a run starts and does not go on.

    Raises:
        TrainingError, ModelDirectoryError: See `warm_start` and `freeze`.
    """
    training = config.training
    with replicas.strategy.scope():
        model = build_model(config, tokenizers, precision)
        optimizer = make_optimizer(training)
    if training.warm_start is not None and starts:
        warm_start(model, tokenizers, expand(training.warm_start), display)
    freeze(model, training.freeze)
    model.compile(
        optimizer,
        label_smoothing=training.label_smoothing,
        clip_norm=training.clip_norm,
        accumulate=training.accumulate,
        ema=training.ema,
        explosion=training.recovery.explosion,
    )
    return model


def summarize(display: Display, model: DecoderModel, data: Prepared, plan: BatchPlan, directory: Path) -> None:
    """Say what is about to be trained, with the first epoch's plan."""
    tokenizers, shapes = data.tokenizers, plan.shapes()
    vocabulary = ", ".join(data.by_side(*(tokenizer.vocabulary_size for tokenizer in tokenizers)))
    if len(data.sides) > 1 and tokenizers.source is tokenizers.target:
        vocabulary = f"{tokenizers.target.vocabulary_size:,} joint"
    total, trained = model.count_params(), trained_parameters(model)
    source, target = (lengths[plan.rows].sum() for lengths in (plan.source_lengths, plan.target_lengths))
    batches = f"{len(plan):,} of {shapes[:, 0].mean():.0f} sentences on average"
    display.table(
        "Training",
        {
            "parameters": f"{total:,}" + (f", {trained:,} of them trained" if trained < total else ""),
            **_corpora(data),
            "vocabulary": vocabulary,
            "tokens an epoch": ", ".join(data.by_side(source, target)),
            "batches": f"{batches}, {plan.padding_waste():.1%} padding",
            "largest batches": "; ".join(describe_batch(data, plan, index) for index in plan.largest()),
            "directory": str(directory),
        },
    )


def try_largest_batches(
    display: Display,
    model: DecoderModel,
    validator: Validator,
    data: Prepared,
    plan: BatchPlan,
    replicas: Replicas,
) -> None:
    """Run what needs most memory once and undo it: what does not fit fails now. Says how much it took.

    Each batch of training is followed by an update, whatever `training.accumulate` is: the optimizer needs memory, too.

    Raises:
        TrainingError: It does not fit into memory.
    """
    before = snapshot(model)
    with display.waiting("compiling and trying the largest batches"):
        for index in plan.largest():
            model.update.apply_with_next()
            with explaining_memory(data, plan, index, replicas.count):
                model.step_function()(*batch_shares(data.train, plan.batch(index), replicas.here, replicas.count))
        validator.try_largest_batches()
    restore(model, before, "trial")
    if peak := peak_memory():
        display.say(f"peak memory: {peak / 2**30:.2f} GiB with the largest batches; training will take about as much")


def _corpora(data: Prepared) -> dict[str, str]:
    """A row for each training corpus."""
    rows = {}
    several = len(data.train.parts) > 1
    for number, (facts, part) in enumerate(zip(data.facts["train"], data.train.parts, strict=True), start=1):
        pairs = f"{facts['kept']:,} of {facts['read']:,} {data.unit}"
        pairs += f" (dropped: {part.report})" if part.report.dropped else ""
        share = f"{facts['name']}: {facts['share']:.1%} of an epoch, "
        rows[f"corpus {number}" if several else "corpus"] = share + pairs if several else pairs
    return rows
