"""A toy corpus and recipe, with which whole commands run in seconds."""

from pathlib import Path
from random import Random

from seq2seq.config import Config, TokenizerConfig, validate_config
from seq2seq.data.tokenizer import Tokenizer

NOUNS = {"dog": "Hund", "cat": "Kater", "man": "Mann", "tree": "Baum", "bird": "Vogel", "king": "König"}
VERBS = {"sees": "sieht", "loves": "liebt", "hears": "hört", "finds": "findet"}
PLACES = {"today": "heute", "here": "hier", "often": "oft", "there": "dort"}
# Keys of `training`. With three batches per update, an interruption may come between the batches of an update.
GATHERING = {"epochs": 2, "accumulation_steps": 3, "learning_rate": 0.01, "checkpoint_minutes": 1000.0}


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Sentences such as `the dog sees the tree today`, between 3 and 8 words."""
    random = Random(seed)
    made = []
    for _ in range(count):
        subject, verb, place = (random.choice(list(words)) for words in (NOUNS, VERBS, PLACES))
        objects = random.sample(list(NOUNS), random.randint(1, 3))
        source = f"the {subject} {verb} {' and '.join(objects)} {place}"
        target = f"der {NOUNS[subject]} {VERBS[verb]} {PLACES[place]} {' und '.join(NOUNS[o] for o in objects)}"
        made.append((source, target))
    return made


def write_corpus(folder: Path, train: int = 120, valid: int = 12) -> None:
    """Write `train.tsv` and `valid.tsv`."""
    for name, count, seed in (("train", train, 1), ("valid", valid, 2)):
        lines = [f"{source}\t{target}\n" for source, target in pairs(count, seed)]
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")


def toy_values(folder: Path) -> dict:
    """A recipe as plain values: one epoch is about 10 batches."""
    return {
        "data": {
            "train": {"tsv": str(folder / "train.tsv")},
            "valid": {"tsv": str(folder / "valid.tsv")},
            "filters": {"max_tokens": 60, "drop_duplicates": False},
        },
        "tokenizer": {"joint": True, "vocabulary_size": 56},
        "batching": {"max_tokens": 200, "shuffle_buffer": 40},
        "embeddings": {"size": 12, "tied": "all", "dropout": 0.1},
        "encoder": {"units": 12, "dropout": 0.1},
        "decoder": {"units": 12, "dropout": 0.1},
        "training": {"learning_rate": 0.01, "epochs": 2},
        "validation": {"metric": "loss", "compute_bleu": False},
        "search": {"beam_size": 2},
    }


def toy_config(folder: Path, **sections) -> Config:
    """The toy recipe with changed keys of some sections."""
    return _changed(toy_values(folder), sections)


def _changed(values: dict, sections: dict) -> Config:
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section} if isinstance(section, dict) else section
    return validate_config(values, "toy")


def language_model_values(folder: Path) -> dict:
    """The recipe of a language model of the toy corpus's target side."""
    values = toy_values(folder)
    return {
        "task": "language_model",
        **{name: values[name] for name in ("data", "batching", "training")},
        "tokenizer": {"vocabulary_size": 36},
        "embeddings": {"size": 10, "dropout": 0.1},
        "decoder": {"cell": "lstm", "layers": 2, "units": 14, "dropout": 0.1},
    }


def language_model_config(folder: Path, **sections) -> Config:
    """`language_model_values` with changed keys of some sections."""
    return _changed(language_model_values(folder), sections)


def toy_tokenizer() -> Tokenizer:
    """A tokenizer with all bytes, so that every line has its own tokens."""
    sentences = [side for pair in pairs(100, 1) for side in pair]
    return Tokenizer.train(sentences, TokenizerConfig(vocabulary_size=310, byte_fallback=True))


def save_random_model(folder: Path, tokenizer: Tokenizer, **sections):
    """A model directory with random weights; returns its model before saving."""
    from seq2seq.data.tokenizer import Tokenizers
    from seq2seq.models.build import build_model
    from tests.conftest import randomize

    model = build_model(toy_config(folder.parent, **sections), Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    save(folder, model, tokenizer, **sections)
    return model


def save(folder: Path, model, tokenizer: Tokenizer, **sections) -> None:
    """Make a model directory of the toy recipe, which need not be the model's."""
    from seq2seq.data.tokenizer import Tokenizers
    from seq2seq.model_directory.directory import create_model_directory

    create_model_directory(folder, toy_config(folder.parent, **sections), Tokenizers(tokenizer, tokenizer))
    save_trained(folder, model, {})


def save_trained(folder: Path, model, scores: dict, corpus: dict | None = None) -> None:
    """Save the weights of a model in its directory, as a run does."""
    from seq2seq.model_directory.directory import save_weights
    from seq2seq.models.base import named_weights

    save_weights(folder, named_weights(model), model.precision, scores, corpus)
