"""Equality of translations and losses of a model directory that is loaded in a process without a GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from parts.children import answer, start
from parts.report import Check
from seq2seq.devices.device import set_tf32

LOSS = 1e-4  # bound on the difference of a sentence's negative log-likelihood, nats per token
SAME = 0.98  # minimum share of equal translations: in float32, two of them may be equally good
SECONDS = 120.0


def run(check: Check) -> dict[str, Any]:
    """Compare the model of the previous part or, if that was left out, of a toy run."""
    from parts.quickstart import train

    folder = check.shared.get("directory") or train(check, toy=True)[0]
    count = check.sizes.translated
    child = start("load", {"folder": str(folder), "sentences": count}, {"CUDA_VISIBLE_DEVICES": "-1"})
    try:
        here = measure(folder, count)
    finally:
        there = answer(child, SECONDS)
    losses = np.abs(np.subtract(here["losses"], there["losses"]))
    same = float(np.mean([one == other for one, other in zip(here["texts"], there["texts"], strict=True)]))
    print(f"{check.device[1:4]} here, CPU there: losses differ by at most {losses.max():.2g} nats per token,")
    print(f"{same:.1%} of {count} translations are equal")
    check.bound("loading: difference of losses, nats per token", float(losses.max()), LOSS)
    check.hold(f"loading: {same:.1%} of translations are equal, at least {SAME:.0%} expected", same >= SAME)
    return {"largest_difference": float(losses.max()), "same": same, "here": here, "there": there}


def measure(folder: Path, count: int) -> dict[str, list[Any]]:
    """Translations of the first validation sentences with their scores, and the references' losses, in float32."""
    from seq2seq.config import load_config
    from seq2seq.corpora import open_corpus
    from seq2seq.data.tokenizer import EOS_ID
    from seq2seq.inference.translator import Translator
    from seq2seq.model_directory.directory import CONFIG

    translator = Translator.load(folder, precision="float32")
    set_tf32("float32")
    corpus = open_corpus(load_config(folder / CONFIG).data.valid)
    pairs = [pair for _, pair in zip(range(count), corpus, strict=False)]
    translations = translator.translate([pair.source for pair in pairs], attention=False)
    losses = []
    for pair in pairs:
        sides = zip(translator.tokenizers, (pair.source, pair.target), strict=True)
        source, target = (tf.constant([[*tokenizer.encode(text), EOS_ID]]) for tokenizer, text in sides)
        _, nll, tokens = translator.model.loss_sums(source, target)
        losses.append(float(nll / tokens))
    return {
        "texts": [translation.text for translation in translations],
        "scores": [translation.hypotheses[0].score for translation in translations],
        "losses": losses,
    }
