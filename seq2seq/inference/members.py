"""Members of an ensemble: translation models with the same tokenizers, loaded from their directories."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.config import Precision, TranslationConfig
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.device import set_tf32, set_up_device
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.model_directory.model import Origin, load_model, read_origin
from seq2seq.model_directory.pretrained import find_model
from seq2seq.models.translation import Seq2Seq

Paths = str | Path | Sequence[str | Path]  # one model, or the members of an ensemble


class Members(NamedTuple):
    """One or more models that translate together.

    Attributes:
        models: The models.
        tokenizers: Tokenizers of all of them.
        config: Recipe of the first.
        folders: Their directories.
        origin: Origin of the first.
    """

    models: tuple[Seq2Seq, ...]
    tokenizers: Tokenizers
    config: TranslationConfig
    folders: tuple[Path, ...]
    origin: Origin


def load_members(paths: Paths, precision: Precision) -> Members:
    """Read the directories of one or more models, given by path or by the name of a pretrained model.

    Raises:
        ArgumentError: There is no path.
        ConfigError: Tokenizers differ, by their fingerprints; or `tf32` is requested and no GPU supports it.
        ModelDirectoryError: See `load_model`.
    """
    folders = tuple(map(find_model, [paths] if isinstance(paths, str | Path) else paths))
    if not folders:
        raise ArgumentError("path: expected at least one model directory, found none.")
    set_up_device()
    set_tf32(precision)
    origin = read_origin(folders[0])
    models, tokenizers, configs = zip(*(load_model(folder, precision) for folder in folders), strict=True)
    for folder, theirs in zip(folders[1:], tokenizers[1:], strict=True):
        for side, ours, its in zip(Tokenizers._fields, tokenizers[0], theirs, strict=True):
            if its.fingerprint() != ours.fingerprint():
                raise ConfigError(
                    f"{folder}: its {side} tokenizer (SHA-256 {its.fingerprint()[:8]}) is not that of {folders[0]} "
                    f"({ours.fingerprint()[:8]}), and the models of an ensemble have the same tokens. Train them "
                    f"with 'tokenizer.from_model: {folders[0]}', or leave this model out."
                )
    return Members(models, tokenizers[0], configs[0], folders, origin)
