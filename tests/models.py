"""A model directory with everything in it, and ways to damage its files."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import safe_open

from seq2seq.inference.shortlist import save_shortlist, shortlist_from_pairs
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.storage.arrays import _seal, digest
from seq2seq.training import train
from tests.toy import toy_config, write_corpus


def train_all(folder: Path) -> Path:
    """A finished run of two validations with everything that the other commands read; its corpus is next to it."""
    write_corpus(folder, train=60, valid=4)
    model = folder / "model"
    train(toy_config(folder), model)
    tokenizers = load_tokenizers(model)
    ids = tokenizers.source.encode_batch(["the dog sees", "the cat"])
    sizes = [tokenizer.vocabulary_size for tokenizer in tokenizers]
    save_shortlist(model, shortlist_from_pairs(zip(ids, ids, strict=True), *sizes), tokenizers)
    return model


def edited(path: Path) -> None:
    """Change some bytes in the middle, or at the start of JSON: within a text or a number, it might stay valid."""
    data = bytearray(path.read_bytes())
    place = 1 if path.suffix in (".json", ".jsonl") else len(data) // 2
    data[place : place + 20] = bytes(byte ^ 0x15 for byte in data[place : place + 20])
    path.write_bytes(data)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def linked_out(path: Path) -> None:
    """Keep the same contents, but store them elsewhere."""
    elsewhere = path.absolute().parents[2] / f"elsewhere-{path.name}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def linked_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) and None,
    "emptied": lambda path: path.write_bytes(b"") and None,
    "edited": edited,
    "missing": Path.unlink,
    "a folder": replaced_by_folder,
    "linked out": linked_out,
    "linked to itself": linked_to_itself,
}


def forge(path: Path, arrays: str, data: bytes, about: str = "{}") -> None:
    """An untrusted array file with the right checksums; `arrays` is the rest of the JSON in its header."""

    def write(metadata: dict[str, str]) -> None:
        header = f'{{"__metadata__":{json.dumps(metadata | {"sha256": _seal(metadata)})}{arrays}}}'.encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + data)

    write({"metadata": about, "arrays": ""})
    with suppress(Exception), safe_open(path, "numpy") as file:
        write({"metadata": about, "arrays": digest({name: file.get_tensor(name) for name in file.offset_keys()})})


def change_metadata(folder: Path, **values: object) -> None:
    """Change values in `metadata.json`; None removes a key."""
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in metadata.items() if value is not None}))
