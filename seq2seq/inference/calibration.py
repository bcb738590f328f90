"""Temperature scaling: fitting a temperature, storing it with a model, and token probabilities at this temperature."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from seq2seq.data.padding import batches_by_length, pad
from seq2seq.data.tokenizer import EOS_ID, PAD_ID, Tokenizer
from seq2seq.devices.device import set_tf32
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.inference.confidence import Calibration, CalibrationScores, expected_calibration_error
from seq2seq.inference.results import Translation
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.model_directory.derived_files import (
    CALIBRATION_FILE,
    how_to_make,
    record_derived_file,
    verify_derived_file,
)
from seq2seq.model_directory.directory import WEIGHTS_FILE
from seq2seq.model_directory.pretrained import refuse_pretrained
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import load_checksum
from seq2seq.storage.files import atomic_write

BATCH_TOKENS = 4000  # padded tokens of both sides that are read at once
MAX_LOGITS = 32_000_000  # computed at once (128 MB), however large the vocabulary
MAX_TOKENS = 50_000  # enough target tokens to fit one number; further pairs are not read
LIMITS = 0.05, 20.0  # of the temperature
TOLERANCE = 1e-4  # relative, of the temperature

Ids = Sequence[int]


class TokenProbabilities:
    """Teacher-forced probabilities of one model at any temperature; threads may share it.

    The probabilities are over all target tokens, whatever a search restricts, and do not depend on the batch.
    """

    def __init__(self, model: Seq2Seq) -> None:
        self.model = model

        @forward_only()
        def log_probs(readout: tf.Tensor, labels: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
            scaled = tf.nn.log_softmax(logits(readout) / temperature)
            return tf.gather(scaled, labels, batch_dims=1)

        @forward_only()
        def measure(readout: tf.Tensor, labels: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, ...]:
            scores = logits(readout)
            scores -= tf.reduce_max(scores, axis=1, keepdims=True)
            scaled = tf.nn.log_softmax(scores / temperature)
            probs = tf.exp(scaled)
            mean = tf.reduce_sum(probs * scores, axis=1)
            variance = tf.reduce_sum(probs * scores**2, axis=1) - mean**2
            own = tf.gather(scores, labels, batch_dims=1)
            right = tf.argmax(scores, axis=1, output_type=tf.int32) == labels
            return tf.gather(scaled, labels, batch_dims=1), mean - own, variance, tf.reduce_max(probs, axis=1), right

        def logits(readout: tf.Tensor) -> tf.Tensor:
            columns, bias = model.output_weights()
            return tf.cast(tf.matmul(readout, tf.cast(columns, readout.dtype)), tf.float32) + bias

        tokens, labels = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        readouts = tf.TensorSpec([None, model.output_embedding.size], model.compute_dtype)
        signature = [readouts, labels, tf.TensorSpec([], tf.float32)]
        self._read_out = tf.function(forward_only()(model.readouts), input_signature=[tokens] * 2, autograph=False)
        self._log_probs = tf.function(log_probs, input_signature=signature, autograph=False)
        self._measure = tf.function(measure, input_signature=signature, autograph=False)

    def run(self, sources: Sequence[Ids], targets: Sequence[Ids], temperature: float) -> list[np.ndarray]:
        """Probabilities of the tokens of each target, (L,) float32.

        Args:
            sources: Source token ids without EOS.
            targets: Target token ids, one list per source; one without tokens has no probabilities.
            temperature: Divisor of the logits.
        """
        found = [np.zeros(0, np.float32)] * len(targets)
        for rows, readout, labels in self._readouts(sources, targets):
            blocks = [
                self._log_probs(readout[block], labels[block], temperature).numpy() for block in self._blocks(labels)
            ]
            real = [np.asarray(targets[row]) != PAD_ID for row in rows]  # a model might generate the token for padding
            ends = np.cumsum([mask.sum() for mask in real])[:-1]
            for row, mask, own in zip(rows, real, np.split(np.exp(np.concatenate(blocks)), ends), strict=True):
                found[row] = np.zeros(len(mask), np.float32)
                found[row][mask] = own
        return found

    def add_confidence(
        self, translations: Sequence[Translation], sources: Sequence[Ids], tokenizer: Tokenizer, temperature: float
    ) -> list[Translation]:
        """The translations with the probabilities of all tokens of all hypotheses, `token_confidence`.

        Args:
            translations: Translations by any search.
            sources: Source token ids of each translation, without EOS.
            tokenizer: Target tokenizer.
            temperature: Divisor of the logits.
        """
        both = [(ids, one) for ids, own in zip(sources, translations, strict=True) for one in own.hypotheses]
        targets = [tokenizer.ids(hypothesis.tokens) for _, hypothesis in both]
        found = self.run([ids for ids, _ in both], targets, temperature)
        sure = (replace(one, token_confidence=own) for (_, one), own in zip(both, found, strict=True))
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
        readout, labels = self._all_readouts(pairs)
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
        return self._scores(*self._all_readouts(pairs), temperature)

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
        blocks = [self._measure(readout[block], labels[block], temperature) for block in self._blocks(labels)]
        return [np.concatenate(values).astype(np.float64) for values in zip(*blocks, strict=True)]

    def _blocks(self, labels: tf.Tensor) -> list[slice]:
        most = max(1, MAX_LOGITS // self.model.output_embedding.vocabulary_size)
        return [slice(start, start + most) for start in range(0, len(labels), most)]

    def _all_readouts(self, pairs: Sequence[tuple[Ids, Ids]]) -> tuple[tf.Tensor, tf.Tensor]:
        batches = list(self._readouts(*zip(*pairs, strict=True)))
        return tf.concat([readout for _, readout, _ in batches], 0), tf.concat([labels for *_, labels in batches], 0)

    def _readouts(
        self, sources: Sequence[Ids], targets: Sequence[Ids]
    ) -> Iterator[tuple[list[int], tf.Tensor, tf.Tensor]]:
        """Batches of pairs: their places, and the output layer's inputs and labels of all their target tokens."""
        set_tf32(self.model.precision)
        lengths = [len(target) and len(source) + len(target) for source, target in zip(sources, targets, strict=True)]
        for rows in batches_by_length(lengths, lambda length: BATCH_TOKENS // (length + 1)):
            padded = pad([[*sources[row], EOS_ID] for row in rows]), pad([targets[row] for row in rows])
            yield rows, *self._read_out(*padded)


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
