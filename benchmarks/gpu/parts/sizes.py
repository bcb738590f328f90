"""Sizes of all parts: on a GPU, and as a toy."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Sizes:
    """Numbers that decide how much each part computes and how long it takes.

    The copy task of the loss curves, which decoding, the other forms, and determinism take over:

    vocabulary, units     of its models
    sentences, longest    of a batch, and tokens of its longest sentence
    copy_batches          different batches
    updates, form_updates of the default model, and of the other forms
    learning_rate         Adam's

    The rest:

    gradient_forms        how many of the models' forms have their gradients compared
    recurrence_*          rows, steps, input width and units of a single recurrence
    searched, alone       sentences searched in one batch, and how many of them alone, too
    timed_sentences       sentences of the large batch whose steps are timed
    timed_steps           length of the shorter of the two searches whose difference is timed
    speed_vocabulary, speed_units   of the models whose speed is measured
    speed_tokens          real target tokens of a batch, one speed each
    speed_batches, rounds batches of a round, and rounds
    repeated_updates      of the runs that are to be equal bit for bit
    translated            sentences that the CPU translates, too
    """

    vocabulary: int = 512
    units: int = 256
    sentences: int = 256
    longest: int = 12
    copy_batches: int = 24
    updates: int = 250
    form_updates: int = 200
    learning_rate: float = 2e-3
    gradient_forms: int = 3
    recurrence_rows: int = 24
    recurrence_steps: int = 30
    recurrence_width: int = 96
    recurrence_units: int = 128
    searched: int = 64
    alone: int = 16
    timed_sentences: int = 512
    timed_steps: int = 40
    speed_vocabulary: int = 8000
    speed_units: int = 512
    speed_tokens: Sequence[int] = (1000, 4000, 8000, 16000)
    speed_batches: int = 8
    rounds: int = 5
    repeated_updates: int = 50
    translated: int = 100


TOY = Sizes(
    vocabulary=24,
    units=32,
    sentences=64,
    longest=7,
    copy_batches=20,
    updates=120,
    form_updates=120,
    learning_rate=1e-2,
    gradient_forms=1,
    recurrence_rows=5,
    recurrence_steps=7,
    recurrence_width=6,
    recurrence_units=8,
    searched=12,
    alone=4,
    timed_sentences=8,
    timed_steps=5,
    speed_vocabulary=24,
    speed_units=32,
    speed_tokens=(100, 300),
    speed_batches=2,
    rounds=3,
    repeated_updates=5,
    translated=4,
)


def changed(sizes: Sizes, changes: Sequence[str]) -> Sizes:
    """Sizes with some changed, each given as `name=number` or, for several numbers, `name=number,number`.

    Raises:
        ValueError: There is no such size, or the value is no number above 0.
    """
    accepted = {field.name: getattr(sizes, field.name) for field in fields(Sizes)}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in accepted:
            raise ValueError(f"--size {change}: unknown size {name!r}. Accepted: {', '.join(sorted(accepted))}")
        before = accepted[name]
        several = isinstance(before, tuple)
        try:
            value = tuple(map(int, text.split(","))) if several else type(before)(text)
            if min(value if several else [value]) <= 0:
                raise ValueError
        except ValueError:
            shown = ",".join(map(str, before)) if several else before
            raise ValueError(f"--size {change}: expected numbers above 0, as in {name}={shown}") from None
        sizes = replace(sizes, **{name: value})
    return sizes
