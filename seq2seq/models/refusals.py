"""Methods and arguments of `keras.Model` that trainable models do not support, with what to use instead."""

from typing import Any

import keras

from seq2seq.errors import ArgumentError

# Arguments of `keras.Model.compile` that are refused, since a model has its own loss and step, with the reasons.
UNSUPPORTED_ARGUMENTS = {
    "loss": "its own is the cross-entropy per target token, without padding; label_smoothing changes it",
    "loss_weights": "there is one output",
    "metrics": "`fit` reports loss, nll and gradient_norm, and `seq2seq evaluate` scores translations",
    "weighted_metrics": "all target tokens count equally",
    "auto_scale_loss": "mixed_float16 scales the loss automatically",
    "jit_compile": "XLA compiles again for each shape of a batch, and without cuDNN",
}


class RefusingModel(keras.Model):
    """Base class of trainable models: the methods of `keras.Model` that need more than logits are errors."""

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Not supported: a model alone does not search for translations.

        Raises:
            ArgumentError: Always.
        """
        raise ArgumentError(
            f"{type(self).__name__}.predict: a model returns logits, from model((source, target)). Text comes from "
            "Translator(model, *tokenizers).translate(sentences), or from TextGenerator for a language model."
        )

    def export(self, *args: Any, **kwargs: Any) -> Any:
        """Not supported: a graph of logits does not search for translations.

        Raises:
            ArgumentError: Always.
        """
        raise ArgumentError(
            f"{type(self).__name__}.export: a graph of logits does not search for translations. seq2seq.save_model("
            "model, tokenizers, DIRECTORY) writes a model directory, and seq2seq.export_model copies it for use "
            "elsewhere."
        )

    def quantize(self, *args: Any, **kwargs: Any) -> Any:
        """Not supported: these layers have no implementation of Keras's quantization.

        Raises:
            ArgumentError: Always.
        """
        raise ArgumentError(
            f"{type(self).__name__}.quantize: save the model with seq2seq.save_model(model, tokenizers, DIRECTORY). "
            "`seq2seq quantize DIRECTORY` then makes an 8-bit decoder for use on CPUs."
        )

    def predict_on_batch(self, x: Any) -> Any:
        """Not supported, see `predict`."""
        return self.predict(x)
