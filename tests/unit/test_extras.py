"""Packages of extras: each is imported where a missing one is said, with the extra that has it."""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pandas as pd
import pytest

from seq2seq.errors import MissingExtraError, Seq2SeqError
from seq2seq.extras import DISTRIBUTION_NAME, missing_extra_error, require_extra

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
# By the names of their modules; mtdata is a program here, and MeCab is imported by sacreBLEU.
EXTRA_OF = {
    **dict.fromkeys(("pandas", "scipy", "sklearn", "matplotlib"), "analysis"),
    **dict.fromkeys(("onnx", "onnxruntime", "tf2onnx"), "int8"),
    "tensorboard": "tensorboard",
    **dict.fromkeys(("IPython", "ipywidgets"), "notebooks"),
    "apache_beam": "apache-beam",
}
TREE = pd.DataFrame({"step": [0]})  # of a search that has not begun


def fresh(module):
    """Import a module of ours as in a new process."""
    sys.modules.pop(module, None)
    import_module(module)


def call(module, function, *arguments):
    getattr(import_module(f"seq2seq.{module}"), function)(*arguments)


@pytest.mark.parametrize(
    ("package", "extra", "needed_by", "use"),
    [
        ("tf2onnx", "int8", "8-bit decoding", lambda: call("inference.int8", "quantize_decoder", None, Path())),
        ("onnx", "int8", "8-bit decoding", lambda: call("inference.int8", "_quantize_products", None)),
        ("onnxruntime", "int8", "8-bit decoding", lambda: call("inference.int8", "load_int8_decoder", Path(), 9)),
        (
            "tensorboard",
            "tensorboard",
            "training.tensorboard",
            lambda: call("training.display", "TensorBoardWriter", ""),
        ),
        (
            "apache_beam",
            "apache-beam",
            "--engine apache-beam",
            lambda: call("bulk.apache_beam", "translate_on_apache_beam", None),
        ),
        (
            "ipywidgets",
            "notebooks",
            "A slider over the steps of a search",
            lambda: import_module("seq2seq.analysis.search_steps").SearchSteps(TREE).widget(),
        ),
        ("matplotlib", "analysis", "A plot", lambda: fresh("seq2seq.analysis.plots.figure")),
        ("pandas", "analysis", "seq2seq.analysis.comparison", lambda: fresh("seq2seq.analysis.comparison")),
        ("scipy", "analysis", "seq2seq.analysis.plots.cells", lambda: fresh("seq2seq.analysis.plots.cells")),
        (
            "matplotlib",
            "analysis",
            "seq2seq.analysis.plots.translations",
            lambda: fresh("seq2seq.analysis.plots.translations"),
        ),
        (
            "sklearn",
            "analysis",
            "seq2seq.analysis.representations",
            lambda: call("analysis.representations", "principal_components", pd.DataFrame()),
        ),
        (
            "sklearn",
            "analysis",
            "seq2seq.analysis.linear_probe",
            lambda: call("analysis.linear_probe", "train_linear_probe", [], [], [], []),
        ),
    ],
)
def test_a_missing_package_is_said_with_its_extra(hide, monkeypatch, package, extra, needed_by, use):
    for module in [name for name in sys.modules if name.startswith("seq2seq.analysis.")]:
        monkeypatch.setitem(sys.modules, module, sys.modules[module])  # put back after `fresh`
    hide(package)
    with pytest.raises(MissingExtraError) as error:
        use()
    assert str(error.value) == str(missing_extra_error(extra, needed_by=needed_by, package=package))
    said = f"{needed_by} needs the package '{package}', which is not installed. Install the extra '{extra}': "
    assert str(error.value).startswith(said)
    assert isinstance(error.value, Seq2SeqError)
    assert isinstance(error.value, ImportError)


