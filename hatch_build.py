"""The README for the package index, which has none of the files that its relative links lead to."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Targets in Markdown, `](target)`, `[name]: target`, and in HTML; not `#section`, and not what begins with a scheme.
TARGET = re.compile(r"""(\]\(|^\[[^\]]+\]:\s+|\b(?:src|srcset|href)=")(?!#|/|\w+:)([^\s)"]+)""", re.MULTILINE)
PICTURES = (".gif", ".jpg", ".png", ".svg")


def with_absolute_links(text: str, repository: str) -> str:
    """Markdown whose relative links lead into the repository at an address."""

    def absolute(found: re.Match[str]) -> str:
        kind = "raw" if found[2].lower().endswith(PICTURES) else "blob"
        return f"{found[1]}{repository}/{kind}/main/{found[2].removeprefix('./')}"

    return TARGET.sub(absolute, text)


class CustomMetadataHook(MetadataHookInterface):
    """Sets `readme`; hatchling finds the class by its base."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        readme = with_absolute_links(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
