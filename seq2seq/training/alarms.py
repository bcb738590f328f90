"""Alarms of a training run, each with the problem in figures and a remedy.

Each function checks numbers or texts and returns an `Alarm`, or None if all is well. The alarms of a validation depend
only on the history and on whether the validation is the run's last, so a resumed run raises the same alarms as an
uninterrupted one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from seq2seq.config import Config, TrainingConfig
from seq2seq.inference.repetition import NO_REPEAT_NGRAM_SIZE, repeats
from seq2seq.plurals import pluralize

MIN_GAIN = 0.1  # nats per target token by which a model that has learnt something beats token frequencies
SAFE_WARMUP_UPDATES = 300
MIN_FAULTS = 3  # minimum number of faulty translations for an alarm; their minimum shares:
MAX_FAULT_SHARES = {"empty": 0.05, "repeated": 0.1, "looping": 0.1, "copied": 0.1}
MIN_RISE = 0.03  # share of the lowest validation loss; a smaller rise is noise
RISING_VALIDATIONS = 3  # validations without a better loss or a better model
MAX_TRAINING_SHARE = 0.8  # share of the validation loss; the training loss of an overfitted model is lower
MAX_SKIPPED_SHARE = 0.02  # share of the updates between two validations
MIN_JUMP = 0.15  # nats per token: a larger rise of a loss is a sign of instability
OSCILLATION_VALIDATIONS = 5  # latest validations; a loss that rises twice among them, and falls, oscillates


class Alarm(NamedTuple):
    """A problem of a run.

    Attributes:
        kind: Identifier of the problem, which is reported once while it lasts.
        text: The problem and its remedy.
        of_result: Whether it also concerns the trained model.
        passes: Whether it is normal early in training.
    """

    kind: str
    text: str
    of_result: bool = True
    passes: bool = False


class BaselineLosses(NamedTuple):
    """Losses that a model must beat, in nats per target token.

    Attributes:
        frequencies: Loss of predicting every token by its frequency in the training corpora.
        uniform: Loss of a uniform distribution over the vocabulary.
    """

    frequencies: float
    uniform: float


@dataclass
class AlarmMonitor:
    """Track the alarms that start at each validation, and those that hold for the delivered model.

    Args:
        config: The recipe.
        baselines: Losses of the baselines on the validation corpus.
        at_start: Alarms from before the first batch; they hold throughout.
        history: Validations so far.
    """

    config: Config
    baselines: BaselineLosses
    at_start: list[Alarm] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    def record(self, entry: dict[str, Any], is_last: bool = False) -> list[str]:
        """Record a validation, possibly the run's last, with its alarms; return those that start with it.

        `entry` gets `warnings`, the alarms that hold at this validation, and `new_warnings`, those that start with it.
        Alarms from before the first batch count as starting with the first validation.
        """
        said = [text for before in self.history for text in before["new_warnings"]]
        before = {alarm.kind for alarm in self._at(len(self.history))}
        self.history.append(entry)
        holding = self._at(len(self.history), is_last)
        begun = [alarm.text for alarm in holding if alarm.kind not in before]
        entry["warnings"] = [alarm.text for alarm in [*self.at_start, *holding]]
        entry["new_warnings"] = [alarm.text for alarm in self.at_start if alarm.text not in said] + begun
        return begun

    def roll_back(self, validations: int) -> None:
        """Keep only the first `validations`."""
        del self.history[validations:]

    def said(self) -> list[str]:
        """All warnings of the run, in the order in which they were given."""
        recorded = [text for entry in self.history for text in entry["new_warnings"]]
        return list(dict.fromkeys([*recorded, *(alarm.text for alarm in self.at_start)]))

    def remaining(self) -> list[str]:
        """Alarms that hold for the delivered model: the best one or, if there is none yet, the last."""
        best = [number for number, entry in enumerate(self.history, start=1) if entry["best"]]
        found = self._at(best[-1] if best else len(self.history), is_last=True)
        return [alarm.text for alarm in [*self.at_start, *found] if alarm.of_result]

    def _at(self, validations: int, is_last: bool = False) -> list[Alarm]:
        """Alarms that hold after a number of validations."""
        return list(validation_alarms(self.history[:validations], self.baselines, self.config, is_last))


def validation_alarms(
    history: Sequence[Mapping[str, Any]], baselines: BaselineLosses, config: Config, is_last: bool = False
) -> Iterator[Alarm]:
    """Alarms that hold at the last of these validations; with `is_last`, also those that are normal early in training.

    Early in training, every model loops and repeats itself: that is normal at the first validation, and while the loss
    falls fast.
    """
    if not history:
        return
    losses = [entry["valid_loss"] for entry in history[-2:]]
    is_young = not is_last and (len(losses) == 1 or losses[0] - losses[1] > MIN_JUMP)
    no_gain = no_gain_alarm(history[-1], baselines, config.training)
    in_warmup = history[-1]["update"] < config.training.schedule.warmup_updates
    found = [
        None if in_warmup and not is_last else no_gain,
        *(alarm for alarm in translation_alarms(history[-1], config) if not (is_young and alarm.passes)),
        overfitting_alarm(history, config),
        easy_validation_alarm(history, config),
        learning_rate_alarm(history, config.training),
    ]
    yield from (alarm for alarm in found if alarm is not None)


def no_gain_alarm(entry: Mapping[str, Any], baselines: BaselineLosses, config: TrainingConfig) -> Alarm | None:
    """Alarm for a model that predicts no better than token frequencies; the remedy depends on its loss."""
    loss, warmup = entry["valid_loss"], config.schedule.warmup_updates
    if loss <= baselines.frequencies - MIN_GAIN:
        return None
    how = "no" if loss >= baselines.frequencies else "hardly"
    kind = "no gain"
    if entry["update"] < warmup:
        kind += " during warmup"
        remedy = f"The learning rate is still rising, until update {warmup:,}: train for longer than that"
    elif abs(loss - baselines.uniform) < (baselines.uniform - baselines.frequencies) / 2:
        # The loss of the initial weights is slightly above that of a uniform guess.
        remedy = (
            f"It is still near a uniform guess ({baselines.uniform:.2f}): train for longer, or with a higher learning "
            f"rate (it is {config.learning_rate:g}): --set training.learning_rate={2 * config.learning_rate:g}"
        )
    else:
        remedy = f"If the next validation is no better, {_start_gently(config, entry['update'])}"
    return Alarm(
        kind,
        f"after update {entry['update']:,} the model predicts {how} better than token frequencies, so it is not marked "
        f"as best: its loss is {loss:.2f} nats per token, that of token frequencies {baselines.frequencies:.2f}. "
        f"{remedy}",
    )


def _start_gently(config: TrainingConfig, update: int) -> str:
    """Remedy for a run that started with too large steps, or has hardly started."""
    if update < SAFE_WARMUP_UPDATES:
        return f"train for much longer than {pluralize(update, 'update')}"
    warmup, rate = config.schedule.warmup_updates, config.learning_rate
    key = (
        f"schedule.warmup_updates={SAFE_WARMUP_UPDATES}"
        if warmup < SAFE_WARMUP_UPDATES
        else f"learning_rate={rate / 2:g}"
    )
    return (
        f"start a new run, in another directory, with a longer warmup (it is {pluralize(warmup, 'update')}) or a "
        f"lower learning rate (it is {rate:g}): --set training.{key}"
    )


def count_faults(texts: Sequence[str], pairs: Sequence[tuple[str, ...]]) -> dict[str, int] | None:
    """Count suspicious translations, whatever their score, except where the reference has the same property.

    Args:
        texts: Translations; empty if nothing was translated.
        pairs: Source and reference of each.

    Returns:
        The `total`, and the numbers of `empty`, `looping` (the same words over and over, see
        `inference.repetition.repeats`) and `copied` (equal to the source) translations; `repeated` is the number of
        different references of the most frequent translation. None if there are no texts.
    """
    if not texts:
        return None
    faults = Counter[str]()
    references: dict[str, set[str]] = defaultdict(set)
    for text, (source, reference, *_) in zip(texts, pairs, strict=True):
        faults["empty"] += not text.strip() and bool(source.strip()) and bool(reference.strip())
        faults["looping"] += repeats(text, source, reference)
        faults["copied"] += bool(text.strip()) and _plain(text) == _plain(source) != _plain(reference)
        if text.strip():
            references[text].add(reference)
    return {"total": len(texts), **faults, "repeated": max(map(len, references.values()), default=0)}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def translation_alarms(entry: Mapping[str, Any], config: Config) -> Iterator[Alarm]:
    """Alarms about the translations of a validation, based on the counts of `count_faults`."""
    faults = entry["translations"] or {"total": 0}
    total, gently = faults["total"], _start_gently(config.training, entry["update"])
    again = "If the next validation is no better,"
    sayings = {
        "empty": ("{} of {} translations of the validation corpus are empty", f"{again} {gently}"),
        "repeated": (
            "the same translation was given for {} different references of {}",
            f"{again} {gently}",
        ),
        "looping": (
            "{} of {} translations of the validation corpus repeat the same words over and over",
            f"{again} train for longer, or translate with --no-repeat-ngram-size {NO_REPEAT_NGRAM_SIZE}",
        ),
        "copied": (
            "{} of {} translations of the validation corpus are copies of the source",
            "Look for training pairs with the same text on both sides or with swapped sides, and remove them from "
            "data.train",
        ),
    }
    for fault, (what, remedy) in sayings.items():
        if total and faults[fault] >= max(MIN_FAULTS, MAX_FAULT_SHARES[fault] * total):
            figures = what.format(f"{faults[fault]:,}", f"{total:,}")
            text = f"after update {entry['update']:,}, {figures}. {remedy}"
            yield Alarm(f"{fault} translations", text, passes=fault != "copied")


def overfitting_alarm(history: Sequence[Mapping[str, Any]], config: Config) -> Alarm | None:
    """Alarm for a validation loss that has risen, without a better model since, and a far lower training loss."""
    last, losses = history[-1], [entry["valid_loss"] for entry in history]
    lowest = losses.index(min(losses))
    best = max((place for place, entry in enumerate(history) if entry["best"]), default=None)
    rises = last["valid_loss"] > (1.0 + MIN_RISE) * losses[lowest]
    far = last["train_nll"] < MAX_TRAINING_SHARE * last["valid_loss"]
    if best is None or len(history) - 1 - max(lowest, best) < RISING_VALIDATIONS or not (rises and far):
        return None
    bleu = "" if history[best]["bleu"] is None else f", BLEU {history[best]['bleu']:.2f}"
    return Alarm(
        "overfitting",
        f"the model overfits: since update {history[lowest]['update']:,} the validation loss has risen from "
        f"{losses[lowest]:.2f} to {last['valid_loss']:.2f}, and the training loss is {last['train_nll']:.2f}. The best "
        f"model, of update {history[best]['update']:,} (loss {losses[best]:.2f}{bleu}), is kept, and further "
        "training will hardly give a better one: stop, or let the run stop by itself with --set validation.patience="
        f"{RISING_VALIDATIONS}. For a better model, use more text or, in a new run, {_more_dropout(config)}",
    )


def _more_dropout(config: Config) -> str:
    sections = [name for name in ("embeddings", "encoder", "decoder") if hasattr(config, name)]
    rates = {name: getattr(config, name).dropout for name in sections}
    more = " ".join(f"--set {name}.dropout={min(round(rate + 0.1, 2), 0.5):g}" for name, rate in rates.items())
    return f"more dropout: {more}"


def easy_validation_alarm(history: Sequence[Mapping[str, Any]], config: Config) -> Alarm | None:
    """Alarm for a validation loss that is below the training loss by more than differences in measurement explain.

    The training loss is a mean since the last validation, so it lags behind by as much as the validation loss has
    fallen since then; with dropout or weight averaging, it is the loss of a weaker model.
    """
    sections = [getattr(config, name) for name in ("embeddings", "encoder", "decoder") if hasattr(config, name)]
    weaker = any(value for section in sections for name, value in section if "dropout" in name)
    if weaker or config.training.ema_decay is not None or len(history) < 2:
        return None
    before, entry = history[-2:]
    fell = max(before["valid_loss"] - entry["valid_loss"], 0.0)
    if entry["train_nll"] - entry["valid_loss"] <= max(MIN_JUMP, MIN_RISE * entry["valid_loss"]) + fell:
        return None
    return Alarm(
        "easy validation",
        f"the validation loss ({entry['valid_loss']:.2f}) is below the training loss ({entry['train_nll']:.2f}, "
        "without label smoothing), and there is no dropout to explain it: the validation text is easier or shorter "
        "than the training text, or is part of it. Hold out a part of the training text for validation: "
        "--set data.valid='{fraction: 0.02}'",
    )


def learning_rate_alarm(history: Sequence[Mapping[str, Any]], config: TrainingConfig) -> Alarm | None:
    """Alarm for signs of too high a learning rate: skipped updates, rollbacks and, after the warmup, rising losses.

    The gradient norm is not a sign: healthy runs of recurrent networks clip hardly any updates, or most of them.
    """
    last, settled = history[-1], [entry for entry in history if entry["update"] >= config.schedule.warmup_updates]
    seen = []
    if len(history) > 1:
        before = history[-2]
        skipped = last["skipped_updates"] - before["skipped_updates"]
        updates = last["update"] - before["update"]
        if skipped >= max(MIN_FAULTS, MAX_SKIPPED_SHARE * updates):
            seen.append(f"{skipped:,} of {pluralize(updates, 'update')} since the last validation were skipped")
        if last["rollbacks"] > before["rollbacks"]:
            seen.append(f"the run was rolled back {pluralize(last['rollbacks'], 'time')}")
    if settled[-2:] == list(history[-2:]) and len(settled) > 1:
        jumps = {name: settled[-1][name] - settled[-2][name] for name in ("train_nll", "valid_loss")}
        if min(jumps.values()) > MIN_JUMP:
            seen.append(
                f"training and validation loss rose, by {jumps['train_nll']:.2f} and {jumps['valid_loss']:.2f} nats "
                "per token"
            )
    losses = [entry["valid_loss"] for entry in settled[-OSCILLATION_VALIDATIONS:]]
    steps = [after - before for before, after in pairwise(losses)]
    large = [step > 0 for step in steps if abs(step) > MIN_JUMP]
    if large.count(True) >= 2 and (True, False) in pairwise(large):
        seen.append(f"the validation loss goes up and down: {', '.join(f'{loss:.2f}' for loss in losses)}")
    if not seen:
        return None
    rate = config.learning_rate
    return Alarm(
        "learning rate",
        f"the learning rate may be too high: at update {last['update']:,}, {'; '.join(seen)}. Interrupt the run and "
        f"resume with a lower one (it is {rate:g}): --set training.learning_rate={rate / 2:g}",
    )
