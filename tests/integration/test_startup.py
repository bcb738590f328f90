"""What must not be imported, checked in fresh processes, where start-up is the point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "keras", "sacrebleu", "numpy")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import seq2seq", ()),
        ("from seq2seq.cli import main; main(['--version'])", ()),
        ("from seq2seq.cli import main; main(['--help'])", ()),
        ("from seq2seq.cli import main; main(['train', '--help'])", ()),
        ("from seq2seq.cli import main; main(['train', 'quickstart', '--dump-config'])", ()),
        ("from seq2seq.cli import main; main(['inspect', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['average', 'nowhere', '-o', 'x', '--last', '2'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['generate', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['perplexity', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['shortlist', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['challenge', 'nowhere'])", ("numpy",)),
        (
            "from seq2seq.cli import main; main(['train', 'quickstart', '-o', 'x',"
            "'--set', 'training.warm_start=nowhere', '--set', 'tokenizer.from_model=nowhere'])",
            ("numpy",),
        ),
        (
            "from seq2seq.cli import main; main(['train', 'quickstart', '-o', 'x',"
            "'--set', 'tokenizer.from_model=nowhere'])",
            ("numpy",),
        ),
        ("from seq2seq.cli import main; main(['translate', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['quantize', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['score', 'nowhere'])", ("numpy",)),
        ("from seq2seq.cli import main; main(['data', 'filter', 'nowhere'])", ("numpy",)),
        (
            f"from seq2seq.cli import main; main(['evaluate', 'nowhere', *'--source {__file__} --reference {__file__}'"
            ".split()])",
            ("numpy",),
        ),
        ("from seq2seq.cli import main; main(['export', 'nowhere', 'copy'])", ("sacrebleu", "numpy")),
        ("import seq2seq.evaluation.metrics", ("sacrebleu", "numpy")),
        ("import seq2seq.model_directory.directory, seq2seq.model_directory.inspection", ("numpy",)),
        ("import seq2seq.errors, seq2seq.config, seq2seq.corpora, seq2seq.data.tokenizer", ("numpy",)),
    ],
)
def test_light_modules_stay_light(code, allowed):
    script = (
        "import sys\n"
        f"try:\n    exec({code!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', [m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("LOADED ")[2].strip()
    assert set(eval(loaded)) <= set(allowed), loaded
    if "nowhere" in code:
        assert "nowhere: no such folder" in done.stderr


def test_another_keras_backend_is_an_error():
    script = (
        "import sys, types\n"
        "keras = types.ModuleType('keras'); keras.config = types.SimpleNamespace(backend=lambda: 'jax')\n"
        "sys.modules['keras'] = keras\n"
        "import seq2seq"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "loaded on jax" in done.stderr


def test_public_names_exist():
    import seq2seq

    for name in seq2seq.__all__:
        assert getattr(seq2seq, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = seq2seq.Nothing


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "seq2seq", "--help"], capture_output=True, text=True, check=True)
    assert "translate" in done.stdout


def test_type_checkers_see_the_public_names():
    import seq2seq

    tree = ast.parse(Path(seq2seq.__file__).read_text(encoding="utf-8"))
    (block, *_) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.asname: node.module for node in block.body for alias in node.names if alias.name == alias.asname}
    assert seen == {name: f"seq2seq.{home}" for name, home in seq2seq._HOME.items()}
