"""Beam search over three steps, with invented probabilities."""

from dataclasses import dataclass

from drawings.canvas import LIGHT, Canvas, Point, Theme

BEAM = 2
# The probability of each next word after the words before it.
NEXT: dict[tuple[str, ...], dict[str, float]] = {
    (): {"Die": 0.45, "Das": 0.40, "Ein": 0.10},
    ("Die",): {"Mädchen": 0.50, "Kleine": 0.24},
    ("Das",): {"Mädchen": 0.85, "Kind": 0.10},
    ("Die", "Mädchen"): {"schlafen": 0.60, "schläft": 0.28},
    ("Das", "Mädchen"): {"schläft": 0.90, "schlief": 0.05},
}
COLUMNS, MIDDLE, ROW = (62, 224, 464, 738), 205, 74


@dataclass(frozen=True)
class Hypothesis:
    """Words and their probability."""

    words: tuple[str, ...]
    probability: float


def candidates(kept: list[Hypothesis]) -> list[Hypothesis]:
    """All continuations of the hypotheses that a step has kept."""
    return [
        Hypothesis((*before.words, word), before.probability * probability)
        for before in kept
        for word, probability in NEXT[before.words].items()
    ]


def best(found: list[Hypothesis]) -> list[Hypothesis]:
    """The ones that the beam keeps, in the order of the drawing."""
    kept = sorted(found, key=lambda hypothesis: -hypothesis.probability)[:BEAM]
    return [hypothesis for hypothesis in found if hypothesis in kept]


def beam(theme: Theme = LIGHT) -> Canvas:
    """The candidates of each step and the two that it keeps."""
    canvas = Canvas(
        theme,
        860,
        420,
        "Beam search with two hypotheses",
        "Translating 'The girl sleeps'. Step 1 keeps Die (0.45) and Das (0.40); step 2 keeps Das Mädchen (0.34) and "
        "Die Mädchen (0.225); step 3 ends with Das Mädchen schläft (0.306), which greedy search would miss.",
    )
    canvas.words(24, 34, "The girl sleeps  →  …", anchor="start", size=16, bold=True)
    kept = [Hypothesis((), 1.0)]
    places: dict[tuple[str, ...], Point] = {(): (COLUMNS[0], MIDDLE)}
    for step, x in enumerate(COLUMNS[1:], start=1):
        found = candidates(kept)
        survivors = best(found)
        for row, hypothesis in enumerate(found):
            y = MIDDLE + (row - (len(found) - 1) / 2) * ROW
            places[hypothesis.words] = x, y
            from_x, from_y = places[hypothesis.words[:-1]]
            is_kept = hypothesis in survivors
            colour = "input" if is_kept else "muted"
            canvas.line((from_x + half(step - 1), from_y), (x - half(step) - 1, y), colour=colour, dashed=not is_kept)
        kept = survivors
        for hypothesis in found:
            draw(canvas, places[hypothesis.words], hypothesis, hypothesis in survivors)
        canvas.words(x, 374, f"step {step}", "muted")
    canvas.box(*places[()], 60, 40, "input")
    canvas.words(COLUMNS[0], MIDDLE + 5, "<s>")
    canvas.words(430, 404, "solid: the 2 best of each step, which are continued   ·   dashed: pruned", "muted")
    return canvas


def half(step: int) -> float:
    """Half of the width of a step's boxes."""
    return (30.0, 60.0, 86.0, 94.0)[step]


def draw(canvas: Canvas, place: Point, hypothesis: Hypothesis, is_kept: bool) -> None:
    """A candidate: its last word, and the probability of all its words."""
    (x, y), share = place, NEXT[hypothesis.words[:-1]][hypothesis.words[-1]]
    whole = short(hypothesis.probability)
    text = f"{short(hypothesis.probability / share)} × {share:.2f} = {whole}" if len(hypothesis.words) > 1 else whole
    canvas.box(x, y, 2 * half(len(hypothesis.words)), 52, "input" if is_kept else "muted", dashed=not is_kept)
    colour = "ink" if is_kept else "muted"
    canvas.words(x, y - 4, hypothesis.words[-1], colour, size=16, bold=is_kept)
    canvas.words(x, y + 17, text, colour, size=13.5)


def short(probability: float) -> str:
    """A probability with three decimals, or two where they suffice."""
    return f"{probability:.3f}".removesuffix("0")
