"""Linear probes: can a property of a word be read from a model's vectors, beyond memorising the word?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seq2seq.analysis.challenge.features import INFO_COLUMNS
from seq2seq.analysis.representations import RepresentationLayer, word_states
from seq2seq.arguments import check_arguments
from seq2seq.errors import EvaluationError
from seq2seq.evaluation.intervals import bootstrap_ratio_interval
from seq2seq.extras import require_extra
from seq2seq.inference.translator import Translator

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

FOLDS = 5


class ProbeResult(NamedTuple):
    """Accuracies of a linear classifier, as shares of N rows, 0 to 1.

    Attributes:
        samples: Number of rows N.
        groups: Number of groups.
        accuracy: Accuracy on rows of held-out groups.
        low: Lower end of the 95% interval of `accuracy`, over groups.
        high: Upper end of this interval.
        majority_baseline: Accuracy of always predicting the most frequent label.
        seen_group_accuracy: Accuracy on held-out rows of groups that occur in training.
        control_accuracy: The same for labels drawn at random for each type.
        selectivity: seen_group_accuracy - control_accuracy, the part that is not memory of the type.
    """

    samples: int
    groups: int
    accuracy: float
    low: float
    high: float
    majority_baseline: float
    seen_group_accuracy: float
    control_accuracy: float
    selectivity: float


@check_arguments()
def train_linear_probe(
    vectors: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[str],
    types: Sequence[str],
    *,
    regularization: float = 1.0,
    seed: int = 1,
) -> ProbeResult:
    """Cross-validate a logistic regression from vectors to labels, in five folds.

    Rows of one group are in one fold, so the probe is always tested on unseen groups. The control task gives each type
    a random label of its own. This can only be memorised, so it is tested on types that were seen, and compared with
    the accuracy under the same folds. Vectors from which any label of a type can be read say little about the property.

    Args:
        vectors: (N, U), one row per sentence.
        labels: (N,), at least two different ones.
        groups: (N,), the lemma of each row.
        types: (N,), the word of each row as it is spelled.
        regularization: Weight of the squared norm against the data, above 0 (the inverse of scikit-learn's C).
            Vectors are standardised first, by the statistics of the training folds.
        seed: Seed of the folds, the control labels and the interval.

    Raises:
        EvaluationError: There are fewer groups than folds.
        ValueError: From scikit-learn: lengths differ, or there is only one label.

    Source:
        Alain and Bengio (2017); Hewitt and Liang (2019), section 2 (control tasks and selectivity).

    Departure:
        Hewitt and Liang control for parts of speech, whose words recur in the test set. Here, the probe itself is
        tested on new words, so control and `seen_group_accuracy` have folds of their own. They draw labels
        independently. Here, there are few types, and the labels keep their frequencies.
    """
    with require_extra("analysis", needed_by=__name__):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import KFold, StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

    truth, lemmas, words = np.asarray(labels), np.asarray(groups), np.asarray(types)
    if len(set(groups)) < FOLDS:
        raise EvaluationError(f"a probe with {FOLDS} folds needs at least {FOLDS} groups, found {len(set(groups))}.")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1 / regularization, max_iter=1000))
    by_group = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    by_row = KFold(FOLDS, shuffle=True, random_state=seed)

    def is_right(answers: np.ndarray, **folds: Any) -> np.ndarray:
        return cross_val_predict(classifier, vectors, answers, **folds) == answers

    right = is_right(truth, cv=by_group, groups=lemmas)
    familiar = float(is_right(truth, cv=by_row).mean())
    control = float(is_right(_control_labels(truth, words, seed), cv=by_row).mean())
    _, group_of = np.unique(lemmas, return_inverse=True)
    low, high = bootstrap_ratio_interval(np.bincount(group_of, right), np.bincount(group_of), seed=seed)
    return ProbeResult(
        samples=len(truth),
        groups=len(set(groups)),
        accuracy=float(right.mean()),
        low=low,
        high=high,
        majority_baseline=float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
        seen_group_accuracy=familiar,
        control_accuracy=control,
        selectivity=familiar - control,
    )


@check_arguments()
def probe_positions(
    translator: Translator,
    sentences: pd.DataFrame,
    layers: Sequence[RepresentationLayer] = ("embedding", "encoder"),
    *,
    regularization: float = 1.0,
    seed: int = 1,
) -> pd.DataFrame:
    """Probe each position of sentences with a known feature, in each layer.

    Args:
        translator: Translator from the language of the sentences.
        sentences: Result of `draw_labelled_sentences`: `sentence`, `label`, `lemma`, `word` and a column per position.
        layers: See `source_states`.
        regularization: See `train_linear_probe`.
        seed: See `train_linear_probe`.

    Returns:
        One row per layer and position: layer, position, and the fields of `ProbeResult`.

    Raises:
        EvaluationError: See `train_linear_probe`.
    """
    rows = []
    positions = [column for column in sentences.columns if column not in INFO_COLUMNS]
    for layer in layers:
        words, vectors = word_states(translator, list(sentences["sentence"]), layer)
        starts = np.flatnonzero(words["position"].to_numpy() == 0)
        for name in positions:
            chosen = vectors[starts + sentences[name].to_numpy()]
            columns = (sentences[column].tolist() for column in ("label", "lemma", "word"))
            found = train_linear_probe(chosen, *columns, regularization=regularization, seed=seed)
            rows.append({"layer": layer, "position": name, **found._asdict()})
    return pd.DataFrame(rows)


def _control_labels(labels: np.ndarray, types: np.ndarray, seed: int) -> np.ndarray:
    """Draw one label for all rows of a type: in random order, each type gets the label that most rows still lack."""
    names, lacking = np.unique(labels, return_counts=True)
    kinds, kind_of, sizes = np.unique(types, return_inverse=True, return_counts=True)
    chosen = np.empty(len(kinds), int)
    for kind in np.random.default_rng(seed).permutation(len(kinds)):
        chosen[kind] = lacking.argmax()
        lacking[chosen[kind]] -= sizes[kind]
    return names[chosen][kind_of]
