"""The documentation site: built strictly without network, complete, and loading nothing from elsewhere."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import seq2seq

ROOT = Path(__file__).parents[2]
# MkDocs in a process that cannot reach any machine.
BUILD = """
import socket
def refuse(*_): raise OSError("the site is built without network")
socket.socket.connect = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli()
"""
LOADING = {"src", "srcset", "poster", "data", "background", "xlink:href"}
LINKS_THAT_LOAD = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}
LOADED_BY_CSS = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


class PageParser(HTMLParser):
    """Collects what a page loads, what it links to, and what can be linked to on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.inside = tag
        self.ids += [values[name] for name in ("id", "name") if name in values and (name == "id" or tag == "a")]
        for name, value in values.items():
            if name in LOADING and not (name == "data" and tag != "object"):
                self.loaded += [part.split()[0] for part in value.split(",")] if name == "srcset" else [value]
        if tag == "link" and LINKS_THAT_LOAD & set(values.get("rel", "").split()):
            self.loaded.append(values["href"])
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loaded += LOADED_BY_CSS.findall(values.get("style", ""))

    def handle_data(self, data):
        if self.inside == "style":
            self.loaded += LOADED_BY_CSS.findall(data)
        elif self.inside == "script":
            self.scripts.append(data)

    def handle_endtag(self, tag):
        self.inside = ""


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {path: PageParser(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}

    def text(self, page: str) -> str:
        return (self.folder / page / "index.html").read_text("utf-8")

    def find(self, page: Path, link: str) -> Path:
        """The file that a link leads to; those of 404.html, which is served at any address, begin with a slash."""
        path = unquote(urlsplit(link).path)
        found = self.folder / path.lstrip("/") if path.startswith("/") else page.parent / path if path else page
        return found / "index.html" if found.is_dir() else found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return Site(folder)


def is_local(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def test_pages_load_nothing_from_elsewhere(site):
    assert len(site.pages) > 40
    for path, page in site.pages.items():
        loaded = [address for address in page.loaded if not address.startswith(("data:", "#"))]
        assert any(address.endswith(".css") for address in loaded), path
        assert any(address.endswith(".js") for address in loaded), path
        for address in loaded:
            assert is_local(address), f"{path} loads {address}"
            assert site.find(path, address).is_file(), f"{path} loads {address}, which is missing"
        assert not [script for script in page.scripts if "://" in script], path


def test_stylesheets_and_pictures_load_nothing_from_elsewhere(site):
    files = [path for ending in ("css", "svg") for path in site.folder.rglob(f"*.{ending}")]
    assert len(files) >= 4
    for path in files:
        text = path.read_text("utf-8")
        loaded = LOADED_BY_CSS.findall(text) + re.findall(r"""<(?:image|use)\b[^>]*href=["']([^"']+)""", text)
        assert [
            address for address in loaded if not address.startswith(("data:", "#")) and not is_local(address)
        ] == [], path


def test_links_lead_somewhere(site):
    for path, page in site.pages.items():
        for link in page.links:
            if not is_local(link):
                assert urlsplit(link).scheme in ("https", "mailto"), f"{path} links to {link}"
                continue
            target = site.find(path, link)
            assert target.is_file(), f"{path} links to {link}"
            anchor = unquote(urlsplit(link).fragment)
            if anchor and target in site.pages:
                assert anchor in site.pages[target].ids, f"{path} links to {link}"


def test_anchors_are_unambiguous(site):
    for path, page in site.pages.items():
        assert sorted(page.ids) == sorted(set(page.ids)), path


def test_home_page_is_the_readme(site):
    title = (ROOT / "README.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
    assert re.search(rf"<h1[^>]*>{re.escape(title)}", (site.folder / "index.html").read_text("utf-8"))
    links = site.pages[site.folder / "index.html"].links
    assert "configuration/" in links
    assert "notebooks/01-first-translator/" in links
    assert not [link for link in links if is_local(link) and link.endswith((".md", ".ipynb", ".py"))]


def test_each_document_and_notebook_is_a_page(site):
    pages = [path.stem for path in (ROOT / "docs").glob("*.md")]
    notebooks = [path for places in ("*.ipynb", "zh/*.ipynb") for path in (ROOT / "notebooks").glob(places)]
    pages += [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks]
    assert len(pages) > 15
    home = site.pages[site.folder / "index.html"]
    for page in pages:
        assert f"{page}/" in home.links, "missing in the navigation"


def test_each_public_name_has_an_entry(site):
    entries = {anchor for path, page in site.pages.items() if "/api/" in str(path) for anchor in page.ids}
    names = [f"seq2seq.{name}" for name in seq2seq.__all__ if name != "__version__"]
    for module in ("seq2seq.layers", "seq2seq.search"):
        init = (ROOT / module.replace(".", "/") / "__init__.py").read_text(
            "utf-8"
        )  # imported, it would load TensorFlow
        names += [f"{module}.{name}" for name in re.findall(r'"(\w+)"', init.partition("__all__ = [")[2])]
    assert len(names) > 60
    assert [name for name in names if name not in entries] == []


def test_docstrings_keep_their_form(site):
    cells, search = site.text("api/cells"), site.text("api/search")
    equations = re.findall(r"<code>(i_t = sigmoid.*?)</code>", cells, re.DOTALL)
    assert len(equations[0].splitlines()) == 6, "one line per equation"
    assert re.search(r"<p><strong>Source:</strong>\s*Hochreiter and Schmidhuber", cells)
    assert re.search(r"<strong>Shapes:</strong>", search)
    assert re.search(r'href="#seq2seq.search.shallow_fusion"><code>shallow_fusion</code>', search), "names are links"
    assert re.search(r">beam_size<.*?Default: <code>5</code>", site.text("api/translation"), re.DOTALL)


def test_formulas_are_mathml(site):
    page = site.text("notebooks/02-inside-attention")
    assert "<msub><mi>k</mi><mi>s</mi></msub>" in page
    for path in site.pages:
        assert "arithmatex" not in path.read_text("utf-8"), path


def test_bars_in_tables_are_not_escaped(site):
    assert "section | null" in site.text("configuration")


def test_outputs_of_notebooks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "site_hooks")
    notebooks = importlib.import_module("notebooks")
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["1 of 2\r2 of 2\n", "\x1b[31mred\x1b[0m\n"]},
        {"output_type": "display_data", "data": {"text/plain": "<Figure>", "image/png": "iVBORw=="}},
        {"output_type": "execute_result", "data": {"text/html": "<b>a</b>\n\n    <script src='https://x'></script> b"}},
        {"output_type": "execute_result", "data": {"text/plain": ["```\n", "42"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["run()"], "outputs": outputs},
    ]
    files = {}

    def add_file(ending, content):
        files[ending] = content
        return f"name{ending}"

    assert notebooks.to_markdown({"cells": cells}, add_file).split("\n\n") == [
        "# Title",
        "``` python\nrun()\n```",
        "``` { .text .output }\n2 of 2\nred\n```",
        "![Output of the cell above](name-1-1.png){ .output }",
        '<div class="output"><b>a</b> b</div>',
        "```` { .text .output }\n```\n42\n````",
    ]
    assert files == {"-1-1.png": b"\x89PNG"[:4]}
