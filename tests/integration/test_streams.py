"""Commands in processes of their own: lines that arrive slowly, closed streams, readers that leave, encodings."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from seq2seq.data.tokenizer import Tokenizer
from tests.command import run
from tests.toy import toy_tokenizer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other consoles and signals")
COMMAND = [sys.executable, "-m", "seq2seq"]
HIDE_CURSOR = b"\x1b[?25l"
SECONDS = 600  # against hangs only


@pytest.fixture(scope="module")
def spm(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "joint.spm"
    toy_tokenizer().save(path)
    return path


def encoded(spm, text):
    """What `tokenizer encode` makes of a line."""
    tokenizer = Tokenizer.load(spm)
    return " ".join(tokenizer.pieces(tokenizer.encode(text)))


def environment(**changes):
    """Without what would flush for us or choose an encoding."""
    names = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "COLUMNS", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if name not in names} | changes


def shell(line, *arguments, **changes):
    """A shell runs a line, in which "$@" is the command."""
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def read_until(descriptor, wanted):
    """What arrives until something is in it."""
    seen, end = b"", time.monotonic() + SECONDS
    while wanted not in seen:
        ready, *_ = select.select([descriptor], [], [], max(end - time.monotonic(), 0))
        assert ready, f"no answer, only {seen!r}"
        part = os.read(descriptor, 4096)
        assert part, f"it ended after {seen!r}"
        seen += part
    return seen


@pytest.mark.parametrize("verb", ["encode", "decode"])
@pytest.mark.parametrize("kind", ["terminal", "pipe", "fifo"])
def test_each_line_is_answered_before_the_next(kind, verb, spm, tmp_path):
    pty = pytest.importorskip("pty")
    arguments = [*COMMAND, "tokenizer", verb, spm]
    if kind == "terminal":
        ours, theirs = pty.openpty()
        process = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
        os.close(theirs)
        into = out = ours
        assert HIDE_CURSOR not in read_until(out, b"to finish.")
    else:
        stdin = subprocess.PIPE
        if kind == "fifo":
            os.mkfifo(tmp_path / "fifo")
            arguments += ["-i", tmp_path / "fifo"]
            stdin = subprocess.DEVNULL
        process = subprocess.Popen(arguments, stdin=stdin, stdout=subprocess.PIPE, env=environment())
        out = process.stdout.fileno()
        into = process.stdin.fileno() if kind == "pipe" else os.open(tmp_path / "fifo", os.O_WRONLY)
    with process:
        for text in ("the dog", "the cat sees"):
            line, answer = (text, encoded(spm, text))[:: 1 if verb == "encode" else -1]
            os.write(into, f"{line}\n".encode())
            end = "\r\n" if kind == "terminal" else "\n"
            assert HIDE_CURSOR not in read_until(out, f"{answer}{end}".encode())
        if kind == "terminal":
            os.write(into, b"\x04")
        elif kind == "pipe":
            process.stdin.close()
        else:
            os.close(into)
        assert process.wait(SECONDS) == 0
    if kind == "terminal":
        os.close(ours)


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        ("<&-", 1, "error: stdin: cannot be read: it is closed. Use a file or a pipe.\n"),
        (">&-", 1, "error: stdout: cannot be written: it is closed. Use a file or a pipe.\n"),
        ("2>&-", 0, ""),
        ("<&- 2>&-", 1, ""),
        ("<&- >&- 2>&-", 1, ""),
        ("> /dev/full", 1, "error: stdout: cannot be written: No space left on device.\n"),
        ("2> /dev/full", 0, ""),
        ("--ids -i /dev/null/x 2> /dev/full", 1, ""),
    ],
)
def test_closed_and_full_streams(redirection, code, message, spm):
    ended, out, err = shell(f'echo the dog | ( "$@" {redirection} )', "tokenizer", "encode", spm)
    assert (ended, err) == (code, message)
    assert out.decode() == (f"{encoded(spm, 'the dog')}\n" if code == 0 else "")


def test_a_file_for_each_stream_needs_none_of_them(spm, tmp_path):
    (tmp_path / "text").write_text("the dog\n")
    files = ("-i", tmp_path / "text", "-o", tmp_path / "out")
    assert shell('"$@" <&- >&- 2>&-', "tokenizer", "encode", spm, *files)[0] == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == f"{encoded(spm, 'the dog')}\n"


@pytest.mark.parametrize("verb", [("train", "quickstart", "--dump-config"), ("data", "list", "--json"), ("--help",)])
def test_full_and_closed_results_are_errors(verb):
    code, _, err = shell('"$@" > /dev/full', *verb)
    assert (code, err) == (1, "error: stdout: cannot be written: No space left on device.\n")
    code, _, err = shell('"$@" >&-', *verb)
    shown = verb == ("--help",)
    expected = "" if shown else "error: stdout: cannot be written: it is closed. Use a file or a pipe.\n"
    assert (code, err) == (0 if shown else 1, expected)


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_leaves_is_no_error_to_speak_of(reader, spm, tmp_path):
    (tmp_path / "text").write_text("the dog sees the tree\n" * 100_000)
    encode = ("tokenizer", "encode", spm, "-i", tmp_path / "text")
    for output in ("", "-o -", "-o /dev/stdout"):
        _, out, err = shell(f'"$@" {output} | {reader}; echo "${{PIPESTATUS[0]}}" >&2', *encode)
        assert err == "1\n"
        assert out.count(b"\n") == (reader == "head -1")
    *_, err = shell(f'"$@" -o >({reader} > /dev/null); echo $? >&2', *encode)
    assert err == "1\n"


ENCODINGS = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "utf-16"},
    {"LC_ALL": "C"},
]


@pytest.mark.parametrize("changes", ENCODINGS, ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items()))
def test_no_encoding_ends_a_command(changes, spm, tmp_path):
    """What another program reads is UTF-8."""
    name = tmp_path / "данные ☃.tsv"
    dump = ("train", "quickstart", "--set", f"data.train={{tsv: '{name}'}}", "--dump-config")
    code, out, _ = shell('"$@"', *dump, **changes)
    assert code == 0
    assert yaml.safe_load(out.decode("utf-8"))["data"]["train"]["tsv"] == str(name)
    name.write_text("the ☃ dog\n", encoding="utf-8")
    code, out, _ = shell('"$@"', "tokenizer", "encode", spm, "-i", name, **changes)
    assert (code, out.decode("utf-8").replace("▁", "").startswith("the ")) == (0, True)
    for verb in (("--help",), ("translate", "-h"), ("data", "list")):
        assert shell('"$@"', *verb, **changes)[0] == 0
    code, _, err = shell('"$@"', "inspect", tmp_path / "мой", **changes)
    assert code == 1
    assert err.startswith("error: ")


def test_a_name_that_is_no_text_ends_no_command(tmp_path):
    code, _, err = shell(f'"$@" "{tmp_path}"/$\'\\xff.txt\'', "translate", "nowhere", "-i")
    assert (code, err) == (1, f"error: {tmp_path}/\\udcff.txt: no such file.\n")
    dump = ("train", "quickstart", "--dump-config", "--set")
    code, out, _ = shell('"$@" $\'data.train={tsv: "\\\\uDCFF.tsv"}\'', *dump)
    assert code == 0
    assert yaml.safe_load(out.decode("utf-8"))["data"]["train"]["tsv"] == "\udcff.tsv"


@pytest.mark.parametrize("changes", ENCODINGS[:3], ids=lambda changes: changes["PYTHONIOENCODING"])
def test_a_terminal_shows_what_it_can(changes, spm):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [*COMMAND, "tokenizer", "encode", spm]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=environment(**changes)
    ) as process:
        os.close(theirs)
        process.stdin.write(b"the dog\n")
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    seen = os.read(ours, 4096)
    os.close(ours)
    assert b"Traceback" not in seen
    assert changes["PYTHONIOENCODING"] == "utf-16" or b"\\u2581the" in seen


def test_ctrl_c_is_one_line_and_130(spm):
    pty = pytest.importorskip("pty")
    for wait in (False, True):
        ours, theirs = pty.openpty()
        command = [*COMMAND, "tokenizer", "encode", spm]
        process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with process:
            said = process.stderr.readline()
            assert said.startswith("Type a sentence")
            if wait:
                os.write(ours, b"the dog\n")
                assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
            assert process.stderr.read() == "interrupted\n"
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ImportError, SystemError, RuntimeError])
@pytest.mark.parametrize(
    ("verb", "module"),
    [("quickstart", "quickstart"), ("train quickstart", "train")],
)
def test_ctrl_c_is_the_same_whatever_a_library_makes_of_it(verb, module, error, tmp_path, monkeypatch, capsys):
    def begin(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(SECONDS)
        except KeyboardInterrupt:
            raise error("KeyboardInterrupt: <EMPTY MESSAGE>") from None

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys.modules[f"seq2seq.cli.{module}"], "import_tensorflow", begin)
    assert run(*verb.split(), "-o", tmp_path / "run") == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_tensorflow_is_loaded_hides_its_log_and_says_that_nothing_is_done(monkeypatch, capfd):
    def load():
        os.write(2, b"I0000 a line of TensorFlow's log\n")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(SECONDS)

    monkeypatch.setattr("seq2seq.devices.device.set_up_device", load)
    capfd.readouterr()  # TensorFlow is imported now, if it was not before
    assert run("translate", "phrasebook-en-de", "The dog sleeps.") == 130
    assert capfd.readouterr().err == "interrupted; nothing has been done or saved yet: the same command starts again\n"


def test_ctrl_c_may_come_before_there_is_a_command(monkeypatch, capsys):
    from seq2seq.__main__ import main

    class Interrupted:
        __spec__ = None

        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "seq2seq.cli", Interrupted())
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted; nothing has been done or saved yet: the same command starts again\n"


def test_an_error_that_is_no_interruption_stays_one(tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("broken")

    monkeypatch.setattr(sys.modules["seq2seq.cli.quickstart"], "import_tensorflow", fail)
    with pytest.raises(RuntimeError, match="broken"):
        run("quickstart", "-o", tmp_path)


@pytest.mark.parametrize("words", ["", "train", "translate", "tokenizer", "tokenizer encode", "data", "data get"])
def test_help_has_a_short_name_everywhere(words, capsys):
    assert run(*words.split(), "-h") == 0
    short = capsys.readouterr().out
    assert run(*words.split(), "--help") == 0
    assert capsys.readouterr().out == short
    assert re.search(r"-h\b", short)


def test_no_folder_for_temporary_files(monkeypatch, capsys):
    from seq2seq.cli.console import import_tensorflow

    def fail(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    import_tensorflow()  # needs none on Linux
    monkeypatch.setattr(sys.modules["seq2seq.cli.quickstart"], "import_tensorflow", fail)
    assert run("quickstart", "-o", "nowhere") == 1
    assert capsys.readouterr().err == (
        "error: temporary files: No usable temporary directory found in ['/tmp']. Set TMPDIR to a writable folder.\n"
    )


def test_json_has_names_that_are_no_text(tmp_path):
    code, out, _ = shell(f'"$@" "{tmp_path}"/$\'\\xff.json\'', "data", "list", "--json", "--catalogue")
    assert (code, out) == (1, b"")
    code, out, _ = shell('"$@"', "data", "list", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(out.decode("utf-8"))


def test_a_folder_that_is_gone_is_one_line(spm, tmp_path):
    (tmp_path / "gone").mkdir()
    code, _, err = shell(
        f'cd "{tmp_path}/gone" && rmdir "{tmp_path}/gone" && "$@"', "tokenizer", "encode", spm, "-i", "x"
    )
    assert (code, err.count("\n")) == (1, 1)
    assert Path(tmp_path).exists()
