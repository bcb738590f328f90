"""Text given as command-line arguments instead of a file or stdin."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from seq2seq.cli.console import InputLines, input_lines, warn
from seq2seq.errors import ConfigError
from seq2seq.model_directory.nearby import MODEL_FILES
from seq2seq.model_directory.pretrained import find_model

LOOKS_LIKE_A_FILE = re.compile(r"\S*\w\.[A-Za-z]\w{0,4}|\S*/\S*")  # `in.txt`, `text/in`; not `sleeps.`


def split_models(arguments: Sequence[str] | None) -> tuple[list[Path], list[str]]:
    """Divide arguments into the models at their beginning and the rest: model directories, names of pretrained models.

    Raises:
        ConfigError: A model comes after something else.
    """
    rest = list(arguments or ())
    models = []
    while rest and (model := _model_directory(rest[0])):
        models.append(model)
        del rest[0]
    if late := next((text for text in rest if _model_directory(text)), None):
        raise ConfigError(f"{late}: is a model, but comes after {rest[0]!r}. Give all models first.")
    return models, rest


def _model_directory(argument: str) -> Path | None:
    folder = find_model(argument)
    # For a long text, Path raises that the name is too long.
    return folder if all(os.path.isfile(f"{folder}/{file}") for file in MODEL_FILES) else None  # noqa: PTH113


def check_texts(texts: Sequence[str] | None, input_file: Path | None) -> None:
    """Reject texts that are file names, or that are given together with `--input`; warn of other likely mistakes.

    Raises:
        ConfigError: An argument is a file, or `--input` is given, too.
    """
    for text in texts or ():
        if LOOKS_LIKE_A_FILE.fullmatch(text) and os.path.isdir(text):  # noqa: PTH112
            raise ConfigError(f"{text}: is a folder without a model, so it is neither a model nor text to translate.")
        if os.path.isfile(text):  # noqa: PTH113  # for a long text, Path raises that the name is too long
            raise ConfigError(
                f"{text}: is a file, but arguments are taken as text. To read its lines: -i {quote(text)}."
            )
    if texts and input_file is not None:
        raise ConfigError(f"found text, {texts[0]!r}, and --input {input_file}: give one of them.")
    for text in texts or ():
        if LOOKS_LIKE_A_FILE.fullmatch(text):
            warn(f"{text}: no such file; the argument is taken as text")
    if texts and len(texts) > 1 and all(len(text.split()) == 1 for text in texts):
        warn(f"each word is taken as a separate text. To join them: {quote(' '.join(texts))}")


@contextmanager
def texts_or_input(
    texts: Sequence[str] | None, place: Path, prompt: str, accepts: Collection[str] = ()
) -> Iterator[InputLines]:
    """Yield the lines of texts, checked by `check_texts` before; without texts, those of a place, see `input_lines`."""
    if not texts:
        with input_lines(place, prompt, accepts) as lines:
            yield lines
        return
    yield InputLines([line + b"\n" for text in texts for line in os.fsencode(text).split(b"\n")], "text")
