"""Checks of texts that should not be scored as they are: markup, subwords, tokenized text, other scripts, few texts."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seq2seq.corpora.file_kinds import HEAD_BYTES, find_file_kind
from seq2seq.corpora.languages import detect_cjk_language, detect_unspaced_script
from seq2seq.errors import EvaluationError
from seq2seq.evaluation.tokenizers import DEFAULT_TOKENIZER
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean
from seq2seq.text.scripts import UNSPACED_SCRIPTS

SMALL_SET = 100  # number of sentences below which a set is small
MIN_SHARE = 0.1  # minimum share of lines with subwords: text about subwords has fewer
MIN_TOKENIZED, MIN_TOKENIZED_LINES = 0.5, 10  # minimum share of lines with a full stop or comma; minimum number
MIN_TAG_LINES = 2
MAX_HEAD_LINES = 500  # lines by which the kind of a text is recognised

TAG_LINE = re.compile(
    r"\s*</?(?:seg|doc|hl|p|tu|tuv|tmx|url|keywords|talkid|speaker|title|description|reviewer|translator|srcset|refset|"
    r"tstset)\b[^<>]*>",
    re.I,
)


class Subwords(NamedTuple):
    """A way to mark subwords: its name, a pattern of lines with such marks, and the command that joins them."""

    name: str
    mark: re.Pattern[str]
    join: str


SUBWORDS = (
    Subwords("'@@', of subword-nmt", re.compile(r"\S@@(?: |$)"), "sed -E 's/@@( |$)//g' FILE > NEW"),
    Subwords("'▁', of SentencePiece", re.compile("(?:^| )▁"), "sed 's/ //g; s/▁/ /g; s/^ //' FILE > NEW"),
    Subwords("'##', of WordPiece", re.compile(r"\w ##\w"), "sed 's/ ##//g' FILE > NEW"),
    Subwords("'￭', of the OpenNMT tokenizer", re.compile("￭"), "sed -E 's/ ?￭ ?//g' FILE > NEW"),
)
# A space before a full stop or comma, but not before the marks that have one in French; or Moses's escapes of marks.
TOKENIZED = re.compile(r"\S [.,](?: |$)|&(?:quot|apos|amp|#91|#93|#124);|\S @-@ \S")
PUNCTUATED = re.compile(r"[.,](?:\s|$)|&(?:quot|apos|amp|#91|#93|#124);|@-@")


def check_no_markup(lines: Sequence[str], what: str) -> None:
    """Raise `EvaluationError` if lines are a document in markup; `what` is their name, e.g. `references`."""
    beginning = "\n".join(lines[:MAX_HEAD_LINES])
    if beginning.lstrip().startswith("<") and (kind := find_file_kind(beginning.encode(errors="replace")[:HEAD_BYTES])):
        raise EvaluationError(f"{what}: expected one sentence per line, found {kind.name}. {kind.remedy}")


def text_warnings(
    texts: Sequence[str], what: str, tokenizer: str | None = None, in_training: bool = False
) -> list[str]:
    """Warnings about texts that make scores meaningless, with remedies; [] if there are none.

    Args:
        texts: Hypotheses or references.
        what: Name of the texts.
        tokenizer: BLEU's tokenizer, if it was chosen: `none` is for tokenized text.
        in_training: Whether they are scored in training, whose options differ from those of evaluation.
    """
    lines = [line for line in texts if line.strip()]
    found = []
    tagged = _matching(lines, TAG_LINE.match)
    if len(tagged) >= MIN_TAG_LINES:
        found.append(
            f"{len(tagged):,} of {len(texts):,} {what} are tags of markup, such as {tagged[0].strip():.40}, which "
            "count as words. Leave out these lines, or extract the sentences, in all of the files"
        )
    for kind in SUBWORDS:
        marked = _matching(lines, kind.mark.search)
        if marked and len(marked) >= MIN_SHARE * len(lines):
            found.append(
                f"{len(marked):,} of {len(texts):,} {what} {'is' if len(marked) == 1 else 'are'} split into subwords "
                f"({kind.name}), which count as words. Join them first: {kind.join}"
            )
    if not found and tokenizer != "none" and (warning := _tokenized_warning(lines, what, in_training)):
        found.append(warning)
    return found


def cleaning_warning(hypotheses: Sequence[str], sets: Sequence[Sequence[str]]) -> str | None:
    """A warning if cleaning, which models and filters apply too, changes any hypothesis or reference."""
    changed = [sum(clean(line) != line for line in lines) for lines in (hypotheses, *sets)]
    if not any(changed):
        return None
    return (
        f"{changed[0]:,} of {len(hypotheses):,} hypotheses and {sum(changed[1:]):,} of {sum(map(len, sets)):,} "
        "references have white space other than spaces, invisible or control characters, or are not in Unicode NFC. "
        "Both are scored as models see text: white space becomes a space, and invisible characters are removed"
    )


def _matching(lines: Sequence[str], holds: Callable[[str], object]) -> list[str]:
    return [line for line in lines if holds(line)]


def _tokenized_warning(lines: Sequence[str], what: str, in_training: bool) -> str | None:
    tokenized, punctuated = _matching(lines, TOKENIZED.search), _matching(lines, PUNCTUATED.search)
    if len(tokenized) < max(MIN_TOKENIZED * len(punctuated), MIN_TOKENIZED_LINES):
        return None
    on_purpose = "" if in_training else ". To score tokenized text as it is: --bleu-tokenizer none"
    return (
        f"{len(tokenized):,} of {len(lines):,} {what} look tokenized, such as '{tokenized[0].strip():.40}'. Only "
        "scores on plain text can be compared with those of others: undo the tokenization first, e.g. with Moses's "
        f"detokenizer.perl or sacremoses{on_purpose}"
    )


def script_warning(references: Sequence[str], tokenizer: str, in_training: bool = False) -> str | None:
    """A warning if references are in a script without spaces, or Korean, and BLEU's tokenizer is 13a."""
    if tokenizer != DEFAULT_TOKENIZER:
        return None
    language = detect_cjk_language(references)
    name, advised = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean"}.get(language or ""), language
    option = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}.get(language or "", "char")
    if name is None:
        name = detect_unspaced_script(references)
        if name is None:
            return None
        advised = UNSPACED_SCRIPTS[name][1]
    spaces = "" if name == "Korean" else " It treats all text between two spaces as one word."
    if in_training:
        say = f"Set the language: --set data.target_language={advised}" if advised else "Set validation.metric=loss"
    else:
        given = f"--target-language {advised} (data.target_language in a recipe, language='{advised}' in Python)"
        say = f"Set the language: {given}; or choose" if advised else "Choose"
        say += f" a tokenizer: --bleu-tokenizer {option} (tokenizer='{option}' in Python). chrF2 needs none"
    return f"the references look {name}, and BLEU's tokenizer 13a is not made for it.{spaces} {say}"


def small_set_note(sentences: int) -> str:
    """Caveat about scores of few sentences; "" for a set of usual size."""
    if sentences >= SMALL_SET:
        return ""
    return (
        f"{pluralize(sentences, 'sentence')} {'is' if sentences == 1 else 'are'} too few for conclusions: with fewer "
        f"than {SMALL_SET}, scores change by several points with the choice of sentences, and the intervals are too "
        "narrow. Test sets usually have 500 or more"
    )
