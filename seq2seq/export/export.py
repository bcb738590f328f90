"""A copy of a trained model for those who only use it, in one of several formats."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config import Config, SearchOptions
from seq2seq.config.section import without_folders
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.export import ExportFormat
from seq2seq.export.model_card import render_card
from seq2seq.model_directory.contents import ModelContents, new_model_directory, read_contents
from seq2seq.model_directory.derived_files import copy_derived_files, files_of_search, how_to_make
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.storage.files import atomic_write

CARD = "README.md"


@dataclass(frozen=True)
class Export:
    """What is to be copied, and how.

    model       directory of the model
    contents    what it holds, without the folders of the machine that it was trained on
    model_only  leave out shortlist and 8-bit decoder
    licence     for the card; None: unknown
    """

    model: Path
    contents: ModelContents
    model_only: bool
    licence: str | None


@check_arguments()
def export_model(
    model: str | Path,
    output: str | Path,
    *,
    export_format: ExportFormat = "directory",
    model_only: bool = False,
    licence: str | None = None,
    evaluations: Sequence[str | Path] = (),
    on_warning: Callable[[str], None] = warnings.warn,
) -> None:
    """Copy what a trained model needs for use, and not what only training needs; `README.md` says what it is.

    `directory` is a model directory: `Translator.load` and all commands read it, and it translates exactly
    as the original does. Files and directories that recipe and metadata name lose their folders. Of a model that is
    being trained, the last delivered state is copied. TensorFlow is not needed.

    Args:
        model: Model directory.
        output: Not there yet, or an empty directory. It is whole or not there.
        export_format: What to write.
        model_only: Leave out the shortlist and the 8-bit decoder, if there are any.
        licence: What the copy may be used under, for the card, as `cc-by-4.0`; None: unknown.
        evaluations: Files that `seq2seq evaluate --json` printed: the scores of this model on other text, for the card
            and `metadata.json`, under the file's name without its ending.
        on_warning: Called with a message for what the copy lacks, or tells of the machine that it comes from; by
            default a `UserWarning`.

    Raises:
        ModelDirectoryError: The model is incomplete or damaged; the shortlist or the 8-bit decoder is of other weights
            or tokenizers, or the recipe's search needs one that is not copied; or `output` is in use.
        EvaluationError: One of `evaluations` is not what it should be.
        StorageError: `output` cannot be written.
    """
    model, output = Path(model), Path(output)
    if model.exists() and output.exists() and output.samefile(model):
        raise ModelDirectoryError(f"{output}: is the model itself. Give another directory for the copy.")
    contents = read_contents(model)
    while read_metadata(model) != contents.metadata:  # a run has just delivered another state
        contents = read_contents(model)
    for path in _named_files(contents.tokenizers):
        on_warning(f"a tokenizer of {model}, which was made elsewhere, names a file, and so will the copy: {path}")
    config = without_folders(contents.config)
    search = contents.config.search
    if isinstance(search, SearchOptions) and search.language_model is not None:
        on_warning(
            f"{model}: its recipe translates with the language model {search.language_model}, which is another "
            "directory: the copy translates without. Export it too, and give --language-model."
        )
        alone = search.model_dump(exclude={"language_model", "language_model_weight"})
        config = config.model_copy(update={"search": SearchOptions(**alone)})
    metadata = _without_folders(contents.metadata, contents.config, config)
    if tests := {Path(file).stem: _read_evaluation(Path(file)) for file in evaluations}:
        scores = metadata["scores"]
        metadata["scores"] = {**scores, "tests": scores.get("tests", {}) | tests}
    FORMATS[export_format](
        Export(model, replace(contents, config=config, metadata=metadata), model_only, licence), output
    )


def _write_directory(export: Export, output: Path) -> None:
    with new_model_directory(output, export.contents) as partial:
        others = [] if export.model_only else copy_derived_files(export.model, partial)
        needed = [file for file in files_of_search(export.contents.config.search) if not (partial / file).exists()]
        for file in (*others, *needed):
            what = "was made from other files than are beside it now" if file in others else "would not be in the copy"
            why = ", and the recipe's search uses it" if file in needed else ", or leave it out with --model-only"
            raise ModelDirectoryError(f"{export.model / file}: {what}. {how_to_make(export.model, file)}{why}.")
        card = render_card(output.absolute().name, export.contents.config, inspect_model(partial), export.licence)
        with atomic_write(partial / CARD) as written:
            written.write_text(card, encoding="utf-8")


# Writes a model in a format, to a path where nothing is; another format is another entry.
FORMATS: dict[ExportFormat, Callable[[Export, Path], None]] = {"directory": _write_directory}


def _without_folders(metadata: Mapping[str, Any], config: Config, stripped: Config) -> dict[str, Any]:
    """Metadata with the bare names of the corpora, which they call as the recipe does."""
    if not metadata.get("corpus"):
        return dict(metadata)
    bare: dict[str, str] = {}
    if config.data is not None and stripped.data is not None:
        before, after = ((*data.train.parts(), data.valid) for data in (config.data, stripped.data))
        bare = {old.name(config.sides): new.name(config.sides) for old, new in zip(before, after, strict=True)}

    def named(facts: Mapping[str, Any]) -> dict[str, Any]:
        name = str(facts["name"])
        return {**facts, "name": bare.get(name, PurePath(name).name)}

    corpus = metadata["corpus"]
    return {**metadata, "corpus": {"train": [named(part) for part in corpus["train"]], "valid": named(corpus["valid"])}}


class _Score(BaseModel):
    name: str
    score: float
    low: float | None
    high: float | None
    signature: str


class _Evaluation(BaseModel):
    """What the card tells of an evaluation; there is more in the file."""

    sentences: int
    scores: list[_Score]


def _read_evaluation(file: Path) -> dict[str, Any]:
    try:
        return _Evaluation.model_validate_json(file.read_bytes()).model_dump()
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise EvaluationError(
            f"{file}: expected what `seq2seq evaluate MODEL ... --json` prints, found: {where or 'the file'}: "
            f"{problem['msg']}."
        ) from None


def _named_files(tokenizers: Tokenizers) -> list[str]:
    """Files with their folders that SentencePiece wrote into a model that it was asked to train elsewhere."""
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    found: dict[str, None] = {}
    for tokenizer in tokenizers:
        spec = ModelProto.FromString(tokenizer.model).trainer_spec
        found |= dict.fromkeys(path for path in (*spec.input, spec.model_prefix) if PurePath(path).name != path)
    return list(found)
