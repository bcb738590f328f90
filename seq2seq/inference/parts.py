"""Build translations of parts of lines from what a search has found, and those of lines from those of their parts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from seq2seq.config import SearchOptions
from seq2seq.corpora.glossary import Glossary
from seq2seq.data.tokenizer import EOS_ID, Tokenizers
from seq2seq.inference.decision import decide
from seq2seq.inference.demands import unsatisfied
from seq2seq.inference.repetition import repeats
from seq2seq.inference.requests import Request, demands_of
from seq2seq.inference.results import Translation, blank_translation, join_segments, make_hypotheses
from seq2seq.inference.segments import Part
from seq2seq.inference.unknown_tokens import target_text, unknown_surfaces
from seq2seq.search import SearchResult
from seq2seq.text.cleaning import plain_form


def read_result(
    result: SearchResult, parts: Sequence[Part], tokenizers: Tokenizers, options: SearchOptions, attention: bool
) -> list[Translation]:
    """The translation of each part, with all hypotheses that the search returned.

    Args:
        result: Search result of the batch of parts, as NumPy arrays.
        parts: B parts.
        tokenizers: Tokenizers of source and target.
        options: Search options, of which `unk_handling` counts.
        attention: Keep attention weights.
    """
    translations, replaces = [], options.unk_handling == "replace"
    for row, part in enumerate(parts):
        decode = partial(target_text, tokenizers, part, replaces=replaces)
        hypotheses = make_hypotheses(result, row, tokenizers.target, len(part.ids) + 1, decode, attention)
        unknown = unknown_surfaces(tokenizers.source, part)
        characters = tuple(dict.fromkeys(letter for surface in unknown for letter in surface))
        tokens = tokenizers.source.pieces([*part.ids, EOS_ID])
        translations.append(Translation(tokens, hypotheses, unknown_tokens=len(unknown), unknown_characters=characters))
    return translations


def decide_parts(
    parts: Sequence[Part], translations: Sequence[Translation], options: SearchOptions
) -> list[Translation]:
    """The translations of parts with the hypotheses that are output, and what the best ones do not satisfy."""
    decided = []
    for part, found in zip(parts, translations, strict=True):
        hypotheses = decide(found.hypotheses, options, part.demands)
        missing = unsatisfied(part.demands, hypotheses[0].text)
        decided.append(replace(found, hypotheses=hypotheses, unsatisfied=missing))
    return decided


def join_parts(
    request: Request, parts: Sequence[Part], translations: Sequence[Translation], glossary: Glossary | None
) -> Translation:
    """The translation of a line, from those of its parts, of which a line without tokens has none."""
    joined = join_segments(translations) if parts else blank_translation()
    # An excluded phrase may span two parts, and so may a term; or a term is in what is cut off.
    of_line = unsatisfied(demands_of(request, [plain_form(request.text)], glossary), joined.text)
    return replace(
        joined,
        unsatisfied=tuple(dict.fromkeys([*joined.unsatisfied, *of_line])),
        num_groups=max((part.group for part in parts), default=0) + 1,
        truncated_tokens=sum(part.truncated for part in parts),
        repeats=repeats(joined.text, request.text),
    )
