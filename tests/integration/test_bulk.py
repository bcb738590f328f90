"""20,000 lines: in shards whose processes are killed, on Beam with bundles that fail; a single run is the reference."""

import gzip
import json
import logging
import os
import re
import signal
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest

from seq2seq.bulk.job import Job
from seq2seq.errors import BulkError
from seq2seq.inference.translator import Translator
from tests.command import run
from tests.toy import pairs, save_random_model, toy_tokenizer

LINES = 20_000
BUNDLES, CHUNK = 10, 200


def run_and_exit(*arguments):
    sys.exit(run(*arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, `in` with its translation `out`, by a single run."""
    folder = tmp_path_factory.mktemp("bulk")
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 1, "max_length": 12})
    lines = [f"{number} {source}" for number, (source, _) in enumerate(pairs(LINES, 4), start=1)]
    lines[6] = lines[LINES - 3] = ""
    (folder / "in").write_text("\n".join(lines), encoding="utf-8")
    assert run("translate", folder / "model", "-i", folder / "in", "-o", folder / "out") == 0
    assert (folder / "out").read_bytes().count(b"\n") == LINES
    return folder


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "model")


# --- shards


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
    flags = ("-i", source, *arguments, "--long-lines", "cut", "--max-source-tokens", 60, "--max-length", 4)
    assert run("translate", folder / "model", "-o", tmp_path / "single", *flags) == 0
    warnings = capfd.readouterr().err.splitlines()
    assert [re.match(rf"warning: {source}:(\d+): ", warning)[1] for warning in warnings] == ["4201", "4301"]
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "2/2") == 0
    said = ["shard 2/2: lines 2,001 to 4,500: 2,500 translated now, 0 before", "1 of 2 shards are complete"]
    assert capfd.readouterr().err.splitlines() == [*warnings, *said]
    assert not (tmp_path / "out").exists()
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "1/2") == 0
    said = ["shard 1/2: lines 1 to 2,000: 2,000 translated now, 0 before", f"{tmp_path / 'out'}: joined"]
    assert capfd.readouterr().err.splitlines() == said
    assert (tmp_path / "out").read_bytes() == (tmp_path / "single").read_bytes()
    assert run("translate", folder / "model", "-o", tmp_path / "out", *flags, "--shard", "1/2") == 0
    assert "shard 1/2: lines 1 to 2,000: nothing was left to do" in capfd.readouterr().err


def test_processes_killed_at_random_lose_nothing(folder, tmp_path):
    """SIGKILL at random moments of two shards that run at once, then the same commands again."""
    random = Random(3)
    processes = get_context("forkserver")  # importing TensorFlow once is enough
    processes.set_forkserver_preload(["seq2seq.bulk.shards"])
    command = ("translate", folder / "model", "-i", folder / "in", "-o", tmp_path / "out", "--shard")
    manifests = {shard: tmp_path / f"out.part-0000{shard[0]}-of-00002.json" for shard in ("1/2", "2/2")}

    def start():
        running = {shard: processes.Process(target=run_and_exit, args=(*command, shard)) for shard in manifests}
        for process in running.values():
            process.start()
        return running

    def done(shard):
        return json.loads(manifests[shard].read_text())["done_lines"] if manifests[shard].exists() else 0

    found = []
    for patience in (1.0, 1.0, 0.99):  # the last time perhaps before there is anything new
        before = {shard: done(shard) for shard in manifests}
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
        (("--shard", "1/2", "-o", "out"), 1, "--shard 1/2 reads a file and writes one: give --input"),
        (("--shard", "1/2", "-i", "in"), 1, "--shard 1/2 reads a file and writes one: give --output"),
        (("--engine", "beam", "-i", "in"), 1, "--engine beam reads a file and writes one: give --output"),
        (("--shard", "1/2", "--engine", "beam", "-i", "in", "-o", "out"), 1, "--shard 1/2 and --engine beam: "),
        (("--shard", "1/2", "-i", "none", "-o", "out"), 1, "none: expected a file, which is read more than once"),
        (("--shard", "1/2", "-i", "in", "-o", "in"), 1, "in: is the input too"),
        (("-i", "in", "-o", "out", "stray"), 2, "'stray' behind MODEL, which is for --engine beam"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("in").write_text("a\n")
    assert run("translate", "no-model", *arguments) == code
    assert message in re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- Beam


@pytest.fixture
def beam(monkeypatch):
    """The module, with Beam's local runner making a bundle of every 10 chunks."""
    pytest.importorskip("apache_beam")
    from apache_beam.runners.direct import transform_evaluator

    from seq2seq.bulk import beam

    grouping = transform_evaluator._GroupByKeyOnlyEvaluator
    monkeypatch.setattr(grouping, "MAX_ELEMENT_PER_BUNDLE", LINES // CHUNK // BUNDLES)
    return beam


class Failures:
    """Raises as often as it is told in each chunk, before its translation, after it, and after its file is written."""

    def __init__(self, monkeypatch, beam, times):
        self.left, self.raised, self.translated, self.written = Counter(times), Counter(), Counter(), Counter()
        translate, write = beam.TranslateChunk.translate, beam.write_chunk

        def failing_translate(worker, first, lines):
            self.may_fail("before", first)
            answers = translate(worker, first, lines)
            self.translated[first // CHUNK] += 1
            self.may_fail("after", first)
            return answers

        def failing_write(path, first, answers):
            write(path, first, answers)
            self.written[first // CHUNK] += 1
            self.may_fail("written", first)

        monkeypatch.setattr(beam.TranslateChunk, "translate", failing_translate)
        monkeypatch.setattr(beam, "write_chunk", failing_write)

    def may_fail(self, when, first):
        if self.left[when, first // CHUNK]:
            self.left[when, first // CHUNK] -= 1
            self.raised[when] += 1
            raise RuntimeError(f"injected {when} the translation of {first}")


def job_of(folder, translator, tmp_path, output_format="text"):
    return Job(folder / "model", folder / "in", tmp_path / "out", translator.options, output_format)


def test_failed_bundles_are_retried_without_loss_or_duplicates(folder, translator, tmp_path, beam, monkeypatch, caplog):
    # At most 3 in the ten chunks of a bundle: the runner tries it 4 times.
    times = {("before", 3): 2, ("after", 7): 1, ("after", 10): 3, ("written", 25): 1, ("written", 29): 1}
    times |= {("before", 30): 1, ("after", 31): 1, ("written", 32): 1, ("before", 99): 1, ("after", 99): 1}
    failures = Failures(monkeypatch, beam, times)
    with caplog.at_level(logging.CRITICAL):
        assert beam.translate_on_beam(job_of(folder, translator, tmp_path), chunk=CHUNK) == LINES
    assert (tmp_path / "out").read_bytes() == (folder / "out").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert failures.raised == Counter(before=4, after=6, written=3), "all that was injected"
    assert failures.translated == Counter(range(LINES // CHUNK)) + Counter({7: 1, 10: 3, 31: 1, 99: 1})
    assert set(failures.written.values()) == {1}, "what is written is not translated again"


def test_bundles_that_run_twice_answer_once(folder, translator, tmp_path, beam, monkeypatch):
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    times = Counter()
    process = beam.TranslateChunk.process

    def counted(worker, chunk):
        times[chunk[0] // CHUNK] += 1
        return process(worker, chunk)

    monkeypatch.setattr(beam.TranslateChunk, "process", counted)
    monkeypatch.setattr(Path, "exists", lambda path: path.suffix != ".jsonl" and os.path.exists(path))  # noqa: PTH110
    job = job_of(folder, translator, tmp_path, "tsv")
    assert beam.translate_on_beam(job, runner=FnApiRunner(bundle_repeat=1), chunk=CHUNK) == LINES
    assert set(times.values()) == {2}
    rows = [row.split("\t") for row in (tmp_path / "out").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(number) for number, _, _ in rows] == list(range(1, LINES + 1))
    texts = (folder / "out").read_bytes().decode().replace("\t", " ").replace("\r", " ").split("\n")[:-1]
    assert [text for _, _, text in rows] == texts


def test_when_beam_gives_up_the_next_call_goes_on(folder, translator, tmp_path, beam, monkeypatch, caplog):
    failures = Failures(monkeypatch, beam, {("after", 55): 4})
    job = job_of(folder, translator, tmp_path)
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(BulkError, match=r"gave up: RuntimeError: injected after .* 11001 "),
    ):
        beam.translate_on_beam(job, chunk=CHUNK)
    assert not job.target.exists()
    done = {int(path.stem) // CHUNK for path in (tmp_path / "out.beam").glob("*.jsonl")}
    assert 0 < len(done) < LINES // CHUNK
    with pytest.raises(BulkError, match=r"job\.json: tells of another job: chunk is 200 there and 100 now"):
        beam.translate_on_beam(job, chunk=100)
    failures.translated.clear()
    beam.translate_on_beam(job, chunk=CHUNK)
    assert set(failures.translated) == set(range(LINES // CHUNK)) - done
    assert job.target.read_bytes() == (folder / "out").read_bytes()


def test_the_command_takes_beams_options(folder, tmp_path, beam, capfd):
    command = ("translate", folder / "model", "-i", folder / "in", "-o", tmp_path / "out", "--engine", "beam")
    assert run(*command, "--", "--runner", "NoSuchRunner") == 1
    assert "Beam gave up: ValueError: Unexpected pipeline runner: NoSuchRunner" in capfd.readouterr().err
    assert run(*command, "--", "--runner", "FnApiRunner") == 0
    assert f"{tmp_path / 'out'}: 20,000 lines" in capfd.readouterr().err
    assert (tmp_path / "out").read_bytes() == (folder / "out").read_bytes()


def test_without_beam_the_extra_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "seq2seq.bulk.beam", raising=False)
    command = ("translate", folder / "model", "-i", folder / "in", "-o", tmp_path / "out", "--engine", "beam")
    assert run(*command) == 1
    assert "Apache Beam is not installed: pip install 'seq2seq[beam]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ({1: [1, 2], 4: [4]}, r"found no answer to line 3\. Run"),
        ({2: [2]}, r"found no answer to lines 1, 3 to 4\. Run"),
        ({}, r"found no answer to lines 1 to 4\. Run"),
        ({1: [1, 2, 3], 3: [3, 4]}, r"found a second answer or no line for line 3\. Delete it, and run"),
        ({1: [1, 2, 2, 3, 4]}, "a second answer or no line for line 2"),
        ({1: [1, 2, 3, 4, 5]}, "a second answer or no line for line 5"),
        ({1: [1, 2], 2: [2, 4]}, "no answer to line 3 and a second answer or no line for line 2"),
    ],
)
def test_lines_that_are_missing_or_there_twice_are_named(tmp_path, beam, chunks, message):
    for first, numbers in chunks.items():
        rows = "".join(json.dumps([number, "text"]) + "\n" for number in numbers)
        (tmp_path / f"{first:012d}.jsonl").write_text(rows)
    with (tmp_path / "out").open("wb") as target, pytest.raises(BulkError, match=message):
        beam.put_in_order(tmp_path, target, 4)
