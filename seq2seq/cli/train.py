"""`seq2seq train`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from seq2seq.cli.arguments import Overrides
from seq2seq.cli.console import EXIT_INTERRUPTED, import_tensorflow, print_stderr, print_stdout
from seq2seq.cli.next_steps import commands_after_run, show_translations
from seq2seq.cli.own_pairs import Scores, load_or_plan
from seq2seq.errors import ConfigError
from seq2seq.storage.files import STDOUT
from seq2seq.storage.streams import open_output


def train(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|PAIRS...",
            help="Recipe: a YAML file, or the name of a packaged recipe. Or sentence pairs: a file of "
            "source<TAB>target lines, or two line-aligned files.",
        ),
    ],
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Planned duration, of each part if there are stages or teachers. Default: chosen by the amount of "
            "text, or from the recipe."
        ),
    ] = None,
    languages: Annotated[
        str | None, typer.Option(metavar="CODES", help="Languages of PAIRS, e.g. en-de. Default: detected.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="I,J",
            help="Columns of source and target in PAIRS: numbers, counted from 1, or names in the header. Default: "
            "detected.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Minimum score: pairs below it are left out. Default: no limit.")
    ] = None,
    score_column: Annotated[
        str | None,
        typer.Option(metavar="K", help="Column of the scores in PAIRS: number or name. Default: detected."),
    ] = None,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Model directory. Default: runs/NAME, named after the recipe or file; for the recipe of a run, its "
            "directory.",
        ),
    ] = None,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Resume even if the recipe or corpora have changed.")
    ] = False,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Addresses of all workers; run the command on each, with its own --worker-index.",
        ),
    ] = None,
    worker_index: Annotated[
        int | None, typer.Option(metavar="I", help="Index of this worker in --workers, counted from 0.")
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show-translations", help="Translate five validation sentences at the end and show their attention."
        ),
    ] = False,
    dump_config: Annotated[bool, typer.Option("--dump-config", help="Print the complete recipe and stop.")] = False,
) -> None:
    """Train a model, or resume an interrupted run in the same directory.

    For PAIRS, the command plans a complete recipe: `--dump-config` prints it, `--set` changes it, and DIR/config.yaml
    stores it, or DIR/stages.yaml or DIR/teachers.yaml if it has these. To train a variant, edit a copy of that file.

    On Ctrl-C, SIGTERM or a closed terminal, the run saves and exits with code 130; the same command resumes exactly,
    even if the corpora have been moved or compressed in the meantime. Before the first batch there is nothing to save,
    and the run ends immediately.
    """
    from seq2seq.config import TranslationConfig
    from seq2seq.config import dump_config as dump

    overrides = list(overrides or [])
    if workers is not None or worker_index is not None:
        set_tf_config(workers, worker_index)
        overrides.append("training.distribution=multi_worker")
    say = print_stderr if dump_config else print_stdout
    config, output = load_or_plan(
        inputs, overrides, minutes, languages, columns, Scores(min_score, score_column), output, say
    )
    if show and not isinstance(config, TranslationConfig):
        raise typer.BadParameter(f"--show-translations: a model of `task: {config.task}` does not translate")
    if dump_config:
        with open_output(STDOUT) as handle:
            handle.write(dump(config))
        return

    from seq2seq.model_directory import LAST
    from seq2seq.model_directory.other_models import check_other_models

    if not config.stages:  # those of stages may be trained by the run
        check_other_models(config, resumes=(output / LAST).exists())
    import_tensorflow()
    from seq2seq.training import train as run

    report = run(config, output, console=Console(), allow_changes=allow_changes)
    if not report.end:
        raise typer.Exit(EXIT_INTERRUPTED)
    best = "none" if report.best is None else f"{report.best:.4g}"
    print_stdout(f"best {config.validation.metric_name} on validation: {best}")
    if show:
        show_translations(output, report.samples)
    print_stdout(commands_after_run(config, report))
    if report.remaining_warnings:
        print_stdout(f"warning: read the warnings above before you use {output}: they concern this model")


def set_tf_config(workers: str | None, index: int | None) -> None:
    """Pass the two flags to TensorFlow, in the environment variable `TF_CONFIG`.

    Raises:
        ConfigError: One flag is missing, an address has no port, or there is no such worker.
    """
    if workers is None or index is None:
        raise ConfigError(
            "--workers and --worker-index go together: give the addresses of all workers and the index of this one."
        )
    addresses = workers.split(",")
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigError(f"--workers: expected host:port, found {address!r}. Write e.g. --workers a:2222,b:2222.")
    if not 0 <= index < len(addresses):
        raise ConfigError(f"--worker-index {index}: expected the index of a worker, 0 to {len(addresses) - 1}.")
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
