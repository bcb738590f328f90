"""A model on disk: written atomically, checked when read, and never unpickled."""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from seq2seq.config import Config, Precision, dump_config, read_config
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.metadata import (  # noqa: F401, for those to whom these are files of a model directory like the others
    CONFIG,
    FORMAT_VERSION,
    HISTORY,
    METADATA,
    read_history,
    read_metadata,
    write_metadata,
)
from seq2seq.storage.arrays import load_arrays, load_checksum, save_arrays
from seq2seq.storage.files import replacing, stored_file

if TYPE_CHECKING:  # looking into a directory needs no TensorFlow, only `build_model` does
    import keras

    from seq2seq.models.base import DecoderModel
    from seq2seq.models.language_model import LanguageModel
    from seq2seq.models.translation import Seq2Seq

WEIGHTS = "model.weights.h5"
TOKENIZERS = ("joint.spm", "source.spm", "target.spm")
WIDE, MANY = ("size", "units", "attention_units"), ("layers", "transition_depth")  # keys that make weights so
PACKAGES = ("seq2seq", "tensorflow", "keras", "sentencepiece", "sacrebleu", "numpy", "h5py")


class Tokenizers(NamedTuple):
    """The source's and the target's tokenizer; one and the same object when they are joint.

    A language model has one, which goes for both.
    """

    source: Tokenizer
    target: Tokenizer

    def files(self) -> dict[str, Tokenizer]:
        """File names in a model directory."""
        joint = self.source is self.target
        return {"joint.spm": self.source} if joint else {"source.spm": self.source, "target.spm": self.target}


def weights_of(model: "DecoderModel") -> dict[str, np.ndarray]:
    """A model's weights by their paths, without the outer name."""
    return {inner_path(weight): np.asarray(weight) for weight in model.weights}


def assign_weights(model: "DecoderModel", arrays: Mapping[str, np.ndarray], origin: Path) -> None:
    """Set a model's weights.

    Raises:
        ModelDirectoryError: Names or shapes differ from the model's.
    """
    expected = {inner_path(weight): tuple(weight.shape) for weight in model.weights}
    found = {name: array.shape for name, array in arrays.items()}
    if expected != found:
        differ = sorted(set(expected.items()) ^ set(found.items()))
        name = differ[0][0]
        raise ModelDirectoryError(
            f"{origin}: weights do not fit the model of {CONFIG}: {name} has shape {found.get(name, 'none')}, "
            f"expected {expected.get(name, 'none')}; {len({name for name, _ in differ})} weights differ. "
            "Do the two files belong together?"
        )
    for weight in model.weights:
        weight.assign(arrays[inner_path(weight)])


def inner_path(variable: "keras.Variable") -> str:
    """A variable's path without the name of the model or optimizer that holds it."""
    return variable.path.partition("/")[2]


def build_model(config: Config, tokenizers: Tokenizers, precision: Precision = "float32") -> "DecoderModel":
    """A fresh model of a recipe's task and sizes."""
    if config.task == "language_model":
        from seq2seq.models.language_model import LanguageModel

        size = tokenizers.target.vocabulary_size
        return LanguageModel(size, config.embeddings, config.decoder, seed=config.seed, precision=precision)
    from seq2seq.models.translation import Seq2Seq

    return Seq2Seq(
        tokenizers.source.vocabulary_size,
        tokenizers.target.vocabulary_size,
        config.embeddings,
        config.encoder,
        config.decoder,
        seed=config.seed,
        precision=precision,
    )


