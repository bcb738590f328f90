"""12,000 lines on Apache Beam with bundles that fail or run twice; a single run is the reference."""

import logging
import os
from collections import Counter
from pathlib import Path

import pytest

from seq2seq.bulk import chunks
from seq2seq.bulk.apache_beam import TranslateChunk, translate_on_apache_beam
from seq2seq.bulk.chunks import Chunks, Job
from seq2seq.errors import BulkError
from seq2seq.inference.translator import Translator
from tests.bulk import LINES, write_single_run
from tests.command import run

pytestmark = pytest.mark.apache_beam
BUNDLES, CHUNK = 10, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apache_beam")
    write_single_run(folder)
    return folder


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "model")


@pytest.fixture
def small_bundles(monkeypatch):
    """Apache Beam's local runner makes a bundle of every 10 chunks."""
    from apache_beam.runners.direct import transform_evaluator

    grouping = transform_evaluator._GroupByKeyOnlyEvaluator
    monkeypatch.setattr(grouping, "MAX_ELEMENT_PER_BUNDLE", LINES // CHUNK // BUNDLES)


class Failures:
    """Raises as often as it is told in each chunk, before its translation, after it, and after its file is written."""

    def __init__(self, monkeypatch, times):
        self.left, self.raised, self.translated, self.written = Counter(times), Counter(), Counter(), Counter()
        answers, answer = chunks.translate_to_rows, Chunks.translate_chunk

        def failing_answers(translator, lines, *given, first, **more):
            self.may_fail("before", first)
            rows = list(answers(translator, lines, *given, first=first, **more))
            self.translated[first // CHUNK] += 1
            self.may_fail("after", first)
            return rows

        def failing_answer(these, translator, first, *given):
            already = these._path(first).exists()
            answer(these, translator, first, *given)
            self.written[first // CHUNK] += not already
            self.may_fail("written", first)

        monkeypatch.setattr(chunks, "translate_to_rows", failing_answers)
        monkeypatch.setattr(Chunks, "translate_chunk", failing_answer)

    def may_fail(self, when, first):
        if self.left[when, first // CHUNK]:
            self.left[when, first // CHUNK] -= 1
            self.raised[when] += 1
            raise RuntimeError(f"injected {when} the translation of {first}")


def job_of(folder, translator, tmp_path, output_format="text"):
    return Job((folder / "model",), folder / "in", tmp_path / "out", translator.options, output_format)


@pytest.mark.usefixtures("small_bundles")
def test_failed_bundles_are_retried_without_loss_or_duplicates(folder, translator, tmp_path, monkeypatch, caplog):
    # At most 3 in the ten chunks of a bundle: the runner tries it 4 times.
    times = {("before", 3): 2, ("after", 7): 1, ("after", 10): 3, ("written", 25): 1, ("written", 29): 1}
    times |= {("before", 30): 1, ("after", 31): 1, ("written", 32): 1, ("before", 99): 1, ("after", 99): 1}
    failures = Failures(monkeypatch, times)
    with caplog.at_level(logging.CRITICAL):
        assert translate_on_apache_beam(job_of(folder, translator, tmp_path), chunk=CHUNK) == LINES
    assert (tmp_path / "out").read_bytes() == (folder / "out").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert failures.raised == Counter(before=4, after=6, written=3), "all that was injected"
    assert failures.translated == Counter(range(LINES // CHUNK)) + Counter({7: 1, 10: 3, 31: 1, 99: 1})
    assert set(failures.written.values()) == {1}, "what is written is not translated again"


def test_bundles_that_run_twice_answer_once(folder, translator, tmp_path, monkeypatch):
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    times = Counter()
    process = TranslateChunk.__call__

    def counted(worker, chunk):
        times[chunk[0] // CHUNK] += 1
        return process(worker, chunk)

    monkeypatch.setattr(TranslateChunk, "__call__", counted)
    monkeypatch.setattr(Path, "exists", lambda path: not path.name.isdecimal() and os.path.exists(path))  # noqa: PTH110
    job = job_of(folder, translator, tmp_path, "tsv")
    assert translate_on_apache_beam(job, runner=FnApiRunner(bundle_repeat=1), chunk=CHUNK) == LINES
    assert set(times.values()) == {2}
    rows = [row.split("\t") for row in (tmp_path / "out").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(number) for number, _, _ in rows] == list(range(1, LINES + 1))
    texts = (folder / "out").read_bytes().decode().replace("\t", " ").replace("\r", " ").split("\n")[:-1]
    assert [text for _, _, text in rows] == texts


@pytest.mark.usefixtures("small_bundles")
def test_when_apache_beam_gives_up_the_next_call_continues(folder, translator, tmp_path, monkeypatch, caplog):
    failures = Failures(monkeypatch, {("after", 55): 4})
    job = job_of(folder, translator, tmp_path)
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(BulkError, match=r"failed: RuntimeError: injected after .* 11001 "),
    ):
        translate_on_apache_beam(job, chunk=CHUNK)
    assert not job.output.exists()
    done = {int(path.name) // CHUNK for path in (tmp_path / "out.chunks").glob("0*")}
    assert 0 < len(done) < LINES // CHUNK
    with pytest.raises(BulkError, match=r"out.manifest.json: belongs to another job: chunk was 200 and is now 100"):
        translate_on_apache_beam(job, chunk=100)
    failures.translated.clear()
    translate_on_apache_beam(job, chunk=CHUNK)
    assert set(failures.translated) == set(range(LINES // CHUNK)) - done
    assert job.output.read_bytes() == (folder / "out").read_bytes()


def test_the_command_takes_pipeline_options(folder, tmp_path, capfd):
    command = ("translate", folder / "model", "-i", folder / "in", "-o", tmp_path / "out", "--engine", "apache-beam")
    assert run(*command, "--", "--runner", "NoSuchRunner") == 1
    assert "Apache Beam failed: ValueError: Unexpected pipeline runner: NoSuchRunner" in capfd.readouterr().err
    assert run(*command, "--", "--runner", "FnApiRunner") == 0
    assert f"{tmp_path / 'out'}: 12,000 lines" in capfd.readouterr().err
    assert (tmp_path / "out").read_bytes() == (folder / "out").read_bytes()


def test_workers_load_the_jobs_precision(folder, translator, tmp_path, monkeypatch):
    source = tmp_path / "in"
    source.write_bytes(b"\n".join((folder / "in").read_bytes().split(b"\n")[:3]))
    loaded, load = [], Translator.load
    monkeypatch.setattr(Translator, "load", lambda *given, **others: loaded.append(given[1:]) or load(*given, **others))
    job = Job((folder / "model",), source, tmp_path / "out", translator.options, "text", "mixed_bfloat16")
    assert job.identity()["precision"] == "mixed_bfloat16"
    assert translate_on_apache_beam(job) == 3
    assert loaded == [("mixed_bfloat16",)], "once per process"
