"""Your own sentence pairs: their files, columns and languages, and the amount of text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from pathlib import Path

from seq2seq.arguments import check_arguments
from seq2seq.config import CorpusConfig, FilterConfig
from seq2seq.config.languages import language_code, language_name, language_pair
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.columns import NEVER_SENTENCES, Column, has_header, header_language, read_sample, read_table
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.languages import identify_language, may_be_in
from seq2seq.corpora.readers import SentencePair, open_corpus
from seq2seq.corpora.tables import TableForm
from seq2seq.errors import CorpusError, suggest_similar
from seq2seq.storage.files import resolve_file

CHUNK_SIZE = 10_000  # pairs that are counted at a time
SCORE = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
ALPHABET_SHARE = 0.999  # of all letters of the text; the rarest are from names in another script


@dataclass(frozen=True)
class DetectedPairs:
    """Sentence pairs in files, and their languages.

    Attributes:
        corpus: Section of a recipe that describes the files.
        source_language, target_language: ISO 639 codes; None if the language is not clear.
        description: Files and languages in one line.
    """

    corpus: CorpusConfig
    source_language: str | None
    target_language: str | None
    description: str


@dataclass(frozen=True)
class CorpusSurvey:
    """The amount of text of a corpus, in the pairs that the filters keep.

    Attributes:
        pairs: Number of pairs.
        source_characters, target_characters: Number of characters.
        source_words, target_words: Number of words separated by spaces: few in Chinese, Japanese or Thai.
        source_alphabet, target_alphabet: Number of distinct characters.
        shared_characters: Share of the letters of one side that are in the alphabet of the other, ignoring case, 0 to
            1; for the side with the smaller share.
        dropped: What the filters drop, e.g. "3 duplicate, 1 empty side".
    """

    pairs: int
    source_characters: int
    target_characters: int
    source_words: int
    target_words: int
    source_alphabet: int
    target_alphabet: int
    shared_characters: float
    dropped: str = ""


@check_arguments(corpus="open_corpus(CorpusConfig(tsv=FILE)) makes one.")
def survey_corpus(corpus: Iterable[SentencePair], filters: FilterConfig | None = None) -> CorpusSurvey:
    """Count the text of a corpus, in one pass over it. Memory grows by 8 bytes per kept pair.

    Args:
        corpus: A corpus of pairs.
        filters: Filters of the training corpus; by default those of a recipe.

    Raises:
        CorpusError: See `open_corpus`.
    """
    report = FilterReport()
    characters, words, found = Counter[str](), Counter[str](), {"source": Counter[str](), "target": Counter[str]()}
    for chunk in chunks(filter_pairs(corpus, filters or FilterConfig(), report), CHUNK_SIZE):
        for side, counts in found.items():
            texts = [getattr(pair, side) for pair in chunk]
            characters[side] += sum(map(len, texts))
            words[side] += sum(len(text.split()) for text in texts)
            counts.update("".join(texts))
    return CorpusSurvey(
        report.kept,
        characters["source"],
        characters["target"],
        words["source"],
        words["target"],
        len(found["source"]),
        len(found["target"]),
        min(_shared_letters(found["source"], found["target"]), _shared_letters(found["target"], found["source"])),
        str(report),
    )


def _shared_letters(source: Counter[str], target: Counter[str]) -> float:
    """Share of the target letters that are in the source alphabet, from counts of characters."""
    source, target = map(_letters, (source, target))
    ranked = source.most_common()
    before = accumulate((count for _, count in ranked), initial=0)
    limit = ALPHABET_SHARE * source.total()
    alphabet = {letter for (letter, _), rank in zip(ranked, before, strict=False) if rank < limit}
    return sum(count for letter, count in target.items() if letter in alphabet) / max(target.total(), 1)


def _letters(characters: Counter[str]) -> Counter[str]:
    """The letters among the characters, in lower case."""
    letters = Counter[str]()
    for character, count in characters.items():
        if character.isalpha():
            letters[character.lower()] += count
    return letters


@check_arguments(files="Pass [FILE], or [SOURCE, TARGET].")
def detect_pairs(
    files: Sequence[str | Path],
    columns: Sequence[int | str] | None = None,
    languages: tuple[str, str] | None = None,
    min_score: float | None = None,
    score_column: int | str | None = None,
) -> DetectedPairs:
    """Detect the columns and the languages of sentence pairs in files.

    Args:
        files: One table, of tab-separated columns or CSV, or two line-aligned files, source and target. Files may be
            compressed.
        columns: Columns of source and target, counted from 1, or their names in the header; by default the columns with
            sentences.
        languages: ISO 639 codes of source and target. Columns or files in these languages, but in the reverse order,
            are swapped. By default the languages are detected from a header, a column of codes, the names of the
            files, or the text.
        min_score: Minimum score of a pair in a table; by default no pair is dropped for its score.
        score_column: Column of the scores, by number or name; by default the only one that has numbers with a decimal
            point.

    Raises:
        CorpusError: A file is missing or is not text of this form; or the columns cannot be detected.
    """
    names = [str(file) for file in files]
    if languages is not None:
        languages = language_pair(languages)
    if len(names) == 1:
        return _detect_in_table(names[0], columns, languages, min_score, score_column)
    if len(names) != 2:
        raise CorpusError(
            f"expected one file of source<TAB>target lines, or two that are aligned line by line, found {len(names)}: "
            f"{', '.join(names) or 'none'}."
        )
    for option, value in (("--columns", columns), ("--min-score", min_score), ("--score-column", score_column)):
        if value is not None:
            raise CorpusError(f"{option} is for one file of tab-separated columns, found two: {' and '.join(names)}.")
    return _detect_in_two_files(names[0], names[1], languages)


def _detect_in_table(
    name: str,
    given: Sequence[int | str] | None,
    languages: tuple[str, str] | None,
    min_score: float | None,
    score_column: int | str | None,
) -> DetectedPairs:
    detected = read_table(resolve_file(name), given)
    table, form = detected.columns, detected.form
    named = [column for column in (*(given or ()), score_column) if isinstance(column, str)]
    if given is None:
        source, target = _sentence_columns(name, table, languages)
        if languages is not None and _other_way_round(source.cells, target.cells, languages):
            source, target = target, source
    else:
        source, target = (_find_column(name, table, column, f"--columns {given[0]},{given[1]}") for column in given)
        if source is target:
            raise CorpusError(
                f"{name}: expected two of the columns 1 to {len(table)}, found --columns {given[0]},{given[1]}."
            )
    header = bool(named) or has_header(table, source, target)
    score = _score_column(name, table, (source, target), min_score, score_column)
    if languages is None:
        found = _named_languages(table, (source, target), header)
        if None in found:
            found = list(_languages_in_name(name, source.cells, target.cells) or found)
        codes = [code or identify_language(column.cells) for code, column in zip(found, (source, target), strict=True)]
    else:
        codes = list(languages)
    numbers = source.number, target.number
    all_there_is = given is None and len(table) == 2 and numbers == (1, 2)
    corpus = CorpusConfig(
        tsv=name,
        columns=None if all_there_is else numbers,
        header=header or None,
        delimiter=form.delimiter,
        quoted=True if form.quoted and form.delimiter == "tab" else None,
        score_column=score and score.number,
        min_score=min_score,
    )
    sides = [f"column {number} ({_in_words(code)})" for number, code in zip(numbers, codes, strict=True)]
    used = (*numbers, score and score.number)
    left_out = [f"column {c.number} ({c.kind or 'sentences'})" for c in table if c.number not in used]
    notes = [f"; {_form_in_words(form)}"] * form.quoted + ["; the first line is a header"] * header
    notes += [f"; minimum score {min_score:g} in column {score.number}"] if score and min_score is not None else []
    notes += [f"; left out: {', '.join(left_out)}"] * bool(left_out)
    return DetectedPairs(corpus, codes[0], codes[1], f"{name}: {sides[0]} to {sides[1]}{''.join(notes)}")


def _form_in_words(form: TableForm) -> str:
    return "cells in quotation marks" if form.delimiter == "tab" else f"CSV, columns separated by a {form.delimiter}"


def _find_column(name: str, table: Sequence[Column], column: int | str, option: str) -> Column:
    """A column by its number or its name in the header."""
    for found in table:
        if column in (found.number, found.first.strip()):
            return found
    if isinstance(column, int):
        raise CorpusError(f"{name}: expected two of the columns 1 to {len(table)}, found {option}.")
    names = [found.first.strip() for found in table]
    raise CorpusError(
        f"{name}: expected names of columns in the header, found {option}. The first line has: "
        f"{', '.join(map(repr, names))[:200]}.{suggest_similar(column, names)}"
    )


def _score_column(
    name: str,
    table: Sequence[Column],
    sides: tuple[Column, Column],
    min_score: float | None,
    given: int | str | None,
) -> Column | None:
    if given is not None and min_score is None:
        raise CorpusError(f"--score-column {given}: give --min-score, too.")
    if min_score is None:
        return None
    if given is not None:
        return _find_column(name, table, given, f"--score-column {given}")
    scored = [column for column in table if column not in sides and _has_scores(column)]
    if len(scored) == 1:
        return scored[0]
    shown = "; ".join(f"column {c.number}: {c.cells[0][:20]!r}" for c in table if c not in sides)
    raise CorpusError(
        f"{name}: expected one column of scores for --min-score {min_score:g}, found {len(scored)}. "
        f"{shown or 'There is no other column'}. Say which it is: --score-column 3."
    )


def _has_scores(column: Column) -> bool:
    """Whether all cells are numbers, and some have a decimal point."""
    return all(map(SCORE.fullmatch, column.cells)) and any("." in cell for cell in column.cells)


def _sentence_columns(name: str, table: Sequence[Column], languages: tuple[str, str] | None) -> list[Column]:
    """The two columns with sentences, in their order."""
    found = [column for column in table if column.kind is None]
    if len(table) == 2:  # a small file may repeat itself
        found = [column for column in table if column.kind not in NEVER_SENTENCES]
    if len(found) > 2 and languages is not None:
        named = zip(found, _named_languages(table, found, header=True), strict=True)
        spoken = [(column, language or identify_language(column.cells)) for column, language in named]
        asked = [column for column, language in spoken if language in languages]
        found = asked if {language for _, language in spoken} >= set(languages) else found
    if len(found) != 2:
        shown = (f"column {c.number}: {c.kind or repr(c.first[:30])}" for c in table)
        raise CorpusError(
            f"{name}: expected two columns of sentences, found {len(found)}. {'; '.join(shown)}. Say which "
            "ones are source and target: --columns 1,2."
        )
    return found


def _named_languages(table: Sequence[Column], sentences: Sequence[Column], header: bool) -> list[str | None]:
    """The languages of columns of sentences, by the header or by as many columns of language codes."""
    numbers = sorted(column.number for column in sentences)
    codes = [column.language for column in table if column.language]
    coded = dict(zip(numbers, codes, strict=True)) if len(codes) == len(numbers) else {}
    return [(header_language(column) if header else None) or coded.get(column.number) for column in sentences]


def _languages_in_name(name: str, source: Sequence[str], target: Sequence[str]) -> tuple[str, str] | None:
    """Two languages in the name of a file, e.g. `train.en-de.tsv`, in the order of the columns."""
    words = re.findall(r"[^\W_]+", Path(name).name)
    for first, second in pairwise(words):
        codes = language_code(first), language_code(second)
        if codes[0] and codes[1] and codes[0] != codes[1]:
            for order in ((codes[0], codes[1]), (codes[1], codes[0])):
                if may_be_in(source, order[0]) and may_be_in(target, order[1]):
                    return order
    return None


def _other_way_round(source: Sequence[str], target: Sequence[str], languages: tuple[str, str]) -> bool:
    """Whether texts can be in two languages only if they are swapped."""
    fits = may_be_in(source, languages[0]) and may_be_in(target, languages[1])
    return not fits and may_be_in(source, languages[1]) and may_be_in(target, languages[0])


def _detect_in_two_files(source: str, target: str, languages: tuple[str, str] | None) -> DetectedPairs:
    texts = [read_sample(resolve_file(name)) for name in (source, target)]
    for name, lines in zip((source, target), texts, strict=True):
        if sum("\t" in line for line in lines) > len(lines) / 2:
            raise CorpusError(
                f"{name}: expected one sentence per line, as in one of two files, found tab-separated columns. Give "
                "only this file: validation pairs are held out from it."
            )
    if resolve_file(source).samefile(resolve_file(target)):
        raise CorpusError(f"{source} and {target}: expected two files, source and target, found the same one twice.")
    if languages is not None and _other_way_round(texts[0], texts[1], languages):
        source, target = target, source
    codes = languages or _languages_of_files(source, target) or tuple(map(identify_language, texts))
    corpus = CorpusConfig(source=source, target=target)
    for _ in open_corpus(corpus):  # raises if they are not aligned
        pass
    sides = [f"{name} ({_in_words(code)})" for name, code in zip((source, target), codes, strict=True)]
    return DetectedPairs(corpus, codes[0], codes[1], f"{sides[0]} to {sides[1]}, aligned line by line")


def _languages_of_files(source: str, target: str) -> tuple[str, str] | None:
    """The languages in which the names of two files differ: `train.en` and `train.de`, `en/a.txt` and `de/a.txt`."""
    words = [re.findall(r"[^\W_]+", name) for name in (source, target)]
    differ = [pair for pair in zip_longest(*words, fillvalue="") if pair[0] != pair[1]]
    codes = [language_code(word) for word in differ[0]] if len(differ) == 1 else []
    return (codes[0], codes[1]) if len(codes) == 2 and codes[0] and codes[1] and codes[0] != codes[1] else None


def _in_words(code: str | None) -> str:
    return "language unknown" if code is None else language_name(code)