def test_mtdata_is_asked_for_by_its_distribution(monkeypatch, tmp_path):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    get = import_module("seq2seq.corpora.downloads.get").get_from_mtdata
    with pytest.raises(
        MissingExtraError, match=r"^mtdata:toy needs the package 'mtdata', .* pip install .*\[corpora\]'"
    ):
        get("toy", tmp_path / "toy", lambda *_: None)
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize(
    ("origin", "extra", "expected"),
    [
        (None, "int8", f"pip install '{DISTRIBUTION_NAME}[int8]'."),
        ({"url": "https://example.org/a.whl", "archive_info": {}}, "int8", f"pip install '{DISTRIBUTION_NAME}[int8]'."),
        (
            {"url": "file:///gone", "dir_info": {}},
            "int8",
            f"pip install -c constraints.txt '.[int8]', in the source folder of {DISTRIBUTION_NAME}.",
        ),
        (
            {"url": ROOT.as_uri(), "dir_info": {}},
            "int8",
            f"cd {shlex.quote(str(ROOT))} && pip install -c constraints.txt '.[int8]'.",
        ),
        (
            {"url": ROOT.as_uri(), "dir_info": {"editable": True}},
            "apache-beam",
            f"cd {shlex.quote(str(ROOT))} && pip install -c constraints-apache-beam.txt -e '.[apache-beam]'.",
        ),
    ],
)
def test_an_extra_is_installed_as_the_package_was(monkeypatch, origin, extra, expected):
    class Installed:
        def read_text(self, name):
            assert name == "direct_url.json"
            return origin and json.dumps(origin)

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    assert str(missing_extra_error(extra, needed_by="x", package="y")).endswith(
        f"Install the extra '{extra}': {expected}"
    )


def test_a_package_that_is_not_installed_names_its_folder(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert str(missing_extra_error("cjk", needed_by="x", package="y")).endswith(
        f"pip install -c constraints.txt '.[cjk]', in the source folder of {DISTRIBUTION_NAME}."
    )


def test_other_errors_stay_what_they_are():
    for error in (ImportError("libfoo.so"), ValueError("x")):
        with pytest.raises(type(error), match=str(error)), require_extra("int8", needed_by="x"):
            raise error


def imports(tree):
    """Every import of a module with the extra around it, or None."""
    for node in ast.walk(tree):
        extra = None
        if isinstance(node, ast.With) and ast.unparse(node.items[0]).startswith("require_extra("):
            extra = node.items[0].context_expr.args[0].value
        for child in ast.iter_child_nodes(node):
            names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
            if isinstance(child, ast.ImportFrom):
                names = [child.module]
            yield from ((name.partition(".")[0], extra) for name in names)


def test_every_import_of_an_extra_names_it():
    found = {}
    for file in sorted((ROOT / "seq2seq").rglob("*.py")):
        for package, extra in imports(ast.parse(file.read_text(encoding="utf-8"))):
            if package in EXTRA_OF:
                assert extra == EXTRA_OF[package], f"{file}: {package} is imported outside of `require_extra`"
                found[package] = extra
    assert found == EXTRA_OF


def test_the_distribution_is_what_is_installed():
    assert PROJECT["name"] == DISTRIBUTION_NAME
    (command,) = metadata.distribution(DISTRIBUTION_NAME).entry_points.select(group="console_scripts")
    assert command.value == PROJECT["scripts"]["seq2seq"]


def pins(name):
    return re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / name).read_text(encoding="utf-8"))


def names_of(requirements):
    names = (re.match("[A-Za-z0-9-]+", one)[0].lower() for one in requirements if isinstance(one, str))
    return set(names) - {DISTRIBUTION_NAME}


def test_what_checks_install_is_pinned_and_apache_beam_apart():
    everyone, with_apache_beam = set(pins("constraints.txt")), set(pins("constraints-apache-beam.txt"))
    extras, groups = PROJECT["optional-dependencies"], PYPROJECT["dependency-groups"]
    (developer,) = re.findall(r"(?m)^DEV := (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    installed = set(re.findall(r"--extra (\S+)", developer))
    assert set(re.findall(r"--group (\S+)", developer)) | {"test"} == set(groups)
    for requirements in (PROJECT["dependencies"], *groups.values(), *(extras[name] for name in installed)):
        assert names_of(requirements) <= everyone
    for extra in extras.keys() - installed - {"gpu"}:  # whose TensorFlow is everyone's
        assert not names_of(extras[extra]) <= everyone, f"{extra} is rare: its packages have no pins here"
    for requirements in (PROJECT["dependencies"], groups["test"], extras["apache-beam"]):
        assert names_of(requirements) <= with_apache_beam
    assert not [name for name in everyone if name.startswith("nvidia-")]


def test_commands_run_without_any_extra():
    """What a command imports when it runs, but for what draws plots and quantizes."""
    modules = set()
    for file in (ROOT / "seq2seq/cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("seq2seq."):
                modules.add(node.module)
    assert "seq2seq.analysis.attention_text" in modules, "or this looks at nothing"
    modules = {module for module in modules if not module.startswith("seq2seq.analysis.plots.")}
    script = f"import sys\nsys.modules.update(dict.fromkeys({list(EXTRA_OF)}))\n"
    script += "".join(f"import {module}\n" for module in sorted(modules))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
