"""The end of a run: its message, and a comparison of the delivered model with baselines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq.evaluation.baselines import COPY, FREQUENT, MODEL, compare_with_baselines
from seq2seq.model_directory.directory import load_weights
from seq2seq.models.base import DecoderModel, assign_weights, named_weights
from seq2seq.plurals import pluralize
from seq2seq.training.corpus_checks import most_frequent_target
from seq2seq.training.display import Display
from seq2seq.training.loop import TrainingLoop
from seq2seq.training.pace import early_notice
from seq2seq.training.run_state import StopReason, how_to_continue, resume_command
from seq2seq.training.validation import TranslationValidator

Comparison = dict[str, dict[str, float]]


def compare_delivered_model(loop: TrainingLoop) -> Comparison | None:
    """BLEU and chrF2 of the delivered model and of baselines on the validation corpus; None if BLEU is not measured.

    Translates again if the delivered model is not the one validated last, or was validated in an earlier session.
    """
    validator, data = loop.validator, loop.data
    if not isinstance(validator, TranslationValidator) or not validator.measures_bleu:
        return None
    delivered_last = loop.run_state.best is None or loop.alarms.history[-1]["best"]
    if not (delivered_last and validator.translations):
        loop.replicas.barrier()  # until the chief has written it
        with _delivered_weights(loop.model, loop.directory.directory):
            validator.bleu()
    frequent = most_frequent_target(data.forward, data.tokenizers.target)
    return compare_with_baselines(validator.translations, data.valid_pairs, frequent, validator.language)


@contextmanager
def _delivered_weights(model: DecoderModel, directory: Path) -> Iterator[None]:
    """Context in which the model has the weights of its directory."""
    before = {name: array.copy() for name, array in named_weights(model).items()}
    assign_weights(model, load_weights(directory), directory)
    try:
        yield
    finally:
        assign_weights(model, before, directory)


def baseline_warnings(comparison: Comparison, longer: str) -> list[str]:
    """Warnings about a model that is no better than a baseline by one of the metrics; [] if it always beats both.

    `longer` is the command that would continue the run.
    """
    behind: list[str] = []
    ahead: list[str] = []
    for metric, model in comparison[MODEL].items():
        name = max((COPY, FREQUENT), key=lambda name: comparison[name][metric])
        baseline, beaten = comparison[name][metric], model > comparison[name][metric]
        verdict = "above" if beaten else "no better than"
        (ahead if beaten else behind).append(f"{metric} {model:.2f}, {verdict} {baseline:.2f} of {name}")
    if not behind:
        return []
    figures = " and ".join(behind)
    found = (
        f"{figures}, but {' and '.join(ahead)}: read some of its translations before you rely on it"
        if ahead
        else f"{figures}: it is of little use as a translator"
    )
    return [
        f"on the validation corpus the model has {found}. Train on more text, or for longer{longer and f': {longer}'}"
    ]


def say_how_it_ended(loop: TrainingLoop, display: Display, comparison: Comparison | None) -> None:
    """Print why training ended, and the comparison with the baselines."""
    directory = loop.directory.directory
    if loop.end is None:
        display.print(f"interrupted, saved at update {loop.saved_update:,}. Resume with: {resume_command(directory)}")
        return
    is_planned = loop.end.reason is StopReason.UPDATES and loop.run_state.plan is not None
    early = early_notice(loop.config.training.minutes, loop.run_state.seconds) if is_planned else ""
    longer = how_to_continue(loop.config, loop.run_state, directory)
    display.print(f"finished: {loop.end.message}" + (early and f"; {early}" + (longer and f". To continue: {longer}")))
    if loop.run_state.best is None:
        display.print(
            "no validation was clearly better than token frequencies: this model has learnt next to nothing, and its "
            "translations are meaningless"
        )
    if comparison is not None:
        rows = {
            name: ", ".join(f"{metric} {score:.2f}" for metric, score in scores.items())
            for name, scores in comparison.items()
        }
        display.table(f"On {pluralize(len(loop.data.valid_pairs), 'validation pair')}", rows)
