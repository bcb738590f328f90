"""Run time of short commands, compared with the time for importing TensorFlow and Keras and reading the weights.

python benchmarks/startup.py MODEL [--rounds 5] [--json FILE]

Each command is a process of its own; they take turns, and the median of the rounds is shown.
"""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from measure import in_turns, machine, median, show, write

FLOOR = """
import tensorflow, keras, safetensors.numpy
safetensors.numpy.load_file({weights!r})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--sentence", default="A man is riding a horse.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    command = [sys.executable, "-m", "seq2seq"]
    floor = "import TensorFlow and Keras, read the weights"
    commands = {
        floor: [sys.executable, "-c", FLOOR.format(weights=str(options.model / "model.safetensors"))],
        "seq2seq translate, one sentence, beam 5": [*command, "translate", str(options.model)],
        "seq2seq translate, one sentence, greedy": [*command, "translate", str(options.model), "--beam-size", "1"],
        "seq2seq inspect": [*command, "inspect", str(options.model)],
        "seq2seq --help": [*command, "--help"],
    }

    def seconds(what: list[str]) -> float:
        start = time.perf_counter()
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(what, input=options.sentence + "\n", text=True, capture_output=True, check=True, env=quiet)
        return time.perf_counter() - start

    runs = {name: partial(seconds, what) for name, what in commands.items()}
    found = {name: median(values) for name, values in in_turns(runs, options.rounds).items()}
    rows: list[dict[str, Any]] = [
        {"": name, "seconds": value, "times the first": f"{value / found[floor]:.2f}"} for name, value in found.items()
    ]
    show(f"{options.model}, median of {options.rounds}", rows)
    write(options.json, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
