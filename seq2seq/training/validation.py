"""What is measured while training: the loss of given translations and the BLEU of the model's own."""

import tensorflow as tf

from seq2seq.batching import batch_dataset, plan_batches
from seq2seq.config import Config
from seq2seq.evaluation import score_texts
from seq2seq.model import Seq2Seq
from seq2seq.training.display import Display
from seq2seq.training.preparation import Prepared
from seq2seq.translator import Translator


class Validator:
    """Measure a model that is being trained, with the code that translates for everybody else."""

    def __init__(self, model: Seq2Seq, data: Prepared, config: Config, display: Display) -> None:
        self.model, self.data, self.config, self.display = model, data, config, display
        self.translator = Translator(model, *data.tokenizers)
        lengths = data.valid.source.lengths, data.valid.target.lengths
        self._plan = plan_batches(*lengths, tokens=4 * config.batching.tokens, pool=len(data.valid), seed=0, epoch=0)
        self.test_step = tf.function(
            lambda *batch: model.test_step(batch), input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2
        )

    def loss(self) -> float:
        """Mean negative log-likelihood a target token, in nats; perplexity is its exponential.

        Leaves the model's metrics reset.
        """
        self._reset()
        for batch in batch_dataset(self.data.valid, self._plan):
            self.test_step(*batch)
        loss = float(self.model.nll_metric.result())
        self._reset()
        return loss

    def bleu(self) -> float:
        """BLEU of the translated validation corpus, on raw text."""
        pairs = self.data.valid_pairs
        options = self.config.search.model_copy(update={"beam_size": self.config.validation.beam_size, "n_best": 1})
        with self.display.counting("translating the validation corpus", "sentences", len(pairs)) as advance:
            translations = self.translator.translate([pair.source for pair in pairs], options, advance)
        texts = [translation.text for translation in translations]
        return score_texts(texts, [pair.target for pair in pairs], bootstrap=False)[0].score

    def _reset(self) -> None:
        for metric in self.model.metrics:
            metric.reset_state()
