"""What is measured while training: the loss of given translations and the BLEU of the model's own."""

from functools import cached_property

import numpy as np

from seq2seq.config import Config, SearchOptions, TranslationConfig
from seq2seq.config.recipe import Recipe
from seq2seq.data.batching import plan_batches
from seq2seq.devices.device import use_precision
from seq2seq.devices.replicas import Replicas
from seq2seq.evaluation.metrics import make_metric, score_texts
from seq2seq.inference.long_lines import truncation_warning
from seq2seq.inference.translator import Translator
from seq2seq.models.base import DecoderModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.baseline import frequency_loss
from seq2seq.training.display import Display
from seq2seq.training.memory_usage import explain_out_of_memory
from seq2seq.training.preparation import TrainingData


class Validator:
    """Measure the loss of a model that is being trained.

    Several workers share the corpus, and each knows the result.
    """

    def __init__(
        self,
        model: DecoderModel,
        data: TrainingData,
        config: Config,
        display: Display,
        replicas: Replicas | None = None,
    ) -> None:
        self.model, self.data, self.display = model, data, display
        self.replicas = replicas or Replicas()
        lengths, tokens = (data.valid.source.lengths, data.valid.target.lengths), config.batching.max_tokens
        assert tokens is not None  # see `with_batch_tokens`
        self._plan = plan_batches(*lengths, max_tokens=tokens, shuffle_buffer=len(data.valid), seed=0, epoch=0)

    @cached_property
    def frequency_loss(self) -> float:
        """The loss of token frequencies alone, which a model has to beat; see `training.baseline`."""
        return frequency_loss(self.data.train, self.data.valid, self.data.tokenizers.target.vocabulary_size)

    def loss(self) -> float:
        """Mean negative log-likelihood a target token, in nats; perplexity is its exponential."""
        mine = range(self.replicas.worker_index, len(self._plan), self.replicas.workers)
        total = np.zeros(2)
        with self.display.progress_bar("measuring the validation loss", "batches", len(mine)) as advance:
            for done, index in enumerate(mine, start=1):
                total += self._of_batch(index)
                advance(done)
        nll, tokens = self.replicas.sum_over_workers(total)
        return float(nll / tokens)

    def _of_batch(self, index: int) -> np.ndarray:
        use_precision(self.model.precision)
        with explain_out_of_memory(self.data, self._plan, index):
            return self.model.loss_sums_function()(*self.data.valid.batch(self._plan.batch(index))).numpy()

    def try_largest_batches(self) -> None:
        """Run what needs most memory, so that it fails before training and not after an epoch of it."""
        for index in self._plan.largest_batches():
            self._of_batch(index)

    def bleu(self) -> float | None:
        """BLEU of the translated validation corpus, on raw text; None where it is not measured."""
        return None

    def samples(self, count: int = 5) -> tuple[list[tuple[str, str, str]], np.ndarray]:
        """Source, translation and reference of sentences from all over the corpus, and the first one's attention.

        The attention is (T, S); empty where the model does not attend. Where nothing is translated there is neither.
        """
        return [], np.zeros((0, 0), np.float32)


class TranslationValidator(Validator):
    """Measure a translator's BLEU too, with the code that translates for everybody else.

    Raises:
        ConfigError, MissingExtraError: The recipe asks for what translating cannot do, or BLEU needs a package.
    """

    def __init__(
        self,
        model: Seq2Seq,
        data: TrainingData,
        config: TranslationConfig,
        display: Display,
        replicas: Replicas | None = None,
    ) -> None:
        super().__init__(model, data, config, display, replicas)
        self.measures = config.validation.bleu
        self.language = config.data.target_language if config.data else None
        own = {"n_best": 1, "sample": False, "beam_size": config.validation.beam_size}
        self.options: SearchOptions = config.search.without_external_files().model_copy(update=own)
        self.translator = Translator(
            model, *data.tokenizers, warn=lambda text: display.print(f"warning: validation: {text}")
        )
        if not self.measures:
            return
        # What it needs is missed, and what the translator cannot do is refused, now and not after an epoch.
        make_metric("BLEU", self.language)
        self.translator.check(self.options)
        cut = int((data.valid.source.lengths > self.options.max_source_tokens).sum())
        if cut and self.options.long_lines == "truncate":
            display.print(f"warning: validation: {truncation_warning(cut, len(data.valid))}")

    def bleu(self) -> float | None:
        if not self.measures:
            return None
        pairs = self.data.valid_pairs
        mine = [pair.source for pair in pairs[self.replicas.worker_index :: self.replicas.workers]]
        with self.display.progress_bar("translating the validation corpus", "sentences", len(mine)) as advance:
            translations = self.translator.translate(mine, self.options, attention=False, on_progress=advance)
        texts = self.replicas.gather_texts([translation.text for translation in translations])
        references = [pair.target for pair in pairs]
        (score,) = score_texts(texts, references, bootstrap=False, language=self.language, metrics=["BLEU"])
        return score.score

    def samples(self, count: int = 5) -> tuple[list[tuple[str, str, str]], np.ndarray]:
        pairs = [pair for pair in self.data.valid_pairs if pair.source.strip()]
        chosen = [pairs[len(pairs) * place // count] for place in range(count)] if len(pairs) > count else pairs
        translations = self.translator.translate([pair.source for pair in chosen], self.options)
        texts = [(pair.source, made.text, pair.target) for pair, made in zip(chosen, translations, strict=True)]
        return texts, translations[0].attention


# Of the other tasks the loss is measured.
VALIDATORS: dict[type[Recipe], type[Validator]] = {TranslationConfig: TranslationValidator}
