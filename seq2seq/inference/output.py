"""Output rows of translated lines, which may be requests."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.inference.alignment import align_hypothesis, has_attention, to_pharaoh, words_of
from seq2seq.plurals import pluralize

if TYPE_CHECKING:  # the command line reads `OutputFormat` before it needs TensorFlow
    from seq2seq.config import SearchOptions
    from seq2seq.inference.requests import Request
    from seq2seq.inference.results import Hypothesis, Translation
    from seq2seq.inference.translator import Translator

# In JSON rows: programs that do not read JSON take the first for line ends, and UTF-8 lacks halves of surrogate pairs.
ESCAPED = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029, *range(0xD800, 0xE000))}

OutputFormat = Literal["text", "tsv", "jsonl", "aligned"]
InputFormat = Literal["text", "jsonl"]
ONE_ROW_FORMATS = ("text", "aligned")  # with one translation per line, and no scores
# Kinds of files, besides lines of text; a single line of JSON Lines is JSON.
ACCEPTED_KINDS: dict[InputFormat, Sequence[str]] = {"text": (), "jsonl": ("JSON Lines", "JSON")}


def translate_to_rows(
    translator: "Translator",
    requests: "Sequence[str | Request]",
    options: "SearchOptions",
    output_format: OutputFormat,
    *,
    name: str,
    on_warning: Callable[[str], None],
    first: int = 1,
    on_progress: ProgressCallback = no_progress,
    on_translated: Callable[[int, "Translation"], None] = lambda number, translation: None,
) -> Iterator[list[str]]:
    """Yield the rows of each line, in order; `tsv` has one per translation, the other formats have one.

    Args:
        translator: Translates the lines.
        requests: Lines, or requests, which are translated at once.
        options: Search options.
        output_format: Format of a row.
        name: Name of the file in warnings.
        on_warning: Called with a warning message for each line that is cut off, does not satisfy its request, or is too
            long to be aligned.
        first: Number of the first line in its file.
        on_progress: Called with the number of lines done so far.
        on_translated: Called with the number and the translation of each line.
    """
    attention = output_format in ("jsonl", "aligned") and translator.step_sources.uses_attention
    translations = translator.translate(requests, options, attention=attention, on_progress=on_progress)
    for number, (translation, request) in enumerate(zip(translations, requests, strict=True), start=first):
        if cut := translation.truncated_tokens:
            limit, verb = translator.source_lines.max_source_tokens(options), "is" if cut == 1 else "are"
            on_warning(
                f"{name}:{number}: {pluralize(cut, 'token')} beyond the limit of {limit:,} {verb} not translated. "
                "Raise --max-source-tokens, or use --long-lines split."
            )
        if translation.unsatisfied:
            on_warning(f"{name}:{number}: the translation does not satisfy {'; '.join(translation.unsatisfied)}.")
        if attention and not has_attention(translation, translation.hypotheses[0]):
            on_warning(
                f"{name}:{number}: too long to keep attention, so its word alignment is empty. Divide the line at the "
                "ends of sentences."
            )
        on_translated(number, translation)
        yield list(
            _rows(output_format, number, request if isinstance(request, str) else request.text, translation, attention)
        )


def count_translated(rows: Iterable[bytes], output_format: OutputFormat) -> int:
    """Number of lines whose translations are in the rows of a file, not counting a last row without a line end.

    The rows of a line are adjacent.
    """
    count, before, row = 0, b"", b"\n"
    for row in rows:
        number = row.partition(b"\t")[0]
        count += output_format != "tsv" or number != before
        before = number
    return count - (not row.endswith(b"\n"))


def _rows(
    output_format: OutputFormat, number: int, line: str, translation: "Translation", attention: bool
) -> Iterator[str]:
    if output_format == "text":
        yield translation.text
    elif output_format == "aligned":
        yield f"{translation.text} ||| {_alignment(line, translation, translation.hypotheses[0])}"
    elif output_format == "tsv":
        for hypothesis in translation.hypotheses:
            score = f"{hypothesis.score:.4f}" if hypothesis.tokens else ""  # a blank has no score
            yield f"{number}\t{score}\t{hypothesis.text}"
    else:
        words = {"source_words": words_of(line)} if attention else {}
        values = {"line": number, "source": line, **words, **translation.as_dict(attention)}
        if attention:
            for hypothesis, own in zip(translation.hypotheses, values["translations"], strict=True):
                own |= {"words": words_of(hypothesis.text), "alignment": _alignment(line, translation, hypothesis)}
        yield json.dumps(values, ensure_ascii=False, allow_nan=False).translate(ESCAPED)


def _alignment(line: str, translation: "Translation", hypothesis: "Hypothesis") -> str:
    is_there = has_attention(translation, hypothesis)
    return to_pharaoh(align_hypothesis(line, translation, hypothesis)) if is_there else ""