def start_directory(folder: Path, config: Config, tokenizers: Tokenizers) -> None:
    """Write the resolved recipe and the tokenizers; a model that lies there already stays readable."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    for name in TOKENIZERS:
        if name not in tokenizers.files():
            (folder / name).unlink(missing_ok=True)
    for name, tokenizer in tokenizers.files().items():
        tokenizer.save(folder / name)
    if (folder / METADATA).exists():
        write_metadata(folder, read_metadata(folder) | {"sha256": _checksums(folder, (CONFIG, *TOKENIZERS))})


def save_model(
    folder: Path, model: "DecoderModel", scores: Mapping[str, Any], corpus: Mapping[str, Any] | None = None
) -> None:
    """Write the weights that translate, and the metadata that describes them.

    Args:
        folder: A directory that `start_directory` began.
        model: Its weights are written.
        scores: What was measured with them; JSON-able.
        corpus: What they were trained on: of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and
            `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; of `train` also the `share`.
    """
    save_weights(folder, weights_of(model), model.precision, scores, corpus)


def save_weights(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    precision: str,
    scores: Mapping[str, Any],
    corpus: Mapping[str, Any] | None = None,
) -> None:
    """`save_model` of weights by the names of `weights_of`, trained in `precision`."""
    save_arrays(folder / WEIGHTS, weights, {"tokenizers": _checksums(folder, TOKENIZERS)})
    values = {
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "parameters": sum(array.size for array in weights.values()),
        "precision": precision,
        "scores": dict(scores),
        "sha256": _checksums(folder, (CONFIG, *TOKENIZERS)),
    }
    write_metadata(folder, values if corpus is None else values | {"corpus": dict(corpus)})


def _checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those of the files that are there."""
    files = [folder / name for name in names if os.path.lexists(folder / name)]
    return {file.name: hashlib.sha256(stored_file(file).read_bytes()).hexdigest() for file in files}


def load_config_of(folder: Path) -> Config:
    """The resolved recipe of a model directory."""
    path = stored_file(folder / CONFIG)
    try:
        return read_config(path.read_bytes(), origin=str(path))
    except OSError as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error.strerror}.") from None


def load_tokenizers(folder: Path) -> Tokenizers:
    """The tokenizers of a model directory, which may be one that training has not saved a model in yet."""
    if os.path.lexists(folder / METADATA):
        check_directory(folder, TOKENIZERS)
    if os.path.lexists(folder / "joint.spm"):
        joint = Tokenizer.load(stored_file(folder / "joint.spm"))
        return Tokenizers(joint, joint)
    source, target = (Tokenizer.load(stored_file(folder / name)) for name in ("source.spm", "target.spm"))
    return Tokenizers(source, target)


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a model directory, by the names of `weights_of`.

    Raises:
        ModelDirectoryError: They are missing, damaged, of a later format version, or of other tokenizers.
    """
    if os.path.lexists(folder / METADATA):
        read_metadata(folder)
    weights, about = load_arrays(folder / WEIGHTS)
    found = _checksums(folder, TOKENIZERS)
    if about.get("tokenizers", found) != found:
        raise ModelDirectoryError(
            f"{folder / WEIGHTS}: weights of a model with other tokenizers than {' and '.join(found)} beside it. "
            "Do the files belong together?"
        )
    return weights


def check_directory(folder: Path, files: Sequence[str] = (CONFIG, *TOKENIZERS)) -> dict[str, Any]:
    """The metadata of a model directory, once its recipe and tokenizers are known to be those it was saved with.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    values, found = read_metadata(folder), _checksums(folder, files)
    expected = values["sha256"]
    strange = sorted(expected.keys() - {CONFIG, *TOKENIZERS})
    if strange or CONFIG not in expected:
        what = f"a checksum of {strange[0]!r}, which no model has" if strange else f"no checksum of {CONFIG}"
        raise ModelDirectoryError(f"{folder / METADATA}: damaged: {what}. Restore it from a copy.")
    for name in files:
        if name in expected and name not in found:
            raise ModelDirectoryError(f"{folder / name}: no such file, and the model was saved with it.")
        if found.get(name) != expected.get(name):
            raise ModelDirectoryError(
                f"{folder / name}: changed since the model was saved (SHA-256 differs). Restore it from a copy."
            )
    return values


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that a model translates with: its recipe, its tokenizers and its weights.

    Raises:
        ModelDirectoryError: See `check_directory`; or there are no weights.
    """
    return {**check_directory(folder)["sha256"], WEIGHTS: load_checksum(folder / WEIGHTS)}


def load_model(folder: Path, precision: Precision = "float32") -> tuple["Seq2Seq", Tokenizers, Config]:
    """Read the directory of a translator, whatever precision and device it was trained in.

    Raises:
        ModelDirectoryError: See `check_directory`; or the weights are damaged or do not fit the recipe; or it is
            a language model.
    """
    model, tokenizers, config = _load(folder, precision, "translation")
    return cast("Seq2Seq", model), tokenizers, config


def load_language_model(folder: Path, precision: Precision = "float32") -> tuple["LanguageModel", Tokenizer, Config]:
    """`load_model` of a language model."""
    model, tokenizers, config = _load(folder, precision, "language_model")
    return cast("LanguageModel", model), tokenizers.target, config


def check_task(folder: Path, config: Config, task: str) -> None:
    """See that a model directory holds what its reader can use.

    Raises:
        ModelDirectoryError: It holds a language model where a translator is wanted, or the other way round.
    """
    if config.task == task:
        return
    if task == "translation":
        raise ModelDirectoryError(
            f"{folder}: is a language model, and a translator is wanted here. Write text with `seq2seq generate "
            f"{folder}`, measure text with `seq2seq perplexity {folder}`, or let it help a translator with "
            f"--language-model {folder}."
        )
    raise ModelDirectoryError(
        f"{folder}: is a translator, and a language model is wanted here: one trained with `task: language_model`."
    )


def _load(folder: Path, precision: Precision, task: str) -> tuple["DecoderModel", Tokenizers, Config]:
    check_directory(folder)
    config = load_config_of(folder)
    check_task(folder, config, task)
    tokenizers, weights = load_tokenizers(folder), load_weights(folder)
    _check_sizes(config, weights, folder / WEIGHTS)
    model = build_model(config, tokenizers, precision)
    assign_weights(model, weights, folder / WEIGHTS)
    return model, tokenizers, config


def _check_sizes(config: Config, weights: Mapping[str, np.ndarray], origin: Path) -> None:
    """See that a recipe asks for no more than the weights can fill, before it takes terabytes of memory.

    Raises:
        ModelDirectoryError: It does.
    """
    widest = max((max(array.shape, default=0) for array in weights.values()), default=0)
    parts = {"embeddings": config.embeddings, "encoder": config.encoder, "decoder": config.decoder}
    if config.task == "language_model":
        del parts["encoder"]
    for name, part in parts.items():
        for key in (*WIDE, *MANY):
            asked = getattr(part, key, None) or 0
            if asked > (widest if key in WIDE else len(weights)):
                raise ModelDirectoryError(
                    f"{origin}: weights do not fit the model of {CONFIG}: '{name}.{key}' is {asked:,}, and there are "
                    f"{len(weights)} weights of at most {widest:,} rows or columns. Do the two files belong together?"
                )
