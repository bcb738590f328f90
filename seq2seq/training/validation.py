"""Validation: the loss on the references, the baseline that it must beat, and BLEU of the model's translations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from seq2seq.config import Config, SearchOptions, TranslationConfig
from seq2seq.config.recipe import Recipe
from seq2seq.corpora import SentencePair
from seq2seq.data.batching import plan_batches
from seq2seq.devices.device import set_tf32
from seq2seq.devices.replicas import Replicas
from seq2seq.evaluation.metrics import corpus_scores, reference_warnings
from seq2seq.evaluation.scorers import make_metric
from seq2seq.inference.results import truncation_warning
from seq2seq.inference.translator import Translator
from seq2seq.models.base import DecoderModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.corpus_checks import unigram_loss
from seq2seq.training.display import Display, Timer
from seq2seq.training.preparation import TrainingData
from seq2seq.training.recovery import explain_out_of_memory

REHEARSED_SENTENCES = 1_000  # sentences whose translation is timed


@dataclass(eq=False)
class Validator:
    """Measure the validation loss of a model in training.

    Several workers share the corpus, and each of them gets the result.

    Attributes:
        translations: Translations of the validation corpus from the last measurement of BLEU; [] if there was none.
    """

    model: DecoderModel
    data: TrainingData
    config: Config
    display: Display
    replicas: Replicas = field(default_factory=Replicas)

    def __post_init__(self) -> None:
        valid, tokens = self.data.valid, self.config.batching.max_tokens
        assert tokens is not None  # see `with_batch_tokens`
        lengths = valid.source.lengths, valid.target.lengths
        self._plan = plan_batches(*lengths, max_tokens=tokens, shuffle_buffer=len(valid), seed=0, epoch=0)
        self.translations: list[str] = []

    @cached_property
    def unigram_loss(self) -> float:
        """Loss of predicting tokens by their frequencies, which a model has to beat."""
        return unigram_loss(self.data.forward, self.data.valid, self.data.tokenizers.target.vocabulary_size)

    def loss(self) -> float:
        """Mean negative log-likelihood per target token, in nats; perplexity is its exponential."""
        mine = range(self.replicas.worker_index, len(self._plan), self.replicas.num_workers)
        total = np.zeros(2)
        with self.display.progress_bar("measuring the validation loss", "batches", len(mine)) as advance:
            for done, index in enumerate(mine, start=1):
                total += self._of_batch(index)
                advance(done)
        nll, tokens = self.replicas.sum_over_workers(total)
        return float(nll / tokens)

    def _of_batch(self, index: int) -> np.ndarray:
        set_tf32(self.model.precision)
        with explain_out_of_memory(self.data, self._plan, index):
            return self.model.loss_sums_function()(*self.data.valid.batch(self._plan.batch(index))).numpy()

    def try_largest_batches(self) -> None:
        """Run the batches that need the most memory, so that a shortage shows before training."""
        for index in self._plan.largest_batches():
            self._of_batch(index)

    def bleu(self) -> float | None:
        """BLEU of the translated validation corpus, on raw text; None if it is not measured."""
        return None

    def rehearse(self) -> float:
        """Estimate the duration of a validation in seconds, even with an untrained model."""
        timer = Timer()
        self.loss()
        return timer.seconds()

    def samples(self, count: int = 5) -> tuple[list[tuple[str, str, str]], np.ndarray]:
        """Source, translation and reference of sentences spread over the corpus, and attention weights of the first.

        The weights are (T, S), or empty if the model has no attention. Both are empty if nothing is translated.
        """
        return [], np.zeros((0, 0), np.float32)


@dataclass(eq=False)
class TranslationValidator(Validator):
    """Measure the loss and BLEU of a translation model, with the `Translator` that users get.

    Raises:
        ConfigError, MissingExtraError: The recipe's search options do not fit the model, or BLEU needs a package.
    """

    model: Seq2Seq
    config: TranslationConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        config, data, say = self.config, self.data, lambda text: self.display.print(f"warning: validation: {text}")
        self.measures_bleu = config.validation.compute_bleu
        self.language = config.data.target_language if config.data else None
        own = {"n_best": 1, "sample": False, "beam_groups": 1, "beam_size": config.validation.beam_size}
        self.options: SearchOptions = config.search.without_external_files().model_copy(update=own)
        self.translator = Translator(self.model, *data.tokenizers, source_lines=data.source_lines, on_warning=say)
        if not self.measures_bleu:
            return
        # Report missing packages and unsuitable search options now, not after an epoch.
        make_metric("BLEU", self.language)
        references = [pair.target for pair in data.valid_pairs]
        for warning in reference_warnings([references], self.language, ["BLEU"], in_training=True):
            say(warning)
        self.translator.check(self.options)
        if self.options.long_lines == "truncate":
            lines = self.translator.divide([pair.source for pair in data.valid_pairs], self.options)
            if cut := sum(any(part.truncated for part in line) for line in lines):
                say(truncation_warning(cut, len(lines)))

    def bleu(self) -> float | None:
        if not self.measures_bleu:
            return None
        pairs = self.data.valid_pairs
        mine = [pair.source for pair in pairs[self.replicas.worker_index :: self.replicas.num_workers]]
        with self.display.progress_bar("translating the validation corpus", "sentences", len(mine)) as advance:
            translations = self.translator.translate(mine, self.options, attention=False, on_progress=advance)
        self.translations = self.replicas.gather_texts([translation.text for translation in translations])
        references = [pair.target for pair in pairs]
        (score,) = corpus_scores(
            self.translations, [references], bootstrap=False, language=self.language, metrics=["BLEU"]
        )
        return score.score

    def rehearse(self) -> float:
        """Estimate the duration of a validation in seconds, even with an untrained model.

        Translations get the length of the references, since an untrained model would not end them.
        """
        if not self.measures_bleu:
            return super().rehearse()
        valid, count = self.data.valid, min(len(self.data.valid_pairs), REHEARSED_SENTENCES)
        sources = [pair.source for pair in self.data.valid_pairs]
        mean, ratio = valid.target.lengths.mean(), valid.target.lengths.sum() / valid.source.lengths.sum()
        lengths = {"min_length": int(mean), "max_length": None, "max_length_factor": ratio, "max_length_extra": 1}
        options = self.options.model_copy(update=lengths)
        mine = sources[:count][self.replicas.worker_index :: self.replicas.num_workers]
        self.translator.translate(mine[:1], options, attention=False)  # builds the graph
        timer = Timer()
        self.translator.translate(mine, options, attention=False)
        return super().rehearse() + timer.seconds() * len(sources) / count

    def samples(self, count: int = 5) -> tuple[list[tuple[str, str, str]], np.ndarray]:
        chosen = choose_samples(self.data.valid_pairs, count)
        translations = self.translator.translate([pair.source for pair in chosen], self.options)
        texts = [(pair.source, made.text, pair.target) for pair, made in zip(chosen, translations, strict=True)]
        return texts, translations[0].attention


def choose_samples(pairs: Sequence[SentencePair], count: int = 5) -> list[SentencePair]:
    """At most `count` pairs, spread over the whole corpus, whose sources are not blank."""
    pairs = [pair for pair in pairs if pair.source.strip()]
    return [pairs[len(pairs) * place // count] for place in range(count)] if len(pairs) > count else list(pairs)


# For other tasks, only the loss is measured.
VALIDATORS: dict[type[Recipe], type[Validator]] = {TranslationConfig: TranslationValidator}
