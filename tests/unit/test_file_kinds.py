"""What is no text is named, with the command that helps; what is text stays text, whatever it begins with."""

import gzip
import io
import json
import re
import shutil
import sqlite3
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from seq2seq.config import TokenizerConfig
from seq2seq.corpora import read_lines
from seq2seq.corpora.file_kinds import find_file_kind
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import CorpusError

GERMAN = "Zwei Hunde schlafen.\nDer Baum ist groß.\n"


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "mimetype" if name != "mimetype" else "application/vnd.oasis.opendocument.text")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("train.en")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"One."))
    return file.getvalue()


def database(tmp_path):
    path = tmp_path / "db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table pairs (source text, target text)")
    return path.read_bytes()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
BINARY = [
    (
        zipped("[Content_Types].xml", "xl/workbook.xml"),
        "an Excel workbook (.xlsx)",
        "soffice --headless --convert-to 'csv:",
    ),
    (zipped("[Content_Types].xml", "word/document.xml"), "a Word document (.docx)", "pandoc -t plain"),
    (zipped("mimetype", "content.xml"), "a text document (.odt)", "pandoc -t plain"),
    (zipped("metadata.json", "config.json", "model.weights.h5"), "a Keras model", "Give text here"),
    (zipped("train.en", "train.de"), "a zip archive", "`unzip file.bin`"),
    (tarred(), "a tar archive", "`tar -xf file.bin`"),
    (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive", "`7z x file.bin`"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF", "`pdftotext file.bin NEW`"),
    (b"%PDF-1.4\n%abcd\n1 0 obj\n", "PDF", "`pdftotext file.bin NEW`"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old Word or Excel document", "soffice"),
    (b"PAR1\x15\4\x15\x80", "Parquet", "pandas.read_parquet"),
    (b"ARROW1\0\0\xff\xff\xff\xff", "Arrow", "pyarrow"),
    (b"\x89HDF\r\n\x1a\n\0\0", "HDF5", "Give text here"),
    (b'\x58\0\0\0\0\0\0\0{"__metadata__"', "a safetensors file", "Give plain text"),
    (b"\x93NUMPY\1\0v\0", "a NumPy array", "Give plain text"),
    (b"\xde\x12\4\x95\0\0\0\0\2\0\0\0", "a compiled message catalogue (.mo)", "`msgunfmt file.bin > NEW.po`"),
    (PNG, "a PNG image", "no text"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image", "no text"),
    (b"GIF89a\1\0\1\0\x80", "a GIF image", "no text"),
    (b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1", "a BMP image", "no text"),
    (b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" + bytes(60), "an executable program", "Give plain text"),
    (b"\x7fELF\2\1\1\0\0", "an executable program", "Give plain text"),
    (b"ID3\4\0\0\0\0\0\0", "audio or video", "transcript"),
    ("One.\tEins.\n".encode("utf-16"), "UTF-16", "`iconv -f utf-16 -t utf-8 file.bin > NEW`"),
]


@pytest.mark.parametrize(("content", "kind", "remedy"), BINARY, ids=lambda value: str(value)[:20])
def test_a_binary_file_is_named(tmp_path, monkeypatch, content, kind, remedy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.bin").write_bytes(content)
    assert_named("file.bin", kind, remedy)


def assert_named(name, kind, remedy):
    with pytest.raises(CorpusError) as error:
        list(read_lines(Path(name)))
    assert str(error.value).startswith(f"{name}: expected lines of text in UTF-8, found {kind}")
    assert remedy in str(error.value)
    assert "\n" not in str(error.value)


def test_a_database_and_a_tokenizer_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.db").write_bytes(database(tmp_path))
    assert_named("pairs.db", "an SQLite database", "`sqlite3 -tabs pairs.db 'select")
    text = [f"word {number} of many" for number in range(50)]
    Tokenizer.train(text, TokenizerConfig(vocabulary_size=28)).save(tmp_path / "own.spm")
    assert_named("own.spm", "a SentencePiece model", "Give text here")


TMX = (
    '<tmx version="1.4"><header srclang="en"/><body>\n<tu><tuv><seg>Two dogs.</seg></tuv>'
    "<tuv><seg>Zwei Hunde.</seg></tuv></tu>\n</body></tmx>\n"
)
XLIFF = (
    '<?xml version="1.0"?>\n<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file><body><trans-unit id="1">'
    "<source>Two dogs.</source><target>Zwei <g>Hunde</g>.</target></trans-unit><trans-unit id='2'><source>New.</source>"
    "</trans-unit></body></file></xliff>\n"
)
SGM = (
    '<refset setid="own" srclang="en">\n<doc docid="1">\n<seg id="1"> Zwei Hunde schlafen. </seg>\n'
    '<seg id="2">Ja.</seg>\n</doc>\n</refset>\n'
)
SRT = "1\n00:00:01,000 --> 00:00:02,500\nTwo dogs.\n\n2\n00:00:03,000 --> 00:00:04,000\nThey sleep.\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\nTwo dogs.\n\n00:03.000 --> 00:04.000\nThey sleep.\n"
TALK = "<url>http://example.org/talk</url>\n<keywords>dogs</keywords>\nTwo dogs.\nThey sleep.\n<reviewer></reviewer>\n"
PO = 'msgid ""\nmsgstr ""\n"Language: de\\n"\n\n#: main.c:1\nmsgid "Two dogs"\nmsgstr "Zwei Hunde"\n'
RECORDS = [{"en": "Two dogs.", "id": 1, "de": "Zwei Hunde."}, {"en": "They\nsleep.", "id": 2, "de": "Sie schlafen."}]
NESTED = [{"translation": {"en": record["en"], "de": record["de"]}} for record in RECORDS]


def json_lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


TEXT = [
    (TMX, "TMX, a translation memory"),
    ('<?xml version="1.0" encoding="UTF-8"?>\n' + TMX, "TMX, a translation memory"),
    ('\ufeff<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n' + TMX, "TMX, a translation memory"),
    (XLIFF, "XLIFF"),
    (SGM, "SGM or XML, as used by WMT"),
    (SGM.replace("seg", "SEG"), "SGM or XML, as used by WMT"),
    ('<?xml version="1.0"?>\n<mteval>' + SGM + "</mteval>", "SGM or XML, as used by WMT"),
    ("<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n", "HTML"),
    ("<html lang='en'>\n<body><p>Two dogs.</p></body></html>\n", "HTML"),
    ('<?xml version="1.0"?>\n<letsmt><body><s id="1">Two dogs.</s></body></letsmt>\n', "XML"),
    (TALK, "the tags of IWSLT"),
    (SRT, "subtitles (SRT)"),
    (SRT.replace("\n", "\r\n"), "subtitles (SRT)"),
    (VTT, "subtitles (WebVTT)"),
    (PO, "a message catalogue (PO)"),
    ("# German.\n#\n" + PO, "a message catalogue (PO)"),
    (json_lines(RECORDS), "JSON Lines"),
    (json_lines(NESTED), "JSON Lines"),
    (json.dumps(RECORDS), "JSON"),
    (json.dumps(RECORDS, indent=2), "JSON"),
    (json.dumps({"data": RECORDS}, indent=1) * 1, "JSON"),
    ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "a Git LFS pointer"),
    ("{\\rtf1\\ansi Two dogs.}", "RTF"),
    ("One.\rTwo.\rThree.\r", "lines that end with CR alone"),
    ("One.\rTwo.", "lines that end with CR alone"),
    ("One.\rTwo.\rThree.\r\n", "lines that end with CR alone"),
]


@pytest.mark.parametrize(("text", "name"), TEXT, ids=lambda value: value[:15])
def test_markup_and_the_like_are_named(text, name):
    kind = find_file_kind(text.encode())
    assert kind is not None
    assert kind.name.startswith(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        " \n\n",
        "No end",
        GERMAN,
        GERMAN.replace("\n", "\r\n"),
        "One.\rstill one.\nTwo.\nThree.\n",
        "progress 1%\rprogress 2%\ndone\n",
        "\u2028One.\u2029Two.\n\x0cThree.\n",
        "null \0 byte\nline\n",
        "\0\0\0\n",
        "\x1b[31mred\x1b[0m\n",
        "PK is short for Pakistan.\nBM.\n",
        "PK\n",
        "BM 2 is a model.\n",
        "BZh9 is no sentence.\n",
        "MZ is a title.\n",
        "GIF89a is a format of images.\n",
        "RIFF, WEBP, ID3 and fLaC\n",
        "PAR1 and ARROW1\n",
        "%PDF in a sentence.\n",
        "%PDF-1.4 is the first line of a PDF file.\nSecond line.\n",
        "%!PS is PostScript.\n",
        "Rar! he cried.\n",
        "SQLite format 3 is a format.\n",
        "<b>Bold</b> text.\nMore.\n",
        "< 5 is less than five.\n",
        "<3\n<3\n",
        "<html> is the first tag of a page.\nNext.\n",
        "<url> is a tag.\nOne.\n",
        "<title>Hello</title>\nWorld.\n",
        "<p>Two dogs.</p>\n<p>They sleep.</p>\n",
        "<?xml is how XML begins.\n",
        "<tmx> is a tag.\n",
        "<seg> is a tag.\n",
        "<unk> <s> </s>\n",
        "{name} has {count} messages.\n{name} left.\n",
        "{ is a brace.\n",
        '{"quoted"} is odd.\nMore.\n',
        "[1] See below.\n[2] See above.\n",
        "[Laughter]\n[Applause]\n",
        "[]\n",
        '["One", he said.\n',
        '"Yes," he said.\n"No."\n',
        "WEBVTT is a format.\nOne.\n",
        "1\n2\n3\n",
        "1\nThe first chapter.\n",
        'msgid "is" a word.\nmsgstr is another.\n',
        "version 1\n",
        "孩子们在花园里玩。\n昨晚我们去了剧院。\n",
        "😀 smile\n👩‍👩‍👧 family\n",
        "дети играют\n",
        "日本語のテキスト\n" * 3000,
        "\ufeffmark\n",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_text_is_text(tmp_path, text):
    data = text.encode()
    assert find_file_kind(data) is None
    path = tmp_path / "text"
    path.write_bytes(data)
    lines = data.decode("utf-8-sig").split("\n")
    assert list(read_lines(path)) == [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]


def test_a_name_of_json_that_is_no_word_stands_in_no_command():
    kind = find_file_kind(json_lines([{"$(rm -r x)": "a", "text": "b"}, {"$(rm -r x)": "a", "text": "b"}]).encode())
    assert "rm -r" not in kind.remedy
    assert "'text'" in kind.remedy


COMMANDS = [
    (TMX, "Two dogs.\tZwei Hunde.\n"),
    (XLIFF, "Two dogs.\tZwei Hunde.\n"),
    (SGM, "Zwei Hunde schlafen.\nJa.\n"),
    (TALK, "Two dogs.\nThey sleep.\n"),
    (SRT, "Two dogs.\nThey sleep.\n"),
    (VTT, "Two dogs.\nThey sleep.\n"),
    (json_lines(RECORDS), "Two dogs.\tZwei Hunde.\nThey sleep.\tSie schlafen.\n"),
    (json_lines(NESTED), "Two dogs.\tZwei Hunde.\nThey sleep.\tSie schlafen.\n"),
    (json.dumps(RECORDS, indent=2), "Two dogs.\tZwei Hunde.\nThey sleep.\tSie schlafen.\n"),
    ("One.\rTwo.\r", "One.\nTwo.\n"),
    ("One.\rTwo.\r\nThree.\rFour.\r", "One.\nTwo.\nThree.\nFour.\n"),
    (GERMAN.encode("utf-16"), GERMAN),
    (GERMAN.encode("utf-16-le"), GERMAN),
    (GERMAN.encode("cp1252"), GERMAN),
]


@pytest.mark.parametrize(("content", "expected"), COMMANDS, ids=lambda value: str(value)[:15])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_command_makes_text_of_the_file(tmp_path, monkeypatch, content, expected, compressed):
    monkeypatch.chdir(tmp_path)
    data = content.encode() if isinstance(content, str) else content
    Path("my file").write_bytes(gzip.compress(data) if compressed else data)
    with pytest.raises(CorpusError) as error:
        list(read_lines(Path("my file")))
    (command,) = re.findall(r"`([^`]*)`", str(error.value))
    program = command.split()[0]
    if not shutil.which(program) or not shutil.which("bash"):
        pytest.skip(f"{program} is not installed")
    command = re.sub(r"> NEW(\.tsv)?$", "> NEW", command)
    subprocess.run(["bash", "-c", command], check=True)
    assert Path("NEW").read_text(encoding="utf-8") == expected
