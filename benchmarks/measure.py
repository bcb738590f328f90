"""Shared parts of the benchmarks: model sizes, batches of real lengths, sgemm, alternating measurements, tables,
JSON."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from seq2seq.config import CorpusConfig, TokenizerConfig
from seq2seq.corpora import open_corpus
from seq2seq.data.batching import plan_batches
from seq2seq.data.encoded import encode_corpus
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.layers.cells import CELLS

# Cells that differ from all others in a single layer, without one below.
ALONE = [cell for cell in CELLS if cell != "depth_gated_lstm"]
Batch = tuple[np.ndarray, np.ndarray]  # source (B, S) and target (B, T), int32, padded with 0


@dataclass(frozen=True)
class Size:
    """Size of a model: an encoder-decoder with general attention and one table for all embeddings."""

    encoder_layers: int
    decoder_layers: int
    units: int  # width of the decoder, and of both directions of the encoder together
    embedding: int
    vocabulary: int
    bidirectional: str  # as in a recipe
    cell: str = "gru"


SIZES = {
    "small": Size(1, 1, 256, 128, 4_000, "all"),
    "medium": Size(2, 2, 512, 256, 8_000, "all"),
    "gnmt": Size(4, 4, 1024, 1024, 32_000, "true", "lstm"),
}


def products_forward(size: Size, source_lengths: np.ndarray, target_lengths: np.ndarray) -> float:
    """Floating-point operations of the matrix products in a forward pass, at real tokens only."""
    gates = {"gru": 3, "lstm": 4}[size.cell]
    u, e, v = size.units, size.embedding, size.vocabulary
    source, target = float(source_lengths.sum()), float(target_lengths.sum())
    total = 0.0
    for layer in range(size.encoder_layers):
        width = e if layer == 0 else u
        halves = size.bidirectional == "all" or layer == 0
        half = u // 2 if halves else u
        total += source * (2 if halves else 1) * gates * half * (width + half)
    total += source * u * u  # keys
    total += target * gates * u * (e + u)
    total += target * (size.decoder_layers - 1) * gates * u * (2 * u + u)
    total += float((source_lengths * target_lengths).sum()) * 2 * u  # scores, contexts
    total += target * (2 * u * e + e * v)
    return 2 * total


def batches_of(size: Size, count: int, tokens: int, seed: int = 1) -> list[Batch]:
    """Batches as in training: lengths of Multi30k (`$MULTI30K`) or else the phrasebook, ids drawn by Zipf's law."""
    folder = os.environ.get("MULTI30K")
    spec = (
        {"source": f"{folder}/train.en.gz", "target": f"{folder}/train.de.gz"}
        if folder
        else {"phrasebook": "train", "pairs": 20_000}
    )
    corpus = open_corpus(CorpusConfig(**spec))
    options = TokenizerConfig(joint=True, vocabulary_size=8000 if folder else 4000)
    tokenizer = Tokenizer.train((side for pair in corpus for side in (pair.source, pair.target)), options)
    with TemporaryDirectory() as scratch:
        encoded = encode_corpus(corpus, tokenizer, tokenizer, Path(scratch) / "ids")
        source, target = np.array(encoded.source.lengths), np.array(encoded.target.lengths)
    plan = plan_batches(source, target, max_tokens=tokens, shuffle_buffer=16_384, seed=seed, epoch=1)
    random = np.random.default_rng(seed)
    ranks = 1.0 / np.arange(1, size.vocabulary - 3)

    def ids(lengths: np.ndarray) -> np.ndarray:
        drawn = random.choice(np.arange(4, size.vocabulary), (len(lengths), lengths.max()), p=ranks / ranks.sum())
        drawn[np.arange(len(lengths)), lengths - 1] = 3
        return np.where(np.arange(lengths.max()) < lengths[:, None], drawn, 0).astype(np.int32)

    chosen = np.linspace(0, len(plan) - 1, count).astype(int)
    return [(ids(source[rows]), ids(target[rows])) for rows in map(plan.batch, chosen.tolist())]


def sgemm() -> float:
    """FLOP/s of a 2048 x 2048 x 2048 product in float32, the best of five."""
    a, b = tf.random.normal([2048, 2048]), tf.random.normal([2048, 2048])
    tf.matmul(a, b)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        tf.matmul(a, b).numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def in_turns(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each of the runs in turn, once per round; each returns a number."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
            time.sleep(0.3)  # spinning threads of one library must not slow down the next
    return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> dict[str, Any]:
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {"cpu": model[0] if model else platform.processor(), "cores": os.cpu_count(), "tensorflow": tf.__version__}


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table, whose columns are the keys of the first row."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == next(iter(rows[0])) else "right")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,.3g}" for value in row.values()))
    Console().print(table)


def write(path: Path | None, report: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def as_dict(size: Size) -> dict[str, Any]:
    return asdict(size)
