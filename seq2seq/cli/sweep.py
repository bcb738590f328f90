"""`seq2seq sweep`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from seq2seq.cli.arguments import AsJson, Overrides
from seq2seq.cli.console import print_stderr, print_stdout, write_json
from seq2seq.config import load_config

if TYPE_CHECKING:
    from seq2seq.sweeps.table import SettingRow, SweepTable


def sweep(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|DIR",
            help="Recipe: a YAML file, or the name of a packaged recipe. Or the directory of a sweep, to show its "
            "table.",
        ),
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="Values of a key of the recipe, e.g. training.learning_rate=1e-3,3e-3; repeatable: all combinations "
            "are run. KEY,KEY=VALUE,VALUE gives two keys the same values. A list is written [A,B].",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of runs of each setting, with seeds 1 to N. Default: 3.", min=1),
    ] = None,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Directory of the sweep. Default: runs/NAME-sweep, named after RECIPE.",
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Score data.test with the setting that is best on validation and with the first one, and test their "
            "difference.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a recipe with several values of its keys and several seeds, and compare the settings on validation.

    The same command resumes an interrupted sweep where it was, also within a run; with more values or seeds, it adds
    runs. Every run is a process of its own, `seq2seq train` in DIR/NAME, and can be drawn with `seq2seq plot`. A run
    that fails is reported and does not end the sweep; the same command tries it again. `seq2seq sweep DIR` shows the
    table at any time.

    For example: seq2seq sweep quickstart --grid encoder.units,decoder.units=96,128 --grid decoder.heads=1,4
    """
    from seq2seq.sweeps.grid import check_common_overrides, parse_grid
    from seq2seq.sweeps.sweep import Sweep, is_sweep
    from seq2seq.sweeps.table import SweepTable

    failed = 0
    if is_sweep(Path(recipe)):
        for option, given in (("--grid", grid), ("--seeds", seeds), ("--set", overrides), ("--output", output)):
            if given is not None:
                raise typer.BadParameter(
                    f"{option}: is for a recipe, but {recipe} is a sweep, whose table is shown. To add runs, "
                    "give the recipe again, with further values or seeds and the same --output"
                )
        queue = Sweep.open(Path(recipe), print_stderr)
    else:
        settings, seeds = parse_grid(grid or []), seeds or 3
        check_common_overrides(overrides or [], settings)
        folder = output or Path("runs") / f"{Path(recipe).stem}-sweep"
        queue = Sweep.plan(folder, load_config(recipe, overrides or []), settings, seeds, print_stderr)
        failed = queue.run(settings, seeds)
    if test:
        queue.test()
    table = SweepTable(queue.record.runs.values())
    if as_json:
        write_json(table.as_dict() | {"runs": [asdict(run) for run in queue.record.runs.values()]})
    else:
        print_table(table)
    if failed:
        raise typer.Exit(1)


def print_table(table: "SweepTable") -> None:
    """Print the settings with their validation scores, then those with test scores, and what failed."""
    numbers = {row.label: str(number) for number, row in enumerate(table.settings, start=1)}
    for label, number in numbers.items():
        print_stdout(f"setting {number}: {label}")
    print_stdout("")
    _print(
        ("setting", "runs", "BLEU", "loss", "parameters", "CPU minutes"),
        [(numbers[row.label], *_validation_cells(row)) for row in table.ranked],
    )
    print_stdout(
        "validation: means over seeds, with 95% intervals (Student's t); CPU minutes of training: user and system"
    )
    if table.best is not None:
        print_stdout(f"best: setting {numbers[table.best.label]}, {table.best.label}")
    if tested := [row for row in table.ranked if row.test("BLEU")]:
        print_stdout("")
        _print(
            ("setting", "test BLEU", "lowercased", "chrF2", "difference", "p (bs)", "p (ar)"),
            [(numbers[row.label], *_test_cells(row)) for row in tested],
        )
        print_stdout(
            "difference in BLEU from setting 1, paired by seed; p-values of sacreBLEU's paired bootstrap (bs) and "
            "approximate randomization (ar), one for each seed"
        )
    for signature in table.signatures:
        print_stdout(signature)
    for run in table.failed:
        print_stdout(f"failed: {run.name}: {run.error}")


def _validation_cells(row: "SettingRow") -> tuple[str, ...]:
    bleu, loss, minutes = row.validation("BLEU"), row.validation("loss"), row.cpu_minutes
    return (
        f"{len(row.done)} of {len(row.runs)}",
        bleu.describe() if bleu else "",
        loss.describe(3) if loss else "",
        "" if row.parameters is None else f"{row.parameters:,}",
        f"{minutes.mean:.1f}" if minutes else "",
    )


def _test_cells(row: "SettingRow") -> tuple[str, ...]:
    means = [row.test(name) for name in ("BLEU", "BLEU_lowercased", "chrF2")]
    difference = row.test("BLEU_difference")
    p_values = [[run.test.get(name) for run in row.done] for name in ("p_bootstrap", "p_randomization")]
    return (
        *(mean.describe() if mean else "" for mean in means),
        difference.describe(sign="+") if difference else "",
        *(", ".join(f"{p:.4f}" for p in values if p is not None) for values in p_values),
    )


def _print(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    columns = [
        Column(Text(name), justify="right" if place else "left", overflow="fold") for place, name in enumerate(header)
    ]
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
