"""Temperature scaling: fitting a temperature, storing it with a model, and token probabilities at this temperature."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from seq2seq.data.tokenizer import EOS_ID, Tokenizer
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.inference.confidence import Calibration, CalibrationScores, expected_calibration_error
from seq2seq.inference.results import Translation
from seq2seq.inference.teacher_forcing import Ids, TeacherForcing
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.model_directory.derived_files import (
    CALIBRATION_FILE,
    how_to_make,
    record_derived_file,
    verify_derived_file,
)
from seq2seq.model_directory.directory import WEIGHTS_FILE
from seq2seq.model_directory.pretrained import refuse_pretrained
from seq2seq.storage.arrays import load_checksum
from seq2seq.storage.files import atomic_write

MAX_TOKENS = 50_000  # enough target tokens to fit one number; further pairs are not read
LIMITS = 0.05, 20.0  # of the temperature
TOLERANCE = 1e-4  # relative, of the temperature


class TemperatureScaling:
    """Temperature of one model, and how well its probabilities fit at any temperature; threads may share it.

    Results do not depend on the batch.

    Args:
        forcing: Teacher forcing with the model.
    """

    def __init__(self, forcing: TeacherForcing) -> None:
        self.forcing = forcing

        @forward_only()
        def measure(readout: tf.Tensor, labels: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, ...]:
            columns, bias = forcing.model.output_weights()
            scores = tf.cast(tf.matmul(readout, tf.cast(columns, readout.dtype)), tf.float32) + bias
            scores -= tf.reduce_max(scores, axis=1, keepdims=True)
            scaled = tf.nn.log_softmax(scores / temperature)
            probs = tf.exp(scaled)
            mean = tf.reduce_sum(probs * scores, axis=1)
            variance = tf.reduce_sum(probs * scores**2, axis=1) - mean**2
            own = tf.gather(scores, labels, batch_dims=1)
            right = tf.argmax(scores, axis=1, output_type=tf.int32) == labels
            return tf.gather(scaled, labels, batch_dims=1), mean - own, variance, tf.reduce_max(probs, axis=1), right

        self._measure = tf.function(measure, input_signature=forcing.signature, autograph=False)

    def add_confidence(
        self, translations: Sequence[Translation], sources: Sequence[Ids], tokenizer: Tokenizer, temperature: float
    ) -> list[Translation]:
        """The translations with the probabilities of all tokens of all hypotheses, `token_confidence`.

        The probabilities are over all target tokens, whatever the search was restricted to.

        Args:
            translations: Translations by any search.
            sources: Source token ids of each translation, without EOS.
            tokenizer: Target tokenizer.
            temperature: Divisor of the logits.
        """
        both = [(ids, one) for ids, own in zip(sources, translations, strict=True) for one in own.hypotheses]
        targets = [tokenizer.ids(hypothesis.tokens) for _, hypothesis in both]
        found = self.forcing.run([ids for ids, _ in both], targets, temperature=temperature)
        pairs = zip(both, found, strict=True)
        sure = (replace(one, token_confidence=np.exp(forced.log_probs)) for (_, one), forced in pairs)
        return [replace(one, hypotheses=list(islice(sure, len(one.hypotheses)))) for one in translations]

    def fit(self, sources: Sequence[Ids], targets: Sequence[Ids]) -> Calibration:
        """Fit the temperature that minimises the mean negative log-likelihood of the targets' tokens.

        The mean is convex in 1 / temperature, so Newton's method, kept within a bracket, finds the minimum.

        Args:
            sources: Source token ids without EOS.
            targets: Target token ids without EOS, one list per source.

        Raises:
            EvaluationError: There are no pairs with tokens on both sides.

        Source:
            Guo et al. (2017), section 4.2.
        """
        pairs = [(source, [*target, EOS_ID]) for source, target in zip(sources, targets, strict=True)]
        pairs = [(source, target) for source, target in pairs if source and len(target) > 1]
        ends = np.cumsum([len(target) for _, target in pairs])
        pairs = pairs[: int(np.searchsorted(ends, MAX_TOKENS)) + 1]
        if not pairs:
            raise EvaluationError("there is nothing to calibrate on: no pair has text on both sides.")
        readout, labels = self.forcing.readouts(*zip(*pairs, strict=True))
        low, high = 1 / LIMITS[1], 1 / LIMITS[0]
        inverse = 1.0
        while high - low > TOLERANCE * inverse:
            _, slope, variance, *_ = self._measured(readout, labels, 1 / inverse)
            low, high = (inverse, high) if slope.mean() < 0 else (low, inverse)
            step = inverse - slope.mean() / max(variance.mean(), np.finfo(np.float64).tiny)
            following = step if low < step < high else (low + high) / 2
            if abs(following - inverse) < TOLERANCE * inverse:
                break
            inverse = following
        before, after = (self._scores(readout, labels, temperature) for temperature in (1.0, 1 / inverse))
        return Calibration(1 / inverse, before, after)

    def score(self, sources: Sequence[Ids], targets: Sequence[Ids], temperature: float) -> CalibrationScores:
        """Calibration at a temperature; arguments as in `fit`, and pairs with a blank side are left out."""
        pairs = [(s, [*t, EOS_ID]) for s, t in zip(sources, targets, strict=True) if s and t]
        if not pairs:
            raise EvaluationError("there is nothing to measure calibration on: no pair has text on both sides.")
        return self._scores(*self.forcing.readouts(*zip(*pairs, strict=True)), temperature)

    def _scores(self, readout: tf.Tensor, labels: tf.Tensor, temperature: float) -> CalibrationScores:
        log_probs, _, _, confidences, right = self._measured(readout, labels, temperature)
        return CalibrationScores(
            tokens=len(labels),
            accuracy=float(right.mean()),
            confidence=float(confidences.mean()),
            calibration_error=expected_calibration_error(confidences, right),
            nll=float(-log_probs.mean()),
        )

    def _measured(self, readout: tf.Tensor, labels: tf.Tensor, temperature: float) -> list[np.ndarray]:
        blocks = self.forcing.blocks(len(labels))
        found = [self._measure(readout[block], labels[block], temperature) for block in blocks]
        return [np.concatenate(values).astype(np.float64) for values in zip(*found, strict=True)]


def save_calibration(folder: Path, calibration: Calibration, made_from: str) -> None:
    """Write a calibration into a model directory; `metadata.json` gets its checksum and that of the weights.

    Args:
        folder: Model directory.
        calibration: Calibration of its model.
        made_from: SHA-256 of the weights when they were read.

    Raises:
        ModelDirectoryError: The metadata of the directory are missing or damaged, or the model is a pretrained one.
    """
    refuse_pretrained(folder)
    with atomic_write(folder / CALIBRATION_FILE) as partial:
        partial.write_text(json.dumps(calibration.as_dict(), indent=2) + "\n", encoding="utf-8")
    record_derived_file(folder, CALIBRATION_FILE, {WEIGHTS_FILE: made_from})


def load_calibration(folder: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        ModelDirectoryError: The file is missing, damaged, not a calibration, or made for other weights.
    """
    path = verify_derived_file(folder, CALIBRATION_FILE, {WEIGHTS_FILE: load_checksum(folder / WEIGHTS_FILE)})
    try:
        return Calibration.from_dict(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        again = how_to_make(folder, CALIBRATION_FILE)
        raise ModelDirectoryError(f"{path}: not a calibration: {error}. {again}") from None
