"""Reranking: another model rescores the hypotheses of a search."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from seq2seq.config import Precision, SearchOptions
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ConfigError
from seq2seq.inference.results import Translation
from seq2seq.inference.scorer import Scorer
from seq2seq.model_directory.pretrained import find_other_model

Languages = tuple[str | None, str | None]
Direction = Literal["same", "reverse", "language model"]


class Reranker:
    """Add the score of another model to that of each hypothesis, and sort them by the sum.

        score = score of the search + rerank_weight * score of the model

    A model of the same direction scores p(translation | source), one of the reverse direction p(source | translation),
    a language model p(translation). Its score is the sum of its log-probabilities, normalised by `length_penalty` and
    the number of tokens that it predicts. It reads texts with its own tokenizers.

    Args:
        scorer: The other model.
        direction: Its direction, relative to that of the search.

    Source:
        Li and Jurafsky (2016) for the reverse direction; Yee, Dauphin and Auli (2019) for all three.

    Departure:
        The number of words has no weight of its own.
    """

    def __init__(self, scorer: Scorer, direction: Direction) -> None:
        self.scorer, self.direction = scorer, direction

    @classmethod
    def load(
        cls,
        path: str,
        tokenizers: Tokenizers,
        languages: Languages,
        precision: Precision,
        on_warning: Callable[[str], None],
    ) -> "Reranker":
        """Read the other model.

        Args:
            path: Its directory, or the name of a pretrained model.
            tokenizers: Tokenizers of the search.
            languages: Languages of source and target of the search; None: unknown.
            precision: Precision of computation.
            on_warning: See `Scorer`.

        Raises:
            ConfigError: The model is of another language pair, or neither languages nor tokenizers tell its direction.
            CorpusError: An environment variable in the path is not set.
            ModelDirectoryError: The model is missing or damaged.
        """
        scorer = Scorer.load(find_other_model(path), precision, on_warning)
        if not scorer.reads_source:
            return cls(scorer, "language model")
        return cls(scorer, find_direction(path, scorer, tokenizers, languages))

    def rerank(
        self, sources: Sequence[str], translations: Sequence[Translation], options: SearchOptions
    ) -> list[Translation]:
        """The translations with new scores of their hypotheses, best first.

        Args:
            sources: The text of each source.
            translations: What the search has found, with all its hypotheses.
            options: Search options.
        """
        pairs = [
            (source, hypothesis.text)
            for source, translation in zip(sources, translations, strict=True)
            for hypothesis in translation.hypotheses
        ]
        if self.direction == "reverse":
            pairs = [(target, source) for source, target in pairs]
        found = iter(self.scorer.score(pairs, SearchOptions(length_penalty=options.length_penalty)))
        results = []
        for translation in translations:
            rescored = [
                replace(one, score=one.score + options.rerank_weight * next(found).score)
                for one in translation.hypotheses
            ]
            rescored.sort(key=lambda one: -one.score)
            results.append(replace(translation, hypotheses=rescored))
        return results


def find_direction(
    path: str, scorer: Scorer, tokenizers: Tokenizers, languages: Languages
) -> Literal["same", "reverse"]:
    """Whether a model has the given direction or the reverse, by its languages, or else by its tokenizers.

    Raises:
        ConfigError: It has a different language pair, or nothing tells its direction.
    """
    if None not in languages and None not in scorer.languages:
        if scorer.languages == languages:
            return "same"
        if scorer.languages == languages[::-1]:
            return "reverse"
        found, expected = "-".join(map(str, scorer.languages)), "-".join(map(str, languages))
        raise ConfigError(
            f"{path}: translates {found}, expected {expected} or the reverse direction. Give another model."
        )
    theirs, ours = ([one.fingerprint() for one in pair] for pair in (scorer.tokenizers, tokenizers))
    if (theirs == ours) == (theirs == ours[::-1]):
        raise ConfigError(
            f"{path}: neither languages nor tokenizers tell whether it translates in the same or in the reverse "
            "direction. Train both models with 'data.source_language' and 'data.target_language'."
        )
    return "same" if theirs == ours else "reverse"


class Rerankers:
    """Rerankers by path, each read once; threads may share it."""

    def __init__(self, tokenizers: Tokenizers, precision: Precision, on_warning: Callable[[str], None]) -> None:
        self.tokenizers, self.precision, self.on_warning = tokenizers, precision, on_warning
        self._lock = threading.Lock()
        self._loaded: dict[str, Reranker] = {}

    def get(self, options: SearchOptions, languages: Languages) -> Reranker | None:
        """The reranker that the options ask for; None if they ask for none. Errors as in `Reranker.load`."""
        if not options.uses_reranking:
            return None
        path = options.rerank_model
        assert path is not None
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = Reranker.load(path, self.tokenizers, languages, self.precision, self.on_warning)
            return self._loaded[path]
