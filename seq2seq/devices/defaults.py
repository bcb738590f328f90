"""What a recipe leaves to the device: how much is computed at once, and whether the same each time."""

from typing import NamedTuple

from seq2seq.config import SearchOptions
from seq2seq.devices.device import Device


class Defaults(NamedTuple):
    """What null stands for on a kind of device.

    batch_tokens   `batching.max_tokens`: real tokens of a training batch, of all replicas together
    search_tokens  `search.batch_tokens`: padded source tokens times hypotheses of a search
    search_logits  hypotheses times vocabulary of a search; None: no limit besides `search_tokens`
    deterministic  `training.deterministic`
    """

    batch_tokens: int
    search_tokens: int
    search_logits: int | None
    deterministic: bool


# Memory that a search may count on, in bytes. TensorFlow has no public way to ask how much a GPU has, so this is the
# 16 GiB of the smaller ones for training, as a T4.
GPU_MEMORY = 16 * 2**30
# float32 tensors of hypotheses times vocabulary that are alive at once in a step of a search: logits,
# log-probabilities, scores, and what they are made from.
LOGIT_COPIES = 5

# Products of 1,000 rows keep a CPU busy. On a GPU the time of an update, or of a step of a search, is mostly that of
# starting its operations, whatever their size. Other memory grows with a search too, so a quarter is for the logits.
CPU = Defaults(batch_tokens=1_000, search_tokens=16_000, search_logits=None, deterministic=True)
GPU = Defaults(
    batch_tokens=8_000,
    search_tokens=128_000,
    search_logits=GPU_MEMORY // 4 // (4 * LOGIT_COPIES),
    deterministic=False,
)


def device_defaults(device: Device) -> Defaults:
    """What suits a device."""
    return GPU if device.is_gpu else CPU


def search_budget(options: SearchOptions, vocabulary_size: int, device: Device) -> tuple[int, int]:
    """How much a search does at once: as much as `options.batch_tokens` say, or else as suits the device.

    Args:
        options: How to search.
        vocabulary_size: Of the target, whose logits every hypothesis has at each step.
        device: That searches.

    Returns:
        Padded source tokens times hypotheses; and hypotheses of all sentences together.
    """
    if options.batch_tokens is not None:
        return options.batch_tokens, options.batch_tokens  # each hypothesis has a token or more
    tokens, logits = device_defaults(device).search_tokens, device_defaults(device).search_logits
    return tokens, tokens if logits is None else logits // vocabulary_size
