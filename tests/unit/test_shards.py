"""Shards of a file: who has which line, killed at every step, refused when something differs."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from seq2seq.bulk import chunks, shards
from seq2seq.bulk.chunks import Job
from seq2seq.bulk.shard import Shard
from seq2seq.bulk.shards import translate_shard
from seq2seq.config import SearchOptions
from seq2seq.corpora.lines import count_lines, read_lines
from seq2seq.errors import BulkError, CorpusError
from seq2seq.inference.output import count_translated
from seq2seq.inference.results import Hypothesis, Translation
from tests.toy import save_random_model, save_trained, toy_tokenizer

LINES = ["one", "", "three\u2028", "four", "five", "", "seven", "eight ☃", "nine", "ten", "eleven"]
CHUNK = 2


class Shouting:
    """A translator in capitals; `asked` holds the lines that it was given."""

    def __init__(self, precision="float32"):
        self.model = SimpleNamespace(uses_attention=False, precision=precision)
        self.asked = []

    def translate(self, lines, options, *, attention, on_progress):
        self.asked += lines
        shouted = (Hypothesis(line.upper(), 0.0, [], np.zeros(0), np.zeros((0, 0))) for line in lines)
        return [Translation([], [hypothesis] * options.n_best) for hypothesis in shouted]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "model"
    save_random_model(folder, toy_tokenizer())
    return folder


@pytest.fixture
def job(model, tmp_path):
    (tmp_path / "in").write_text("\n".join(LINES), encoding="utf-8", newline="\n")  # the last line has no end
    return Job((model,), tmp_path / "in", tmp_path / "out", SearchOptions(), "text")


def go(job, number, count, translator=None, chunk=CHUNK):
    translator = translator or Shouting(job.precision)
    return translate_shard(translator, job, Shard(number, count), on_warning=pytest.fail, chunk=chunk)


def names(job):
    return sorted(path.name for path in job.output.parent.iterdir())


def expected(lines=LINES):
    return "".join(f"{line.upper()}\n" for line in lines).encode()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "1", "1/2/3", "-1/2", "1/100000", "a/b", "1 /2", "", "٣/٤"])
def test_a_shard_that_is_none_is_an_error_that_names_it(text):
    with pytest.raises(BulkError, match=rf"^--shard {re.escape(text)}: expected I/N"):
        Shard.parse(text)


@pytest.mark.parametrize("chunk", [1, 3, 2000])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_every_line_is_in_one_shard_and_no_chunk_is_divided(count, chunk):
    for total in (0, 1, 2, 3, 19, 2000, 2001, 20_000):
        found = [Shard(number, count).lines(total, chunk) for number in range(1, count + 1)]
        assert [line for lines in found for line in lines] == list(range(1, total + 1))
        chunks = [-(-len(lines) // chunk) for lines in found]
        assert max(chunks) - min(chunks) <= 1, "as even as chunks allow"
        assert all((lines.start - 1) % chunk == 0 for lines in found if lines)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"a", b"a\n", b"a\nb", b"a\r\nb\r\n", b"a\rb\n\n", b"\xef\xbb\xbf", "a\u2028b\x0cc\x85\n".encode()],
)
def test_lines_are_counted_as_they_are_read(tmp_path, content):
    for name, data in (("plain", content), ("packed.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(data)
        assert count_lines(tmp_path / name) == len(list(read_lines(tmp_path / name)))


def test_damage_is_found_while_counting(tmp_path):
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"a\n" * 1000)[:-9])
    with pytest.raises(CorpusError, match=r"in\.gz: cannot be read"):
        count_lines(tmp_path / "in.gz")


def test_rows_of_a_line_are_counted_once():
    assert count_translated([b"a\n", b"a\n"], "text") == 2
    assert count_translated([b"{}\n"] * 3, "jsonl") == 3
    assert count_translated([b"1\t0\ta\n", b"1\t0\tb\n", b"2\t0\ta\n", b"11\t0\ta\n"], "tsv") == 3
    assert count_translated([], "tsv") == 0
    assert count_translated([b"1\t0\ta\n", b"2\t0\tb\n", b"2\t0\ta"], "tsv") == 1, "the last row is not whole"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_last_shard_joins_and_a_record_stays(job, order):
    reports = [go(job, number, 3) for number in order]
    assert [(report.complete_shards, report.joined) for report in reports] == [(1, False), (2, False), (3, True)]
    assert job.output.read_bytes() == expected()
    assert names(job) == ["in", "out", "out.manifest.json"]


def test_more_shards_than_chunks_leave_some_empty(job):
    reports = [go(job, number, 9) for number in range(9, 0, -1)]
    assert sum(not report.lines for report in reports) == 3
    assert job.output.read_bytes() == expected()


def test_an_empty_file_is_joined_by_the_first_shard(job):
    job.source.write_bytes(b"")
    assert go(job, 1, 2).joined
    assert job.output.read_bytes() == b""
    assert go(job, 2, 2).joined
    assert names(job) == ["in", "out", "out.manifest.json"]


def test_several_rows_a_line_are_joined(job):
    job = replace(job, output_format="tsv", options=SearchOptions(n_best=3))
    go(job, 1, 2), go(job, 2, 2)
    rows = [row.split("\t") for row in job.output.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(number) for number, _, _ in rows] == [n for n in range(1, len(LINES) + 1) for _ in range(3)]


def test_what_is_done_is_not_done_again(job):
    first, again = Shouting(), Shouting()
    go(job, 1, 2, first)
    assert first.asked
    report = go(job, 1, 2, again)
    assert again.asked == []
    assert report.resumed_lines == len(report.lines)
    go(job, 2, 2)
    last = Shouting()
    report = go(job, 2, 2, last)
    assert last.asked == []
    assert report.joined
    assert report.resumed_lines == len(report.lines)
    assert names(job) == ["in", "out", "out.manifest.json"]


class Killed(BaseException):
    """No handler of errors may see it."""


def kill_at(monkeypatch, step):
    """End the process, so to speak, just before the step that many of all that change files; returns the steps done."""
    steps = []

    def dying(original, what):
        def call(path, *arguments, **keywords):
            name = getattr(path, "name", "")
            if not name.endswith(".pid"):
                if len(steps) == step:
                    monkeypatch.undo()
                    raise Killed
                steps.append(f"{what} {name}")
            return original(path, *arguments, **keywords)

        return call

    for what in ("replace", "unlink", "mkdir", "write_text"):
        monkeypatch.setattr(Path, what, dying(getattr(Path, what), what))
    monkeypatch.setattr(chunks, "rmtree", dying(chunks.rmtree, "rmtree"))
    monkeypatch.setattr(chunks, "os", SimpleNamespace(fsync=dying(chunks.os.fsync, "fsync")))
    return steps


def test_killed_at_every_step_it_goes_on_and_nothing_is_lost_or_there_twice(job, monkeypatch):
    go(job, 1, 2)
    begun = job.output.parent.with_name("begun")
    shutil.copytree(job.output.parent, begun)
    for step in range(200):
        shutil.rmtree(job.output.parent)
        shutil.copytree(begun, job.output.parent)
        steps = kill_at(monkeypatch, step)
        try:
            go(job, 2, 2)
            break
        except Killed:
            assert len(steps) == step
        finally:
            monkeypatch.undo()
        if job.output.exists():
            assert job.output.read_bytes() == expected(), "never half"
        assert go(job, 2, 2).joined
        assert job.output.read_bytes() == expected()
        assert names(job) == ["in", "out", "out.manifest.json"]
    assert len([step for step in steps if step.startswith("fsync")]) == 3, "a shard of 3 chunks"
    assert len(steps) > 15
    shutil.rmtree(begun)


def test_a_chunk_is_on_disk_before_it_has_its_name(job, monkeypatch):
    seen, folder = [], job.output.with_name("out.chunks")

    def fsync(handle):
        seen.append((os.fstat(handle).st_size, sum(path.name.isdecimal() for path in folder.iterdir())))

    monkeypatch.setattr(chunks, "os", SimpleNamespace(fsync=fsync))
    go(job, 1, 2)
    assert seen == [(len(expected(LINES[place : place + 2])), place // 2) for place in (0, 2, 4)]
    assert sorted(path.name for path in folder.iterdir()) == [f"{first:012d}" for first in (1, 3, 5)]


def test_a_chunk_that_is_not_whole_is_translated_again(job):
    class Dying(Shouting):
        def translate(self, lines, *rest, **more):
            answers = super().translate(lines, *rest, **more)
            if "nine" in lines:
                raise Killed
            return answers

    with pytest.raises(Killed):
        go(job, 1, 1, Dying())
    answer = job.output.with_name("out.chunks") / "000000000009.0123"
    answer.write_bytes("half a line of many ☃".encode()[:-1])
    translator = Shouting()
    assert go(job, 1, 1, translator).resumed_lines == 8
    assert translator.asked == LINES[8:]
    assert job.output.read_bytes() == expected()


def test_an_answer_that_was_deleted_is_made_again(job):
    go(job, 1, 2)
    (job.output.with_name("out.chunks") / "000000000003").unlink()
    translator = Shouting()
    assert go(job, 1, 2, translator).resumed_lines == 4
    assert translator.asked == LINES[2:4]
    assert go(job, 2, 2).joined
    assert job.output.read_bytes() == expected()


def change(job, **options):
    return replace(job, options=job.options.model_copy(update=options))


@pytest.mark.parametrize(
    ("changed", "count", "message"),
    [
        (lambda job: change(job, beam_size=7), 2, "options.beam_size was 5 and is now 7"),
        (lambda job: replace(job, output_format="jsonl"), 2, "format was text and is now jsonl"),
        (lambda job: replace(job, precision="mixed_float16"), 2, "precision was float32 and is now mixed_float16"),
        (lambda job: job, 3, "shards was 2 and is now 3"),
        (
            lambda job: job.source.write_text("a\n" * 11) and job,
            2,
            r"input.sha256 was [0-9a-f]{8} and is now [0-9a-f]{8}",
        ),
        (lambda job: job.source.write_text("a\n" * 12) and job, 2, "input.lines was 11 and is now 12"),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_another_job_is_refused_with_what_differs(job, changed, count, message, joined):
    go(job, 1, 2)
    if joined:
        go(job, 2, 2)
    before = {path: path.read_bytes() for path in job.output.parent.rglob("*") if path.is_file() and path != job.source}
    before = {path: content for path, content in before.items() if path.suffix != ".lock"}
    for number in (1, 2):
        with pytest.raises(BulkError, match=rf"json: belongs to another job: .*{message}.*(Give another --output)"):
            go(changed(job), number, count)
    assert before
    assert all(path.read_bytes() == content for path, content in before.items())


def test_machines_that_translate_more_at_once_join_the_same_job(job):
    for number, tokens in ((1, None), (2, 40), (3, 128_000)):
        go(change(job, batch_tokens=tokens), number, 3)
    assert job.output.read_bytes() == expected()


def test_a_translator_of_another_precision_than_the_jobs_is_refused(job):
    with pytest.raises(BulkError, match="the precision of the job is float32, but that of the translator is tf32"):
        go(job, 1, 2, Shouting("tf32"))
    assert names(job) == ["in"]


def test_answers_of_two_jobs_are_not_joined(job):
    record = job.output.with_name("out.manifest.json")

    class Meanwhile(Shouting):
        def translate(self, *arguments, **more):
            record.write_text(record.read_text().replace('"beam_size": 5', '"beam_size": 7'))
            return super().translate(*arguments, **more)

    with pytest.raises(BulkError, match=r"out\.manifest\.json: belongs to another job: options.beam_size was 7"):
        go(job, 1, 1, Meanwhile())
    assert not job.output.exists()


def test_another_model_is_refused(job, tmp_path):
    shutil.copytree(job.models[0], tmp_path / "other")
    job = replace(job, models=(tmp_path / "other",))
    go(job, 1, 2)
    model = save_random_model(tmp_path / "new", toy_tokenizer())
    model.output_bias.assign_add(np.ones(model.output_bias.shape))
    save_trained(tmp_path / "other", model, {})
    with pytest.raises(BulkError, match=r"model\.model\.safetensors was [0-9a-f]{8} and is now [0-9a-f]{8}"):
        go(job, 2, 2)


def test_a_shortlist_belongs_to_the_model_where_it_is_asked_for(job, tmp_path):
    shutil.copytree(job.models[0], tmp_path / "other")
    (tmp_path / "other" / "shortlist.safetensors").write_bytes(b"first")
    job = replace(job, models=(tmp_path / "other",))
    assert "shortlist.safetensors" not in job.identity()["model"]
    job = change(job, shortlist=20)
    go(job, 1, 2)
    (tmp_path / "other" / "shortlist.safetensors").write_bytes(b"second")
    with pytest.raises(BulkError, match=r"model\.shortlist\.safetensors was"):
        go(job, 2, 2)


def test_damage_is_refused_with_a_remedy(job):
    go(job, 1, 2)
    folder = job.output.with_name("out.chunks")
    answer, record = folder / "000000000003", job.output.with_name("out.manifest.json")
    whole, about = answer.read_bytes(), record.read_text()

    def refused(number, message):
        with pytest.raises(BulkError, match=message):
            go(job, number, 2)
        assert not job.output.exists()

    for damaged in (about[:-9], "[]", '"a"', "\xff"):
        record.write_text(damaged, encoding="latin-1")
        refused(1, r"out\.manifest\.json: damaged: .*delete out\.manifest\.json to start over")
    record.write_text(about)
    for damaged in (whole[:-1], whole.replace(b"\n", b" ", 1)):
        answer.write_bytes(damaged)
        refused(2, r"000000000003: found translations of 1 line, expected 2, of lines 3 to 4\. Delete the file")
    answer.write_bytes(whole + b"MORE\n")
    refused(2, r"000000000003: found translations of 3 lines, expected 2, of lines 3 to 4\. Delete the file")
    answer.unlink()
    assert go(job, 1, 2).joined
    assert job.output.read_bytes() == expected()


def test_what_is_missing_at_the_join_is_named(job):
    at_join = chunks.Chunks(job, job.identity(), CHUNK)
    assert not at_join.resume()
    at_join.translate_chunk(Shouting(), 1, LINES[:2], pytest.fail)
    with pytest.raises(BulkError, match=r"000000000003: found translations of 0 lines, expected 2, of lines 3 to 4"):
        at_join.join()
    assert not job.output.exists()


def test_an_output_that_changed_after_the_join_is_refused(job):
    go(job, 1, 1)
    size = job.output.stat().st_size
    assert json.loads(job.output.with_name("out.manifest.json").read_text())["bytes"] == size
    job.output.write_bytes(b"x")
    with pytest.raises(
        BulkError, match=rf"out: found a file of 1 byte, but {size} bytes are recorded in out.manifest.json"
    ):
        go(job, 1, 1)
    job.output.unlink()
    with pytest.raises(BulkError, match="out: found no such file"):
        go(job, 1, 1)
    job.output.with_name("out.manifest.json").unlink()
    assert go(job, 1, 1).joined


def test_an_input_that_gets_shorter_is_an_error(job, monkeypatch):
    missing = chunks.Chunks.missing_chunks
    monkeypatch.setattr(
        chunks.Chunks, "missing_chunks", lambda *given: job.source.write_text("one\ntwo\nthree\n") and missing(*given)
    )
    with pytest.raises(CorpusError, match="in: found 3 lines, but there were 11 at the start"):
        go(job, 1, 1)


def test_a_second_process_on_a_shard_is_refused_with_the_first_ones_id(job):
    lock = job.output.with_name("out.shard-00002-of-00002.lock")
    holder = "import sys; from pathlib import Path; from seq2seq.storage.locks import file_lock\n"
    holder += "with file_lock(Path(sys.argv[1]), RuntimeError): print('held', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", holder, lock], stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(
            BulkError, match=rf"00002-of-00002.lock: process {first.pid} on \S+ is translating shard 2/2\. Wait"
        ):
            go(job, 2, 2)
        assert not go(job, 1, 2).joined, "another shard is free"
        first.kill()
        first.wait()
    assert go(job, 2, 2).joined, "a killed process holds nothing"


def test_whoever_is_last_joins_when_all_end_at_once(job, monkeypatch):
    count = 6
    with monkeypatch.context() as patch:
        patch.setattr(shards, "join_shards", lambda *_: 0)
        for number in range(1, count + 1):
            go(job, number, count)
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda number: go(job, number, count), range(1, count + 1)))
    assert all(report.joined for report in found), "nobody takes a file that is being removed for another's lock"
    assert job.output.read_bytes() == expected()
    assert not [name for name in names(job) if "shard" in name and not name.endswith(".lock")]
