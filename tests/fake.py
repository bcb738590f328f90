"""A fake model of a few lines for tests of search, and its exhaustive search."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.search import NEG_INF, SearchConstraints, StepOutput
from tests.reference import log_softmax

PAD, UNK, BOS, EOS = 0, 1, 2, 3
V, S, BUCKETS = 6, 3, 31
INNER = (UNK, 4, 5)  # tokens that a translation may hold before EOS
CANDIDATES = np.array([[0, 1, 2, 3, 4, 5], [0, 2, 3, 4, 0, 0], [0, 1, 3, 5, 0, 0]])  # by sentence, of a `RuledFake`


class Fake:
    """Logits and attention are looked up by a hash of all tokens so far, so a wrong gather of states shows.

    Sentence i has `S - i % S` real source tokens.
    """

    def __init__(self, seed: int, sentences: int, sharpness: float = 2.0) -> None:
        generator = np.random.default_rng(seed)
        self.logits = (sharpness * generator.normal(size=(sentences, BUCKETS, V))).astype("f")
        self.mask = np.arange(S) < S - np.arange(sentences)[:, None] % S
        weights = generator.dirichlet(np.ones(S), size=(sentences, BUCKETS)) * self.mask[:, None]
        self.weights = (weights / weights.sum(axis=-1, keepdims=True)).astype("f")
        self.sentences = sentences

    def __call__(self, tokens, state, memory):
        state = (7 * state + tf.cast(tokens, tf.int64)[:, :, None] + 1) % BUCKETS
        row = tf.repeat(memory[:, None], tf.shape(tokens)[1], axis=1)
        index = tf.stack([row, state[:, :, 0]], axis=-1)
        log_probs = tf.nn.log_softmax(tf.gather_nd(self.logits, index))
        return StepOutput(log_probs, state, tf.gather_nd(self.weights, index))

    def start(self, *rows):
        """First state and memory, of some sentences."""
        rows = list(rows or range(self.sentences))
        return tf.zeros([len(rows), 1, 1], tf.int64), tf.constant(rows, tf.int64)

    def rules(self, limits, rows=None, **values):
        mask = self.mask if rows is None else self.mask[rows]
        return SearchConstraints(
            max_lengths=tf.constant(limits), bos_id=BOS, eos_id=EOS, pad_id=PAD, source_mask=mask, **values
        )

    def follow(self, sentence, tokens):
        """Token log-probabilities and attention of one hypothesis, step by step."""
        state, log_probs, weights = 0, [], []
        for previous, token in zip([BOS, *tokens[:-1]], tokens, strict=True):
            state = (7 * state + previous + 1) % BUCKETS
            log_probs.append(log_softmax(self.logits[sentence, state])[token])
            weights.append(self.weights[sentence, state])
        return np.array(log_probs), np.array(weights)

    def score(self, sentence, tokens, penalty=0.0, beta=0.0):
        """From the equations of Wu et al. (2016), section 7."""
        log_probs, weights = self.follow(sentence, tokens)
        by = len(tokens) if penalty == "average" else ((5 + len(tokens)) / 6) ** penalty
        covered = weights.sum(axis=0)[self.mask[sentence]]
        return log_probs.sum() / by + beta * np.log(np.minimum(covered, 1.0)).sum()

    def exhaustive(self, sentence, max_length, min_length=1, inner=INNER, **penalties):
        """All hypotheses, best first."""
        lengths = range(min(min_length, max_length), max_length + 1)
        hypotheses = [[*tokens, EOS] for length in lengths for tokens in product(inner, repeat=length - 1)]
        scored = [(self.score(sentence, hypothesis, **penalties), hypothesis) for hypothesis in hypotheses]
        return sorted(scored, key=lambda pair: -pair[0])


def repeats_ngram(before, token, size):
    """Whether a token makes an n-gram that is there already; from the definition."""
    tokens = [*before, token]
    ngrams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return bool(size) and len(tokens) >= size and ngrams[-1] in ngrams[:-1]


class RuledFake(Fake):
    """A fake model with rules on what may come next, which `choices` of a subclass has.

    Log-probabilities of tokens that come again are multiplied by `penalty`; no n-gram of `size` comes twice. With
    `listed`, only the candidates may come, which the step ranks in their own places.
    """

    def __init__(self, seed, sentences=3, size=0, penalty=None, listed=False):
        super().__init__(seed, sentences, sharpness=1.0)
        self.size, self.penalty, self.listed = size, penalty, listed

    def __call__(self, tokens, state, memory):
        output = super().__call__(tokens, state, memory)
        if not self.listed:
            return output
        candidates = tf.gather(tf.constant(CANDIDATES, tf.int64), memory)
        output = output._replace(candidates=candidates)
        there = (candidates > 0) | (tf.range(V) == 0)
        return output._replace(scores=tf.where(there[:, None], output.gather_candidates(output.scores), NEG_INF))

    @property
    def repetition(self):
        """Options of `without_repetition`."""
        return {"no_repeat_ngram_size": self.size, "repetition_penalty": self.penalty}

    def penalised(self, tokens, log_probs):
        repeated = [token in tokens[:place] for place, token in enumerate(tokens)]
        return np.where(repeated, log_probs * (self.penalty or 1.0), log_probs)

    def inner(self, sentence, forbidden=()):
        """Tokens that a translation may hold before EOS."""
        listed = [token for token in INNER if not self.listed or token in CANDIDATES[sentence]]
        return [token for token in listed if token not in forbidden]

    def all_hypotheses(self, sentence, limit, shortest=1, forbidden=(), before=(), **penalties):
        """Pairs of score and tokens, best first."""
        found = []
        for token in self.choices(sentence, list(before), limit, shortest, forbidden):
            tokens = [*before, token]
            if token == EOS:
                found.append((self.score(sentence, tokens, **penalties), tokens))
            else:
                found += self.all_hypotheses(sentence, limit, shortest, forbidden, tokens, **penalties)
        return sorted(found, key=lambda pair: -pair[0])


def hypotheses(result):
    """Row, rank and tokens of each hypothesis; each row has one."""
    assert (result.lengths[:, 0].numpy() > 0).all()
    for row, sentence in enumerate(result.tokens.numpy().tolist()):
        for n, tokens in enumerate(sentence):
            if length := int(result.lengths[row, n]):
                yield row, n, tokens[:length]


def check(fake, row, result, expected):
    """Compare a sentence's hypotheses, best first, with pairs of score and tokens."""
    found = int((result.lengths[row].numpy() > 0).sum())
    assert found == min(len(expected), result.lengths.shape[1])
    for n in range(found):
        score, hypothesis = expected[n]
        length = int(result.lengths[row, n])
        assert result.tokens[row, n, :length].numpy().tolist() == hypothesis
        assert float(result.scores[row, n]) == pytest.approx(score, abs=1e-5)
        log_probs, weights = fake.follow(row, hypothesis)
        np.testing.assert_allclose(result.log_probs[row, n, :length], log_probs, atol=1e-5)
        np.testing.assert_allclose(result.attention[row, n, :length], weights, atol=1e-6)
        np.testing.assert_allclose(result.coverage[row, n], weights.sum(axis=0), atol=1e-5)
        assert not result.tokens[row, n, length:].numpy().any()
        assert not result.log_probs[row, n, length:].numpy().any()
        assert not result.attention[row, n, length:].numpy().any()
