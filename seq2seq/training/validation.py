"""What is measured while training: the loss of given translations and the BLEU of the model's own."""

from functools import cached_property

import numpy as np

from seq2seq.config import Config, SearchOptions
from seq2seq.data.batching import plan_batches
from seq2seq.devices.device import use_precision
from seq2seq.devices.replicas import Replicas
from seq2seq.evaluation.metrics import make_metric, score_texts
from seq2seq.inference.long_lines import cut_warning
from seq2seq.inference.translator import Translator
from seq2seq.models.base import DecoderModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.baseline import frequency_loss
from seq2seq.training.display import Display
from seq2seq.training.memory import explaining_memory
from seq2seq.training.preparation import Prepared


class Validator:
    """Measure a model that is being trained, with the code that translates for everybody else.

    Several workers share the corpus, and each knows the result. A language model has a loss only.
    """

    def __init__(
        self, model: DecoderModel, data: Prepared, config: Config, display: Display, replicas: Replicas | None = None
    ) -> None:
        self.model, self.data, self.config, self.display = model, data, config, display
        self.replicas = replicas or Replicas()
        if config.validation.bleu:
            make_metric("BLEU", config.data.target_language)  # what it needs is missed now, not after an epoch
            cut = int((data.valid.source.lengths > config.search.max_source_tokens).sum())
            if cut and config.search.long_lines == "cut":
                display.say(f"warning: validation: {cut_warning(cut, len(data.valid))}")
        self.translator = (
            Translator(model, *data.tokenizers, notice=lambda text: display.say(f"warning: validation: {text}"))
            if isinstance(model, Seq2Seq)
            else None
        )
        if self.translator is not None and config.validation.bleu:
            self.translator.check(self._options())  # what it cannot do is refused now, and not after an epoch
        lengths, tokens = (data.valid.source.lengths, data.valid.target.lengths), config.batching.tokens
        assert tokens is not None  # see `with_tokens`
        self._plan = plan_batches(*lengths, tokens=tokens, pool=len(data.valid), seed=0, epoch=0)

    @cached_property
    def frequency_loss(self) -> float:
        """The loss of token frequencies alone, which a model has to beat; see `training.baseline`."""
        return frequency_loss(self.data.train, self.data.valid, self.data.tokenizers.target.vocabulary_size)

    def loss(self) -> float:
        """Mean negative log-likelihood a target token, in nats; perplexity is its exponential."""
        mine = range(self.replicas.worker, len(self._plan), self.replicas.workers)
        total = np.zeros(2)
        with self.display.counting("measuring the validation loss", "batches", len(mine)) as advance:
            for done, index in enumerate(mine, start=1):
                total += self._of_batch(index)
                advance(done)
        nll, tokens = self.replicas.sum(total)
        return float(nll / tokens)

    def _of_batch(self, index: int) -> np.ndarray:
        use_precision(self.model.precision)
        with explaining_memory(self.data, self._plan, index):
            return self.model.sums_function()(*self.data.valid.batch(self._plan.batch(index))).numpy()

    def try_largest_batches(self) -> None:
        """Run what needs most memory, so that it fails before training and not after an epoch of it."""
        for index in self._plan.largest():
            self._of_batch(index)

    def bleu(self) -> float:
        """BLEU of the translated validation corpus, on raw text."""
        assert self.translator is not None
        pairs = self.data.valid_pairs
        mine = [pair.source for pair in pairs[self.replicas.worker :: self.replicas.workers]]
        with self.display.counting("translating the validation corpus", "sentences", len(mine)) as advance:
            translations = self.translator.translate(mine, self._options(), attention=False, progress=advance)
        texts = self.replicas.join([translation.text for translation in translations])
        references = [pair.target for pair in pairs]
        (score,) = score_texts(
            texts, references, bootstrap=False, language=self.config.data.target_language, metrics=["BLEU"]
        )
        return score.score

    def samples(self, count: int = 5) -> tuple[list[tuple[str, str, str]], np.ndarray]:
        """Source, translation and reference of sentences from all over the corpus, and the first one's attention.

        The attention is (T, S); empty where the model does not attend. A language model has neither.
        """
        if self.translator is None:
            return [], np.zeros((0, 0), np.float32)
        pairs = [pair for pair in self.data.valid_pairs if pair.source.strip()]
        chosen = [pairs[len(pairs) * place // count] for place in range(count)] if len(pairs) > count else pairs
        translations = self.translator.translate([pair.source for pair in chosen], self._options())
        texts = [(pair.source, made.text, pair.target) for pair, made in zip(chosen, translations, strict=True)]
        return texts, translations[0].attention

    def _options(self) -> SearchOptions:
        own = {"n_best": 1, "sample": False, "beam_size": self.config.validation.beam_size}
        return self.config.search.of_the_model_alone().model_copy(update=own)
