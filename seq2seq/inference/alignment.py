"""Word alignments: from attention weights or from links in two directions, symmetrised, in Pharaoh form.

A link (i, j) joins source word i and target word j, from 0. In Pharaoh form, an alignment is the line `0-0 1-2 2-1`,
source first. `text.words` defines words.
"""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal, get_args

from seq2seq.errors import ArgumentError
from seq2seq.text.cleaning import plain_form
from seq2seq.text.words import pieces_of_words, word_spans

if TYPE_CHECKING:
    import numpy as np

    from seq2seq.inference.results import Hypothesis, Translation

Link = tuple[int, int]
Directions = tuple[set[Link], set[Link]]  # with at most one link per target word, and at most one per source word
Symmetrization = Literal["forward", "backward", "intersection", "union", "grow-diag", "grow-diag-final-and"]
SYMMETRIZATIONS: tuple[str, ...] = get_args(Symmetrization)
DEFAULT_SYMMETRIZATION: Symmetrization = "grow-diag-final-and"
NEIGHBOURS = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def symmetrize(forward: Iterable[Link], backward: Iterable[Link], method: Symmetrization) -> set[Link]:
    """Combine links of two directions.

    Args:
        forward: Links with at most one for each target word.
        backward: Links with at most one for each source word.
        method: `forward` or `backward`: only these; `intersection` or `union` of both; `grow-diag`: the intersection,
            and links of the union next to one that is already there, also diagonally, if they add a word;
            `grow-diag-final-and`: then also links of either direction between words that both have none yet.

    Source:
        Och and Ney (2003), section 4, for the idea; Koehn, Och and Marcu (2003), section 4.1, and Koehn et al. (2005)
        for `grow-diag` and `final-and`, in the order of the Moses toolkit.
    """
    there, back = set(forward), set(backward)
    both, either = there & back, there | back
    simple = {"forward": there, "backward": back, "intersection": both, "union": either}
    if method in simple:
        return simple[method]
    links = _grow_diagonally(both, either)
    if method == "grow-diag-final-and":
        sources, targets = ({link[side] for link in links} for side in (0, 1))
        for link in (*sorted(there), *sorted(back)):
            if link[0] not in sources and link[1] not in targets:
                links.add(link)
                sources.add(link[0])
                targets.add(link[1])
    return links


def _grow_diagonally(links: set[Link], either: set[Link]) -> set[Link]:
    links, before = set(links), -1
    sources, targets = ({link[side] for link in links} for side in (0, 1))
    while len(links) > before:
        before = len(links)
        queue = sorted(links)  # visited in this order; added links are visited later, too
        while queue:
            here = heappop(queue)
            for down, right in NEIGHBOURS:
                new = (here[0] + down, here[1] + right)
                if new in either and (new[0] not in sources or new[1] not in targets):
                    links.add(new)
                    sources.add(new[0])
                    targets.add(new[1])
                    if new > here:
                        heappush(queue, new)
    return links


def links_from_attention(weights: "np.ndarray") -> Directions:
    """Links in two directions from attention between words.

    Args:
        weights: (Wt, Ws) float32, attention of each target word to each source word; 0 for words that are not known.

    Returns:
        Each target word with the source word to which it attends most, and each source word with the target word that
        attends to it most. Words without attention have no link.
    """
    if not weights.size:
        return set(), set()
    forward = {(int(s), t) for t, s in enumerate(weights.argmax(axis=1)) if weights[t, s] > 0}
    backward = {(s, int(t)) for s, t in enumerate(weights.argmax(axis=0)) if weights[t, s] > 0}
    return forward, backward


def attention_between_words(
    weights: "np.ndarray",
    source_pieces: Sequence[str],
    source: str,
    target_pieces: Sequence[str],
    target: str,
    tokenized: bool = False,
) -> "np.ndarray":
    """Attention between words: source words get the sum of their pieces' weights, target words the mean.

    Args:
        weights: (T, S) float32 attention between pieces.
        source_pieces: S pieces; `</s>` belongs to no word.
        source: Clean text of the source.
        target_pieces: T pieces.
        target: Clean text of the target.
        tokenized: See `word_spans`.

    Returns:
        (Wt, Ws) float64.
    """
    import numpy as np

    columns = pieces_of_words(source_pieces, source, word_spans(source, tokenized)).astype(np.float64)
    rows = pieces_of_words(target_pieces, target, word_spans(target, tokenized)).astype(np.float64)
    return (
        (rows / np.maximum(rows.sum(axis=0), 1)).T @ weights @ (columns / np.maximum(columns.sum(axis=1), 1)[:, None])
    )


def align_hypothesis(
    source: str,
    translation: "Translation",
    hypothesis: "Hypothesis",
    method: Symmetrization = DEFAULT_SYMMETRIZATION,
) -> set[Link]:
    """Links between the words of a source line and of a translation, by the attention of the search.

    Args:
        source: The line that was translated.
        translation: Its translation.
        hypothesis: One of its hypotheses, with attention.
        method: See `symmetrize`.

    Raises:
        ArgumentError: The hypothesis has no attention.
    """
    if not has_attention(translation, hypothesis):
        raise ArgumentError(
            "align_hypothesis: hypothesis: found no attention. Use translator.translate(sentences) with a model that "
            "has attention."
        )
    pieces = translation.source_tokens, plain_form(source), hypothesis.tokens, plain_form(hypothesis.text)
    return symmetrize(*links_from_attention(attention_between_words(hypothesis.attention, *pieces)), method)


def has_attention(translation: "Translation", hypothesis: "Hypothesis") -> bool:
    """Whether a hypothesis of a translation has its attention; a blank line's, without tokens, always has."""
    return hypothesis.attention.shape == (len(hypothesis.tokens), len(translation.source_tokens))


def to_pharaoh(links: Iterable[Link]) -> str:
    """Write links in Pharaoh form, sorted."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def words_of(text: str, tokenized: bool = False) -> list[str]:
    """The words of a text, cleaned, to which the numbers of an alignment refer; see `text.words`."""
    plain = plain_form(text)
    return [plain[start:end] for start, end in word_spans(plain, tokenized)]
