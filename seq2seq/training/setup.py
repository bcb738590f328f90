"""Before the first batch: corpora and model are made, what is to be trained is said, the largest batches are tried."""

from pathlib import Path

from seq2seq.config import Config, Precision
from seq2seq.data.batching import BatchPlan, replica_batches
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.replicas import Replicas
from seq2seq.model_directory.directory import create_model_directory, load_tokenizers
from seq2seq.models.base import DecoderModel
from seq2seq.models.build import build_model
from seq2seq.storage.paths import expand_path
from seq2seq.training.checkpoints import restore, snapshot
from seq2seq.training.display import Display
from seq2seq.training.fine_tuning import count_trainable, freeze, warm_start
from seq2seq.training.memory_usage import describe_batch, explain_out_of_memory, peak_memory
from seq2seq.training.optimization import make_optimizer
from seq2seq.training.preparation import TrainingData, prepare_data
from seq2seq.training.validation import Validator


def prepare_on_all_workers(
    config: Config, directory: Path, display: Display, replicas: Replicas, resumes: bool
) -> TrainingData:
    """`prepare_data` of all workers: the chief encodes the corpora, and then the others read what it wrote.

    Where a run starts, the chief also starts its directory.

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
    """A compiled model, with `warm_start` where a run starts and does not go on.

    Raises:
        TrainingError, ModelDirectoryError: See `warm_start` and `freeze`.
    """
    training = config.training
    with replicas.strategy.scope():
        model = build_model(config, tokenizers, precision)
        optimizer = make_optimizer(training)
    if training.warm_start is not None and is_new:
        warm_start(model, tokenizers, expand_path(training.warm_start), display)
    freeze(model, training.freeze)
    model.compile(
        optimizer,
        label_smoothing=training.label_smoothing,
        clip_norm=training.clip_norm,
        accumulation_steps=training.accumulation_steps,
        ema_decay=training.ema_decay,
        max_norm_ratio=training.recovery.max_norm_ratio,
    )
    return model


def summarize(display: Display, model: DecoderModel, data: TrainingData, plan: BatchPlan, directory: Path) -> None:
    """Say what is about to be trained, with the first epoch's plan."""
    tokenizers, shapes = data.tokenizers, plan.shapes()
    vocabulary = ", ".join(data.counts_by_side(*(tokenizer.vocabulary_size for tokenizer in tokenizers)))
    if len(data.sides) > 1 and tokenizers.source is tokenizers.target:
        vocabulary = f"{tokenizers.target.vocabulary_size:,} joint"
    total, trained = model.count_params(), count_trainable(model)
    source, target = (lengths[plan.indices].sum() for lengths in (plan.source_lengths, plan.target_lengths))
    batches = f"{len(plan):,} of {shapes[:, 0].mean():.0f} sentences on average"
    display.table(
        "Training",
        {
            "parameters": f"{total:,}" + (f", {trained:,} of them trained" if trained < total else ""),
            **_corpora(data),
            "vocabulary": vocabulary,
            "tokens an epoch": ", ".join(data.counts_by_side(source, target)),
            "batches": f"{batches}, {plan.padding_ratio():.1%} padding",
            "largest batches": "; ".join(describe_batch(data, plan, index) for index in plan.largest_batches()),
            "directory": str(directory),
        },
    )


def try_largest_batches(
    display: Display,
    model: DecoderModel,
    validator: Validator,
    data: TrainingData,
    plan: BatchPlan,
    replicas: Replicas,
) -> None:
    """Run what needs most memory once and undo it: what does not fit fails now. Says how much it took.

    Each batch of training is followed by an update, whatever `training.accumulation_steps` is: the optimizer needs
    memory, too.

    Raises:
        TrainingError: It does not fit into memory.
    """
    before = snapshot(model)
    with display.spinner("compiling and trying the largest batches"):
        for index in plan.largest_batches():
            model.update.finish_with_next()
            with explain_out_of_memory(data, plan, index, replicas.count):
                model.step_function()(
                    *replica_batches(data.train, plan.batch(index), replicas.local_replicas, replicas.count)
                )
        validator.try_largest_batches()
    restore(model, before, "trial")
    if peak := peak_memory():
        display.print(f"peak memory: {peak / 2**30:.2f} GiB with the largest batches; training will take about as much")


def _corpora(data: TrainingData) -> dict[str, str]:
    """A row for each training corpus."""
    rows = {}
    several = len(data.train.parts) > 1
    for number, (facts, part) in enumerate(zip(data.corpus_stats["train"], data.train.parts, strict=True), start=1):
        pairs = f"{facts['kept']:,} of {facts['read']:,} {data.unit}"
        pairs += f" (dropped: {part.report})" if part.report.dropped else ""
        share = f"{facts['name']}: {facts['share']:.1%} of an epoch, "
        rows[f"corpus {number}" if several else "corpus"] = share + pairs if several else pairs
    return rows
