"""Log-probabilities and attention of given target tokens: teacher forcing in batches of similar lengths."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from seq2seq.data.padding import batches_by_length, pad
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.devices.device import set_tf32
from seq2seq.devices.out_of_memory import BatchSplitter
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.layers.losses import output_cross_entropy
from seq2seq.models.base import DecoderModel

BATCH_TOKENS = 4000  # padded tokens of both sides that are read at once
MAX_LOGITS = 32_000_000  # computed at once (128 MB), however large the vocabulary and however long the line

Ids = Sequence[int]
Result = TypeVar("Result")


class ForcedTokens(NamedTuple):
    """Result for one target of L tokens.

    Attributes:
        log_probs: (L,) float32, in nats.
        coverage: (S,) float32, attention to each source token, EOS included, summed over the target tokens; (0,) if the
            model has no attention.
    """

    log_probs: np.ndarray
    coverage: np.ndarray


NOTHING = ForcedTokens(np.zeros(0, np.float32), np.zeros(0, np.float32))  # of a target without tokens


class TeacherForcing:
    """Log-probabilities and attention of one model that reads given target tokens; threads may share it.

    Layer outputs are held for whole lines, logits for one block of tokens at a time. A batch that does not fit into
    memory is processed in halves, and later batches are smaller. Results do not depend on the batch.

    Args:
        model: A translation model or a language model.
        on_warning: Called with a warning message when the first batch does not fit into memory.
    """

    def __init__(self, model: DecoderModel, on_warning: Callable[[str], None]) -> None:
        self.model, self.on_warning = model, on_warning
        self._memory = BatchSplitter()  # of padded tokens

        @forward_only()
        def nll(readout: tf.Tensor, labels: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
            table, bias = model.output_embedding.table.value, model.output_bias.value
            return output_cross_entropy(readout, table / temperature, bias / temperature, labels, 0.0)[1]

        tokens, labels = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        readouts = tf.TensorSpec([None, model.output_embedding.size], model.compute_dtype)
        self.signature = [readouts, labels, tf.TensorSpec([], tf.float32)]  # of what reads `readouts` at a temperature
        read_out = forward_only()(model.readouts_and_attention)
        self._read_out = tf.function(read_out, input_signature=[tokens] * 2, autograph=False)
        self._nll = tf.function(nll, input_signature=self.signature, autograph=False)

    def run(
        self,
        sources: Sequence[Ids],
        targets: Sequence[Ids],
        on_progress: ProgressCallback = no_progress,
        *,
        temperature: float = 1.0,
    ) -> list[ForcedTokens]:
        """The result for each target; `NOTHING` for one without tokens.

        Args:
            sources: Source token ids without EOS; empty ones for a language model.
            targets: Target token ids, one list per source; EOS is included if its probability counts.
            on_progress: Called with the number of targets done so far, those without tokens left out.
            temperature: Divisor of the logits.

        Raises:
            OutOfMemoryError: A target does not fit into memory, even alone.
        """

        def compute(
            rows: Sequence[int], readout: tf.Tensor, labels: tf.Tensor, attention: tf.Tensor
        ) -> list[ForcedTokens]:
            blocks = self.blocks(len(labels))
            nll = np.concatenate([self._nll(readout[block], labels[block], temperature).numpy() for block in blocks])
            log_probs = np.split(-nll, np.cumsum([len(targets[row]) for row in rows])[:-1])
            coverage = tf.reduce_sum(attention, axis=1).numpy()
            covered = [row[: len(sources[index]) + 1] for index, row in zip(rows, coverage, strict=True)]
            # Copies: a view would keep the whole batch alive.
            return [ForcedTokens(own.copy(), row.copy()) for own, row in zip(log_probs, covered, strict=True)]

        found = [NOTHING] * len(targets)
        for row, result in self._rows(sources, targets, compute, on_progress):
            found[row] = result
        return found

    def attention(
        self, sources: Sequence[Ids], targets: Sequence[Ids], on_progress: ProgressCallback = no_progress
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index of each target of L tokens with its attention weights to the source, (L, S) float32.

        S counts EOS, and is 0 if the model has no attention. Only the weights of one batch are held. Targets come in
        order of length; those without tokens are left out. Arguments and errors are those of `run`.
        """

        def compute(
            rows: Sequence[int], readout: tf.Tensor, labels: tf.Tensor, attention: tf.Tensor
        ) -> list[np.ndarray]:
            weights = zip(rows, attention.numpy(), strict=True)
            return [own[: len(targets[row]), : len(sources[row]) + 1] for row, own in weights]

        return self._rows(sources, targets, compute, on_progress)

    def readouts(self, sources: Sequence[Ids], targets: Sequence[Ids]) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs of the output layer at all target tokens, (N, E) compute dtype, and these tokens, (N,) int32.

        Targets come in order of length, not in the given one; arguments and errors are those of `run`.
        """
        batches = self._batches(sources, targets, lambda rows, readout, labels, attention: (readout, labels))
        readouts, labels = zip(*(found for _, found in batches), strict=True)
        return tf.concat(readouts, 0), tf.concat(labels, 0)

    def blocks(self, tokens: int) -> list[slice]:
        """Blocks of a number of tokens whose logits are computed at once."""
        most = max(1, MAX_LOGITS // self.model.output_embedding.vocabulary_size)
        return [slice(start, start + most) for start in range(0, tokens, most)]

    def _rows(
        self,
        sources: Sequence[Ids],
        targets: Sequence[Ids],
        compute: Callable[..., Sequence[Result]],
        on_progress: ProgressCallback,
    ) -> Iterator[tuple[int, Result]]:
        """Index and result of each target that has tokens; arguments as in `run` and `_batches`."""
        done = 0
        for rows, results in self._batches(sources, targets, compute):
            yield from zip(rows, results, strict=True)
            done += len(rows)
            on_progress(done)

    def _batches(
        self, sources: Sequence[Ids], targets: Sequence[Ids], compute: Callable[..., Result]
    ) -> Iterator[tuple[Sequence[int], Result]]:
        """Indices of the targets of each batch, and what `compute` makes of them and of the decoder's results."""
        set_tf32(self.model.precision)

        def longest(rows: Sequence[int]) -> int:
            return max(len(sources[row]) for row in rows) + max(len(targets[row]) for row in rows)

        def size(rows: Sequence[int]) -> int:
            return len(rows) * longest(rows)

        def explain(rows: Sequence[int], shortage: str) -> str:
            if len(rows) > 1:
                return f"{shortage} at {len(rows)} lines of up to {longest(rows)} tokens: fewer at once from now on."
            return f"{shortage} at one line of {longest(rows)} tokens. Divide such lines, or leave them out."

        def read(rows: Sequence[int]) -> Result:
            source, target = pad([[*sources[row], EOS_ID] for row in rows]), pad([targets[row] for row in rows])
            return compute(rows, *self._read_out(source, target))

        lengths = [len(target) and len(source) + len(target) for source, target in zip(sources, targets, strict=True)]
        for batch in batches_by_length(lengths, lambda length: BATCH_TOKENS // length):
            yield from self._memory.run(batch, read, size=size, explain=explain, on_warning=self.on_warning)
