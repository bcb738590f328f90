"""Check that training and translation are correct on a GPU, and measure their speed; prints tables, writes JSON.

python benchmarks/gpu/check.py --json gpu.json [--minutes 5] [--without-training] [--parts NAME ...] [--toy]
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import tensorflow as tf
from parts.report import Check
from parts.sizes import TOY, Sizes, changed

from seq2seq.devices.device import set_up_device

# In order of importance: the checks that are most likely to fail, and matter most, come first.
PARTS = {
    "recurrences": "GRU and LSTM in every precision, against float32 on the CPU",
    "gradients": "Gradients of whole models, against float32 on the CPU",
    "curves": "Loss curves",
    "decoding": "Search",
    "speed": "Speed and memory of training",
    "forms": "Other forms of the model",
    "quickstart": "A whole run: the recipe quickstart",
    "loading": "A model from here on the CPU",
    "determinism": "Two runs, bit for bit",
    "dtypes": "Dtypes of the traced updates",
}


def run(check: Check, names: Sequence[str]) -> int:
    """Run parts, in the order of `PARTS`; returns the exit code."""
    with check.closing:
        for number, (name, title) in enumerate(PARTS.items(), start=1):
            if name in names:
                check.part(name, f"{number}. {title}", partial(_run_part, name))
    check.write()
    print("\nmissed:\n" + "\n".join(f"  {what.splitlines()[-1]}" for what in check.missed) if check.missed else "\nok")
    if not check.gpus:
        print("no GPU: cuDNN, TF32 and everything else that only a GPU does were not checked")
    return 1 if check.missed else 0


def _run_part(name: str, check: Check) -> Any:
    """Import a part only when it runs: later parts need packages that the first ones do not."""
    return import_module(f"parts.{name}").run(check)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the report to this file, after every part")
    parser.add_argument("--minutes", type=float, default=5.0, help="deadline for the start of a part (default 5)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--without-training", action="store_true", help="leave out the part quickstart")
    parser.add_argument("--toy", action="store_true", help="use toy sizes, as always without a GPU")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=NUMBER", help="see parts/sizes.py")
    options = parser.parse_args(arguments)
    tf.get_logger().setLevel("ERROR")  # it warns about many graphs, which are the purpose here
    toy = options.toy or not set_up_device().is_gpu
    try:
        sizes = changed(TOY if toy else Sizes(), options.size)
    except ValueError as error:
        parser.error(str(error))
    names = [name for name in options.parts if not (options.without_training and name == "quickstart")]
    if not names:
        parser.error("no part is left to run")
    check = Check(sizes, options.minutes, options.json, toy)
    try:
        check.write()  # report a file that cannot be written before anything is measured
    except OSError as error:
        parser.error(f"--json {options.json}: {error.strerror}")
    for key, value in check.report["about"].items():
        print(f"{key:20} {value}")
    return run(check, names)


if __name__ == "__main__":
    sys.exit(main())
