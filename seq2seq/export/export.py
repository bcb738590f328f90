"""Export of a trained model for use elsewhere, in one of several formats."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from shlex import quote
from typing import Any

from pydantic import BaseModel, ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config import Config, SearchOptions
from seq2seq.config.section import without_folders
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.export import ExportFormat
from seq2seq.export.model_card import render_card
from seq2seq.model_directory import WeightsDtype
from seq2seq.model_directory.contents import ModelContents, new_model_directory, read_contents
from seq2seq.model_directory.derived_files import (
    CALIBRATION_FILE,
    COMMANDS,
    DECODER_FILE,
    copy_derived_files,
    files_of_search,
    how_to_make,
)
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.model_directory.pretrained import find_model
from seq2seq.storage.files import atomic_write, unreadable

CARD = "README.md"


@dataclass(frozen=True)
class Export:
    """A model to copy, with options.

    Attributes:
        model: Directory of the model.
        contents: Its contents, without folders of the machine that it was trained on.
        model_only: Whether to omit the shortlist and the 8-bit decoder.
        licence: Licence for the model card; None: unknown.
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
    dtype: WeightsDtype | None = None,
    model_only: bool = False,
    licence: str | None = None,
    evaluations: Sequence[str | Path] = (),
    on_warning: Callable[[str], None] = warnings.warn,
) -> Path:
    """Copy a trained model without its training files, and write a model card, `README.md`.

    The format `directory` is a model directory: `Translator.load` and all commands read it, and it translates exactly
    like the original. Paths in the recipe and the metadata are reduced to file names. If the model is being trained,
    the best state so far is copied. TensorFlow is not needed.

    Args:
        model: Model directory.
        output: A new or empty directory. It is written completely or not at all.
        export_format: Format of the copy.
        dtype: Type in which the copy stores the weights, which are float32 again once they are loaded; float16 halves
            the size of the file. None: as in the original, which is float32 after training.
        model_only: Omit the shortlist and the 8-bit decoder, if there are any.
        licence: Licence of the copy, for the model card, e.g. `cc-by-4.0`; None: unknown.
        evaluations: Files with the output of `seq2seq evaluate --json`: scores of this model on other text, for the
            card and for `metadata.json`, where each has the name of its file without the extension.
        on_warning: Called with a message about anything that is missing from the copy, or that the copy reveals about
            the machine; by default a `UserWarning`.

    Returns:
        `output`.

    Raises:
        ModelDirectoryError: The model is incomplete or damaged; a weight is too large for `dtype`; the shortlist or the
            8-bit decoder was made from other weights or tokenizers, or from weights that `dtype` changes; the recipe's
            search needs one that is not copied; or `output` is not empty.
        EvaluationError: One of `evaluations` is not the output of `seq2seq evaluate --json`.
        StorageError: `output` cannot be written.
    """
    model, output = find_model(model), Path(output)
    if model.exists() and output.exists() and output.samefile(model):
        raise ModelDirectoryError(f"{output}: is the model to copy. Give another directory for the copy.")
    contents = read_contents(model)
    while read_metadata(model) != contents.metadata:  # a run has just written another state
        contents = read_contents(model)
    for path in _named_files(contents.tokenizers):
        on_warning(f"a tokenizer of {model}, trained elsewhere, contains a file path, which the copy keeps: {path}")
    config = without_folders(contents.config)
    search = contents.config.search
    others = {"language_model": "language_model_weight", "rerank_model": "rerank_weight"}
    if isinstance(search, SearchOptions) and (given := [key for key in others if getattr(search, key) is not None]):
        for key in given:
            what = f"{key.replace('_', ' ')} {getattr(search, key)}"
            on_warning(
                f"{model}: its recipe translates with the {what}, which is in another directory and not copied: the "
                "copy translates without it. To use it, export that model as well, and translate with "
                f"--{key.replace('_', '-')}."
            )
        alone = search.model_dump(exclude={name for pair in others.items() for name in pair})
        config = config.model_copy(update={"search": SearchOptions(**alone)})
    metadata = _without_folders(contents.metadata, contents.config, config)
    stored = metadata.setdefault("weights_dtype", "float32")
    if dtype not in (None, stored):
        for file in () if model_only else (DECODER_FILE, CALIBRATION_FILE):
            if (model / file).exists():
                raise ModelDirectoryError(
                    f"{model / file}: was made from {stored} weights, but the copy has {dtype} weights. Leave it out "
                    f"with --model-only, then make another one: seq2seq {COMMANDS[file]} {quote(str(output))}"
                )
        metadata["weights_dtype"] = dtype
    if tests := {Path(file).stem: _read_evaluation(Path(file)) for file in evaluations}:
        scores = metadata["scores"]
        metadata["scores"] = {**scores, "tests": scores.get("tests", {}) | tests}
    FORMATS[export_format](
        Export(model, replace(contents, config=config, metadata=metadata), model_only, licence), output
    )
    return output


def _write_directory(export: Export, output: Path) -> None:
    with new_model_directory(output, export.contents) as partial:
        others = [] if export.model_only else copy_derived_files(export.model, partial)
        needed = [file for file in files_of_search(export.contents.config.search) if not (partial / file).exists()]
        for file in (*others, *needed):
            what = "was made from files other than those now in the model" if file in others else "is not in the copy"
            needs = ", but the recipe's search needs it" if file in needed else ""
            other = "" if file in needed else ", or leave it out with --model-only"
            raise ModelDirectoryError(
                f"{export.model / file}: {what}{needs}. {how_to_make(export.model, file)}{other}."
            )
        card = render_card(output.absolute().name, export.contents.config, inspect_model(partial), export.licence)
        with atomic_write(partial / CARD) as written:
            written.write_text(card, encoding="utf-8")


# Functions that write a model to an unused path, by format.
FORMATS: dict[ExportFormat, Callable[[Export, Path], None]] = {"directory": _write_directory}


def _without_folders(metadata: Mapping[str, Any], config: Config, stripped: Config) -> dict[str, Any]:
    """Metadata in which the names of corpora have no folders, as in the stripped recipe."""
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
    named_corpora = {"train": [named(part) for part in corpus["train"]], "valid": named(corpus["valid"])}
    if teachers := corpus.get("teachers"):
        named_corpora["teachers"] = teachers | {"translated": [named(part) for part in teachers["translated"]]}
    return {**metadata, "corpus": {**corpus, **named_corpora}}


class _Score(BaseModel):
    name: str
    score: float
    low: float | None
    high: float | None
    signature: str


class _Evaluation(BaseModel):
    """The parts of an evaluation that are in the card; the file has more."""

    sentences: int
    scores: list[_Score]


def _read_evaluation(file: Path) -> dict[str, Any]:
    try:
        return _Evaluation.model_validate_json(file.read_bytes()).model_dump()
    except OSError as error:
        raise EvaluationError(unreadable(file, error)) from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise EvaluationError(
            f"{file}: expected the output of `seq2seq evaluate MODEL ... --json`, found: {where or 'the file'}: "
            f"{problem['msg']}."
        ) from None


def _named_files(tokenizers: Tokenizers) -> list[str]:
    """Paths in tokenizers that were trained outside this project, where SentencePiece recorded them."""
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    found: dict[str, None] = {}
    for tokenizer in tokenizers:
        spec = ModelProto.FromString(tokenizer.model).trainer_spec
        found |= dict.fromkeys(path for path in (*spec.input, spec.model_prefix) if PurePath(path).name != path)
    return list(found)
