"""Run notebooks from top to bottom, each in a kernel of its own, and store what they show in the files themselves.

    python notebooks/run.py                        # all of them
    python notebooks/run.py notebooks/07-search.ipynb

A notebook's metadata then have, under `seq2seq`, the version that ran and a fingerprint of the code, by which a test
sees that outputs and code belong together. Markdown is not part of it: text can be edited without another run.
"""

import base64
import hashlib
import io
import os
import re
import resource
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image  # Matplotlib depends on it

from seq2seq import __version__

FOLDER = Path(__file__).parent
NOTEBOOKS = [*sorted(FOLDER.glob("*.ipynb")), *sorted(FOLDER.glob("zh/*.ipynb"))]
# What differs from run to run and says nothing: times of epochs, and addresses of objects.
VOLATILE = re.compile(r" - \d+m?s - \d+[mun]?s/(?:step|epoch)(?= - )|(?<=step - )\d+m?s \d+m?s/step - | at 0x[0-9a-f]+")
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of all code cells, in order."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute all cells in `folder`, and keep their outputs without what is volatile.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised an error.
    """
    with tempfile.TemporaryDirectory() as temporary:
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, "TMPDIR": temporary, "TF_CPP_MIN_LOG_LEVEL": "3"})
        notebook.metadata = {
            "kernelspec": KERNELSPEC,
            "language_info": {"name": "python"},
            "seq2seq": {"version": __version__, "source_sha256": fingerprint(notebook)},
        }
        for cell in notebook.cells:
            cell.metadata = {}
            if cell.cell_type == "code":
                outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
                cell.outputs = join_streams([clean(output, temporary) for output in outputs])
    nbformat.validate(notebook)


def join_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Make one output of what was printed in several parts, whose borders depend on time."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def clean(output: nbformat.NotebookNode, temporary: str) -> nbformat.NotebookNode:
    """The output without times, addresses and names of temporary folders."""

    def strip(text: str) -> str:
        return VOLATILE.sub("", re.sub(rf"{re.escape(temporary)}/[^/\s]+/?", "", text))

    if output.output_type == "stream":
        output.text = strip(output.text)
    else:
        output.metadata = {}
        if picture := output.data.get("image/png"):
            output.data = {"image/png": with_palette(picture)}
        else:
            output.data = {kind: strip(text) for kind, text in output.data.items()}
    return output


def with_palette(picture: str) -> str:
    """A PNG picture in base64 with at most 256 colours, in a third of the space."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main(paths: list[Path]) -> None:
    for path in paths or NOTEBOOKS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        notebook = nbformat.read(path, as_version=4)
        run(notebook, path.parent)
        nbformat.write(notebook, path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        minutes = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
        print(f"{path}: {minutes:.1f} CPU minutes, {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
