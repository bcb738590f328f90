"""Commands to run next with a trained model, and sample translations."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING

from seq2seq.cli.console import print_stdout, warn
from seq2seq.config import Config, TranslationConfig
from seq2seq.storage.files import resolve_file
from seq2seq.text.display_width import max_width, pad

if TYPE_CHECKING:
    from seq2seq.training import TrainingReport

NUM_COMMANDS = 3
SAMPLE_CHARACTERS = 40  # approximate length of the sentence in a command


def next_commands(config: Config, output: Path) -> str:
    """The commands that use a model, one per line, with FILE in place of files."""
    return _aligned(config.next_commands(quote(str(output))))


def commands_after_run(config: Config, report: "TrainingReport") -> str:
    """The next commands for the model of a run, one per line, with a sentence and files of its corpus."""
    model, seq2seq = quote(str(report.directory)), program()
    uses = {}
    corpora = config.corpora
    if isinstance(config, TranslationConfig):
        sentence = min((source for source, _ in report.samples), key=_distance, default="")
        end_of_options = "-- " * sentence.startswith("-")
        uses["translate"] = f"{seq2seq} translate {model} {end_of_options}{quote(sentence)}"
        uses["evaluate"] = f"{seq2seq} evaluate {model} {_test_pairs(config)}"
    else:
        uses["generate"] = f"{seq2seq} generate {model}"
        target = next((corpus.target for corpus in (corpora.test, corpora.valid) if corpus and corpus.target), None)
        if target:
            uses["perplexity"] = f"{seq2seq} perplexity {model} -i {quote(str(resolve_file(target)))}"
    copy = report.directory.absolute().with_name(f"{report.directory.absolute().name}-export")
    if not copy.exists():
        uses["export"] = f"{seq2seq} export {model} {quote(str(report.directory.parent / copy.name))}"
    uses["inspect"] = f"{seq2seq} inspect {model}"
    return _aligned(dict(list(uses.items())[:NUM_COMMANDS]))


def _test_pairs(config: TranslationConfig) -> str:
    """Files of test or validation pairs, as arguments of `seq2seq evaluate`; placeholders if the recipe has none."""
    for corpus in filter(None, (config.corpora.test, config.corpora.valid)):
        if corpus.source and corpus.target:
            source, target = (quote(str(resolve_file(file))) for file in (corpus.source, corpus.target))
            return f"--source {source} --reference {target}"
        if corpus.tsv and corpus.columns is None:
            return quote(str(resolve_file(corpus.tsv)))
    return "--source FILE --reference FILE"


def _distance(sentence: str) -> tuple[bool, int]:
    """Sort key: sentences that are easier to read in a command come first."""
    return "'" in sentence, abs(len(sentence) - SAMPLE_CHARACTERS)


def program() -> str:
    """The shell command that starts this program."""
    if which("seq2seq"):
        return "seq2seq"
    called = Path(sys.argv[0])
    return quote(str(called)) if called.name == "seq2seq" else f"{quote(sys.executable)} -m seq2seq"


def _aligned(uses: dict[str, str]) -> str:
    width = max_width(uses) + 1
    return "\n".join(f"{pad(f'{use}:', width)} {command}" for use, command in uses.items())


def show_translations(model: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Print sources, references, translations and their attention."""
    from seq2seq.analysis.attention_text import render_attention
    from seq2seq.inference.translator import Translator

    translations = Translator.load(model, on_warning=warn).translate([source for source, _ in pairs])
    for (source, reference), translation in zip(pairs, translations, strict=True):
        print_stdout(f"\nsource:      {source}\nreference:   {reference}\ntranslation: {translation.text}")
        if translation.attention.size:
            print_stdout(render_attention(translation))
