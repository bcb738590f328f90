"""Columns of terminal output are aligned by terminal cells, in Chinese and with combining marks, too."""

import unicodedata
from importlib import import_module

import pytest

from seq2seq.text.display_width import max_width, pad, pad_left

# The package gives commands the names of their modules.
compare, export, inspect, next_steps, sweep = (
    import_module(f"seq2seq.cli.{name}") for name in ("compare", "export", "inspect", "next_steps", "sweep")
)
WIDE, COMBINING, FULLWIDTH = "我的模型", "Mode\u0301le", "ＡＢ"


def cells(text):
    """Width by Unicode's own properties, an independent reference."""
    marks = [one for one in text if unicodedata.category(one) in ("Mn", "Me")]
    return len(text) - len(marks) + sum(unicodedata.east_asian_width(one) in "WF" for one in text)


@pytest.mark.parametrize("text", ["", "model", WIDE, COMBINING, FULLWIDTH, "▁我", "ｶﾅ"])
def test_padding_counts_cells(text):
    for width in (0, 8, 9):
        after, before = pad(text, width), pad_left(text, width)
        assert cells(after) == cells(before) == max(width, cells(text))
        assert after.startswith(text)
        assert before.endswith(text)
    assert max_width(["a", text]) == max(1, cells(text))
    assert max_width([]) == 0


def columns(lines, *values):
    """Cell at which each value begins in its line."""
    return [cells(line[: line.index(value)]) for line, value in zip(lines, values, strict=True)]


def test_rows_of_text_are_aligned(monkeypatch, capsys, tmp_path):
    found = next_steps._aligned({WIDE: "first", COMBINING: "second", "x": "third"})
    assert columns(found.split("\n"), "first", "second", "third") == [10] * 3

    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (WIDE, COMBINING, "a.txt"):
        (folder / name).write_bytes(b"12")
    monkeypatch.setattr("seq2seq.export.export.export_model", lambda *_, **__: None)
    export.export(tmp_path, folder, evaluation=None)
    lines = capsys.readouterr().out.split("\n")[1:-1]
    assert len(set(columns(lines, *["2 bytes"] * 3))) == 1

    monkeypatch.setattr("seq2seq.model_directory.inspection.inspect_model", lambda model: {"weights": []})
    monkeypatch.setattr(inspect, "_tables", lambda found: {"Files": {WIDE: "7 bytes", "b": "8 bytes"}})
    inspect.inspect(tmp_path)
    lines = capsys.readouterr().out.split("\n")[1:-1]
    assert columns(lines, "7 bytes", "8 bytes") == [11, 11]


@pytest.mark.parametrize("print_table", [compare._print_table, sweep._print])
def test_tables_of_scores_are_aligned(capsys, print_table):
    print_table(("system", "BLEU"), [(WIDE, "12.34"), (COMBINING, "5.67"), ("x", "8.90")])
    lines = capsys.readouterr().out.rstrip().split("\n")
    assert {cells(line.rstrip()) for line in lines} == {cells(WIDE) + 2 + len("12.34")}
