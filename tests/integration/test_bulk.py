"""12,000 lines in shards whose processes are killed; a single run is the reference."""

import gzip
import re
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest

from seq2seq.inference.translator import CHUNK_SENTENCES
from tests.bulk import LINES, write_single_run
from tests.command import run

pytestmark = pytest.mark.usefixtures("shared_searches")


def run_and_exit(*arguments):
    sys.exit(run(*arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bulk")
    write_single_run(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "packed"),
    [(("--format", "text"), False), (("--beam-size", 2, "--n-best", 2), True), (("--format", "jsonl"), False)],
)
def test_shards_are_a_single_run_byte_for_byte(folder, tmp_path, capfd, arguments, packed):
    lines = (folder / "in").read_bytes().split(b"\n")[:4_500]
    lines[1] = b"two\x0cin\xe2\x80\xa8one\r"
    lines[4_200] = b"not \xff UTF-8"
    lines[4_300] = b" and ".join([b"the dog"] * 40)
    content = b"\n".join(lines)
    source = tmp_path / ("in.gz" if packed else "in")
    source.write_bytes(gzip.compress(content) if packed else content)
    flags = ("-i", source, *arguments, "--long-lines", "truncate", "--max-source-tokens", 60, "--max-length", 4)
    assert run("translate", folder / "model", "-o", tmp_path / "single", *flags) == 0
    *warnings, summary = capfd.readouterr().err.splitlines()
    assert re.match(r"[\d,]+ sentences, 1 blank line in ", summary)
    assert [re.match(rf"warning: {source}:(\d+): ", warning)[1] for warning in warnings] == ["4201", "4301"]
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "2/2") == 0
    said = ["shard 2/2: lines 2,001 to 4,500: 2,500 translated now, 0 before", "complete: 1 of 2 shards"]
    assert capfd.readouterr().err.splitlines() == [*warnings, *said]
    assert not (tmp_path / "out").exists()
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "1/2") == 0
    said = ["shard 1/2: lines 1 to 2,000: 2,000 translated now, 0 before", f"{tmp_path / 'out'}: merged"]
    assert capfd.readouterr().err.splitlines() == said
    assert (tmp_path / "out").read_bytes() == (tmp_path / "single").read_bytes()
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "1/2") == 0
    assert "shard 1/2: lines 1 to 2,000: already translated" in capfd.readouterr().err


def test_processes_killed_at_random_lose_nothing(folder, tmp_path):
    """SIGKILL at random moments of two shards that run at once, then the same commands again."""
    random = Random(3)
    processes = get_context("forkserver")  # importing TensorFlow once is enough
    processes.set_forkserver_preload(["seq2seq.bulk.shards"])
    command = ("translate", folder / "model", "-i", folder / "in", "-o", tmp_path / "out", "--shard")
    shards = {"1/2": range(1, LINES // 2, CHUNK_SENTENCES), "2/2": range(LINES // 2 + 1, LINES, CHUNK_SENTENCES)}

    def start():
        running = {shard: processes.Process(target=run_and_exit, args=(*command, shard)) for shard in shards}
        for process in running.values():
            process.start()
        return running

    def done(shard):
        return CHUNK_SENTENCES * sum((tmp_path / "out.chunks" / f"{first:012d}").exists() for first in shards[shard])

    found = []
    for patience in (1.0, 1.0, 0.99):  # the last time perhaps before there is anything new
        before = {shard: done(shard) for shard in shards}
        for shard, process in start().items():
            while process.is_alive() and done(shard) == before[shard] and random.random() < patience:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            process.join()
            found.append((shard, process.exitcode, done(shard)))
    killed = [lines for _, code, lines in found if code == -signal.SIGKILL]
    assert len(killed) >= 2, found
    assert any(0 < lines < LINES // 2 for lines in killed), found
    for process in start().values():
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "out").read_bytes() == (folder / "out").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.manifest.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--shard", "3/2", "-i", "in", "-o", "out"), 1, "--shard 3/2: expected I/N"),
        (("--shard", "1/2", "-o", "out"), 1, "--shard 1/2 needs an input file and an output file: --input is missing"),
        (("--shard", "1/2", "-i", "in"), 1, "--shard 1/2 needs an input file and an output file: --output is missing"),
        (
            ("--engine", "apache-beam", "-i", "in"),
            1,
            "--engine apache-beam needs an input file and an output file: --output is missing",
        ),
        (
            ("--shard", "1/2", "--engine", "apache-beam", "-i", "in", "-o", "out"),
            1,
            "--shard 1/2 and --engine apache-beam: ",
        ),
        (("--shard", "1/2", "-i", "none", "-o", "out"), 1, "none: no such file in "),
        (("--shard", "1/2", "-i", "-", "-o", "out"), 1, "stdin: expected a file, found a pipe or device"),
        (("--shard", "1/2", "-i", "in", "-o", "-"), 1, "stdout: expected a file, since the output is written in parts"),
        (("--shard", "1/2", "-i", "in", "-o", "in"), 1, "in: is also the input"),
        (("-o", "out", "in"), 1, "in: is a file, but arguments are taken as text. To read its lines: -i in."),
        (("-i", "in", "-o", "out", "a dog"), 1, "found text, 'a dog', and --input in: give one of them."),
        (
            ("--shard", "1/2", "-o", "out", "a dog"),
            1,
            "--shard 1/2 needs an input file and an output file: --input is missing",
        ),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("in").write_text("a\n")
    assert run("translate", "no-model", *arguments) == code
    assert message in re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
