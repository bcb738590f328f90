"""Pages of the site that are files elsewhere in the repository, and links between files that hold on the site, too.

A Markdown file links to others by relative paths, which work in a checkout. On the site a link to a page becomes one to
that page; one to any other file of the repository becomes one to its address, which `pyproject.toml` states once.
"""

import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "README.zh.md": "zh.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "data/README.md": "data.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/gpu/README.md": "benchmarks-gpu.md",
}
SOURCES = {page: path for path, page in PAGES.items()}
# A fenced block or a code span, which stays as it is, or the target of a link or of a picture, also in HTML.
LINK = re.compile(r"(?ms)^ *(`{3,}).*?^ *\1 *$|(`+).*?\2|(?<=\]\()[^)\s]+|(?<=src=\")[^\"]+|(?<=href=\")[^\"]+")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take addresses from `pyproject.toml`."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    config.repo_url, config.site_url = urls["Repository"], urls.get("Documentation")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are files outside `docs/`."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a file in the repository those of a page of the site."""
    here = page.file.src_uri

    def replace(match: re.Match[str]) -> str:
        target = match[0]
        if target.startswith(("`", " ", "#")) or ":" in target:
            return target
        path, hash_sign, anchor = target.partition("#")
        found = locate(path, source_path(here), files)
        if found is None:  # MkDocs says what is wrong with it
            return target
        if isinstance(found, File):
            in_html = markdown[match.start() - 1] == '"'
            link = found.url_relative_to(page.file) if in_html else relative_path(found.src_uri, here)
            return link + hash_sign + anchor
        kind = "tree" if found.is_dir() else "blob"
        return f"{config.repo_url}/{kind}/main/{found.relative_to(ROOT).as_posix()}{hash_sign}{anchor}"

    return LINK.sub(replace, markdown)


def source_path(page: str) -> str:
    """Path in the repository of the file that a page of the site is made from."""
    if page.startswith("notebooks/"):
        return page.removesuffix(".md") + ".ipynb"
    return SOURCES.get(page, f"docs/{page}")


def locate(path: str, source: str, files: Files) -> File | Path | None:
    """What a path in the file `source` leads to: a page or picture of the site, or a file of the repository."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target in PAGES:
        page = PAGES[target]
    elif target.startswith("notebooks/"):
        page = target.removesuffix(".ipynb") + ".md"
    else:
        page = target.removeprefix("docs/")
    found = files.get_file_from_path(page)
    if found is not None and source_path(found.src_uri) in (target, f"docs/{page}"):
        return found
    file = ROOT / target
    return file if file.exists() and file.is_relative_to(ROOT) and not target.startswith("docs/") else None


def relative_path(target: str, page: str) -> str:
    """Path from one source file of the site to another."""
    return posixpath.relpath(target, posixpath.dirname(page))
