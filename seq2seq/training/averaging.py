"""The mean of several validations' weights, which often translates better than any one of them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.model_directory.directory import TOKENIZERS, check_directory, load_model_config, save_weights
from seq2seq.model_directory.metadata import CONFIG, read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.storage.files import atomic_write, regular_file
from seq2seq.training.checkpoints import kept_weights, rank_by_metric


def average_checkpoints(
    directory: str | Path, output: str | Path, *, last: int | None = None, best: int | None = None
) -> list[dict[str, Any]]:
    """Average weights that training kept, and write a model directory that translates with the mean.

    The mean is taken in float64 and stored in float32; one file at a time is in memory. Recipe and tokenizers are
    copied; the metadata tells under `scores` which updates were averaged.

    Args:
        directory: A model directory.
        output: A folder that is empty or not there.
        last: Average so many validations, counted from the last; or
        best: counted from the best, by the metric that the recipe validates with.

    Returns:
        What is known of each validation, in the order of choice: `update`, `epoch`, `metric`, `value`, `loss`, `bleu`.

    Raises:
        TrainingError: Not exactly one of `last` and `best` is given, one of these validations was not kept, or `output`
            is in use.
        ModelDirectoryError: A file is damaged, or the files are not of one model.

    Source: Junczys-Dowmunt, Dwojak and Sennrich (2016); Vaswani et al. (2017), section 6.1.
    """
    directory, output = Path(directory), Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise TrainingError(f"{output}: is there already, and not empty. Give another output directory.")
    described = check_directory(directory)
    chosen = _choose(directory, last, best)
    mean = _mean([file for file, _ in chosen])
    output.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, *TOKENIZERS):
        if (directory / name).exists():
            with atomic_write(output / name) as partial:
                shutil.copyfile(regular_file(directory / name), partial)
    validations = [about for _, about in chosen]
    scores = {
        "averaged": [about["update"] for about in validations],
        "by": "last" if best is None else f"best {validations[0]['metric']}",
        "validations": validations,
    }
    save_weights(output, mean, described["precision"], scores, described.get("corpus"))
    return validations


def _choose(directory: Path, last: int | None, best: int | None) -> list[tuple[Path, dict[str, Any]]]:
    if (last is None) == (best is None):
        raise TrainingError("give one of 'last' and 'best': how many validations to average.")
    number, which = (last, "last") if last is not None else (best, "best")
    assert number is not None
    if number < 1:
        raise TrainingError(f"'{which}' is {number}: at least one validation is needed.")
    # The history names them: the kept files may have gaps, as where a resumed run keeps more than before.
    config = load_model_config(directory)
    metric = config.validation.metric
    value = "bleu" if metric == "bleu" else "valid_loss"
    history = [
        (entry["update"], {"metric": metric, "value": entry[value], "loss": entry["valid_loss"]})
        for entry in read_history(directory)
    ]
    ordered = rank_by_metric(history) if which == "best" else history[::-1]
    if number > len(ordered):
        raise TrainingError(f"{directory}: asked for the {number} {which} validations, and there are {len(ordered)}.")
    kept = {about["update"]: (file, about) for file, about in kept_weights(directory)}
    wanted = [update for update, _ in ordered[:number]]
    missing = ", ".join(f"{update:,}" for update in wanted if update not in kept)
    if missing:
        raise TrainingError(
            f"{directory}: asked for the {number} {which} validations, and the weights of update {missing} were not "
            f"kept. A recipe keeps more with training.keep_{which}, which is "
            f"{getattr(config.training, f'keep_{which}')} here."
        )
    return [kept[update] for update in wanted]


def _mean(files: Sequence[Path]) -> dict[str, np.ndarray]:
    total: dict[str, np.ndarray] = {}
    for file in files:
        weights, _ = load_arrays(file)
        if not total:
            total = {name: np.zeros(array.shape, np.float64) for name, array in weights.items()}
        if {name: array.shape for name, array in weights.items()} != {name: sum_.shape for name, sum_ in total.items()}:
            raise ModelDirectoryError(f"{file}: holds other weights than {files[0]}. Are the two of one model?")
        for name, array in weights.items():
            total[name] += array
    return {name: (array / len(files)).astype(np.float32) for name, array in total.items()}
