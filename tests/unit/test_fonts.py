"""Figures show text in any script for which a font is installed, and say which is missing otherwise."""

import ast
import pickle
import re
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontEntry, fontManager

import seq2seq
from seq2seq.analysis.plots import figure as figures
from seq2seq.analysis.plots.translations import plot_projection
from seq2seq.errors import Seq2SeqWarning

HAN, KANA, HANGUL = "我要去打篮球", "かがく", "나는간다"


@pytest.fixture
def fonts(tmp_path, monkeypatch):
    """A function that installs a font with the given characters; only these and Matplotlib's own are installed."""
    own = [font for font in fontManager.ttflist if font.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setattr(figures, "findSystemFonts", lambda: list(map(str, folder.glob("*"))))

    def forget():
        fontManager._findfont_cached.cache_clear()
        for cached in (figures._find_new_fonts, figures._has, figures._font):
            cached.cache_clear()

    def install(family, characters):
        write_font(folder / f"{family}.ttf", family, characters)
        forget()

    forget()
    yield install
    monkeypatch.undo()
    forget()


def write_font(path, family, characters):
    """A font with a square for each character."""
    pen = TTGlyphPen(None)
    for place, point in enumerate([(100, 0), (100, 700), (900, 700), (900, 0)]):
        (pen.lineTo if place else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = {ord(one): f"uni{ord(one):04X}" for one in characters}
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", *names.values()])
    font.setupCharacterMap(names)
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), **dict.fromkeys(names.values(), square)})
    font.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (1000, 100)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family.replace(" ", "")})
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.save(path)


def labelled(*labels):
    figure = figures.Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.set_xticks(range(len(labels)), labels)
    return figure, axes


def warnings_of(figure, times):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            figure.draw_without_rendering()
    assert all(warning.category is Seq2SeqWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def families(texts):
    return {text.get_text(): text.get_fontfamily()[1:] for text in texts}


def test_each_text_falls_back_to_a_font_that_has_its_characters(fonts):
    fonts("SimHei", HAN)
    fonts("Naskh Sans", "ܐܒ")
    figure, axes = labelled("▁dog", "▁要去", "ܐܒ")
    axes.set_title("我 ܐ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    expected = {"▁dog": [], "▁要去": ["SimHei"], "ܐܒ": ["Naskh Sans"]}
    assert families(axes.get_xticklabels()) == expected
    assert axes.title.get_fontfamily()[1:] == ["SimHei", "Naskh Sans"]


@pytest.mark.parametrize(
    ("text", "family"),
    [("我要去", "Microsoft YaHei"), ("我要去かがく", "Yu Gothic"), ("我要去나는", "Malgun Gothic")],
)
def test_han_characters_are_drawn_as_in_the_language_of_the_figure(fonts, text, family):
    for name in ("Yu Gothic", "Malgun Gothic", "Microsoft YaHei", "A Sans"):
        fonts(name, HAN + KANA + HANGUL)
    figure, axes = labelled(*text)
    figure.draw_without_rendering()
    assert set(map(tuple, families(axes.get_xticklabels()).values())) == {(family,)}


def test_one_warning_says_which_characters_have_no_font_and_what_to_install(fonts):
    fonts("SimHei", "我要")
    figure, axes = labelled("我要", "去打篮球去", *KANA)
    messages = warnings_of(figure, times=2)
    assert len(messages) == 1
    assert re.fullmatch("no installed font has か が く 去 打 球 篮, which .* as boxes. Install Noto .*", messages[0])
    axes.set_title("".join(map(chr, range(0x5000, 0x500C))))
    messages = warnings_of(figure, times=2)
    assert len(messages) == 1
    assert messages[0].startswith("no installed font has か が く 倀 倁 倂 倃 倄 倅 倆 and 9 other characters, which ")


def test_a_font_that_is_installed_later_is_found_and_a_damaged_one_ignored(fonts, tmp_path):
    (tmp_path / "fonts" / "broken.ttf").write_bytes(b"no font")
    assert figures.find_families("我") == ([], {"我"})
    fonts("PingFang SC", "我")
    assert figures.find_families("我") == (["PingFang SC"], set())


def test_a_font_of_boxes_is_no_font(fonts, monkeypatch):
    boxes = FontEntry(fname="/none.ttf", name="Last Resort High-Efficiency")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist, boxes])
    assert figures.find_families("我") == ([], {"我"})


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_characters_are_drawn_in_each_format(fonts, tmp_path, ending):
    fonts("Noto Sans CJK SC", HAN)
    figure, _ = labelled("我要")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / f"figure.{ending}")
    if ending == "svg":
        text = (tmp_path / "figure.svg").read_text("utf-8")
        assert "<text" not in text, "paths need no font where the file is shown"
        assert text.count('href="#NotoSansCJKSC-') == len("我要"), "glyphs are named after their font"


def test_the_glyph_of_the_font_is_drawn(fonts):
    fonts("SimHei", "我")
    figure = figures.Figure(figsize=(1, 1), dpi=100)
    figure.text(0.2, 0.2, "我", fontsize=40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    dark = np.asarray(canvas.buffer_rgba())[..., 0] < 128
    em = 40 / 72 * 100  # in pixels
    assert dark.sum() == pytest.approx(0.8 * 0.7 * em**2, rel=0.05), "the square of `write_font`"


def test_a_figure_of_pyplot_can_be_of_this_kind(fonts):
    fonts("SimHei", HAN)
    figure, axes = pyplot.subplots(FigureClass=figures.Figure)
    axes.set_title("我要")
    figure.draw_without_rendering()
    pyplot.close(figure)
    assert axes.title.get_fontfamily()[1:] == ["SimHei"]


def test_a_figure_can_be_pickled():
    figure = pickle.loads(pickle.dumps(labelled("a")[0]))
    figure.draw_without_rendering()


def test_all_figures_of_the_package_are_of_this_kind():
    root = Path(seq2seq.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "matplotlib.figure":
                raise AssertionError(f"{path}:{node.lineno}: import Figure from seq2seq.analysis.plots.figure")


def test_names_beside_points_are_measured_in_fonts_that_have_their_characters(fonts):
    fonts("SimHei", "我要")
    points = pd.DataFrame([[0.0, 0.0], [1.0, 1.0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = plot_projection(points, ["one"] * 2, "我", names=["我要", "去打"])
        figure.draw_without_rendering()
    (warning,) = caught
    assert str(warning.message).startswith("no installed font has 去 打, which ")
    assert families(figure.axes[0].texts) == {"我要": ["SimHei"], "去打": []}
