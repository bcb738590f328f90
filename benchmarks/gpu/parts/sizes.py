"""Sizes of all parts, for a GPU and as a toy."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Sizes:
    """Numbers that determine how much each part computes and how long it takes.

    The copy task of the loss curves is also used for decoding, the other forms and determinism.

    Attributes:
        vocabulary, units: Sizes of the models for the copy task.
        sentences, longest: Number of sentences of a batch of the copy task, and tokens of its longest one.
        copy_batches: Number of different batches of the copy task.
        updates, form_updates: Number of updates of the default model, and of the other forms.
        learning_rate: Learning rate of Adam.
        gradient_forms: Number of forms whose gradients are compared.
        recurrence_*: Rows, steps, input width and units of a single recurrence.
        searched, alone: Number of sentences that are searched in one batch, and of those that are also searched alone.
        timed_sentences: Number of sentences of the large batch whose steps are timed.
        timed_steps: Length of the shorter of the two searches whose difference is timed.
        speed_vocabulary, speed_units: Sizes of the models whose speed is measured.
        speed_tokens: Numbers of real target tokens of a batch for which speed is measured.
        speed_batches, rounds: Number of batches of a round, and number of rounds.
        repeated_updates: Number of updates of the runs that must be equal bit for bit.
        translated: Number of sentences that are also translated on the CPU.
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
        ValueError: There is no such size, or the value is not a number above 0.
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
