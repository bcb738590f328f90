"""12,000 lines and their translation by a single run, which shards and Apache Beam must reproduce byte for byte."""

from tests.command import run
from tests.toy import pairs, save_random_model, toy_tokenizer

LINES = 12_000


def write_single_run(folder):
    """Write `model`, with random weights, the file `in`, and its translation `out`."""
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 1, "max_length": 12})
    lines = [f"{number} {source}" for number, (source, _) in enumerate(pairs(LINES, 4), start=1)]
    lines[6] = lines[LINES - 3] = ""
    (folder / "in").write_text("\n".join(lines), encoding="utf-8")
    assert run("translate", folder / "model", "-i", folder / "in", "-o", folder / "out") == 0
    assert (folder / "out").read_bytes().count(b"\n") == LINES
