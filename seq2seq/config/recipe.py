"""A complete recipe: its sections, and what must fit together."""

from typing import Any, Literal

from pydantic import Field, model_validator

from seq2seq.config.data import BatchingConfig, DataConfig, TokenizerConfig
from seq2seq.config.language_model import check_language_model, filled_for_language_model
from seq2seq.config.network import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.config.search import SearchOptions
from seq2seq.config.section import Section, key
from seq2seq.config.training import TrainingConfig, ValidationConfig


class Config(Section):
    """A complete experiment."""

    task: Literal["translation", "language_model"] = key(
        "translation",
        "`language_model`: a decoder alone learns the target side of the corpora; sections and keys about the source "
        "keep their defaults.",
        paper="Mikolov et al. 2010",
    )
    seed: int = key(1, "Random seed of initial weights, dropout and the order of sentences.", ge=0, lt=2**31)
    data: DataConfig = Field(description="The corpora; the one section without a default.")
    tokenizer: TokenizerConfig = TokenizerConfig()
    batching: BatchingConfig = BatchingConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchOptions = SearchOptions()

    @model_validator(mode="before")
    @classmethod
    def defaults_of_the_task(cls, values: Any) -> Any:
        is_one = isinstance(values, dict) and values.get("task") == "language_model"
        return filled_for_language_model(values) if is_one else values

    @property
    def corpora(self) -> DataConfig:
        """`data` as it is read: a language model's without sources."""
        return self.data.target_side() if self.task == "language_model" else self.data

    @model_validator(mode="after")
    def keys_fit_the_task(self) -> "Config":
        if self.task == "language_model":
            check_language_model(self)
            return self
        for name in ("train", "valid", "test"):
            corpus = getattr(self.data, name)
            for part in corpus.parts() if corpus else ():
                if part.target is not None and part.source is None:
                    raise ValueError(
                        f"'data.{name}': 'source' and 'target' go together: give both files; a 'target' alone, here "
                        f"{part.target}, is for 'task: language_model'"
                    )
        if self.tokenizer.target_model is not None and self.tokenizer.source_model is None:
            raise ValueError(
                "'tokenizer.target_model' alone is for 'task: language_model': give 'tokenizer.source_model' too"
            )
        return self

    @model_validator(mode="after")
    def parts_fit(self) -> "Config":
        if self.embeddings.tied == "all" and not self.tokenizer.joint:
            raise ValueError("'embeddings.tied: all' needs 'tokenizer.joint: true'")
        if self.batching.tokens is not None and self.data.filters.max_tokens > self.batching.tokens:
            raise ValueError(
                f"'data.filters.max_tokens' is {self.data.filters.max_tokens}, more than 'batching.tokens' "
                f"{self.batching.tokens}: such a sentence fits no batch"
            )
        decoder, encoder = self.decoder, self.encoder
        plain_product = decoder.attention in ("dot", "scaled_dot") and decoder.heads == 1
        if plain_product and encoder.units != decoder.units:
            raise ValueError(
                f"'decoder.attention: {decoder.attention}' multiplies decoder and encoder states: "
                f"'encoder.units' {encoder.units} and 'decoder.units' {decoder.units} must be equal, "
                "or use 'general'"
            )
        if decoder.summary == "last":
            for name in ("cell", "layers", "units"):
                ours, theirs = getattr(decoder, name), getattr(encoder, name)
                if str(ours).removeprefix("layer_norm_") != str(theirs).removeprefix("layer_norm_"):
                    raise ValueError(
                        f"'decoder.summary: last' hands the encoder's states on as they are: 'encoder.{name}' {theirs} "
                        f"and 'decoder.{name}' {ours} must be equal, or use 'transformed'"
                    )
        if (
            self.training.warm_start is not None
            and self.tokenizer.from_model is None
            and not (self.tokenizer.source_model or self.tokenizer.target_model)
        ):
            side = "target" if self.task == "language_model" else "source"
            raise ValueError(
                "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
                f"'tokenizer.from_model' to the same directory, or give 'tokenizer.{side}_model'"
            )
        return self

    @model_validator(mode="after")
    def all_is_read_without_attention(self) -> "Config":
        encoder, decoder = self.encoder, self.decoder
        if decoder.attention != "none":
            return self
        if asked := self.search.looks_at_attention():
            raise ValueError(f"'search.{asked}' looks at attention weights, and 'decoder.attention' is none")
        # They come after the last states, which are the cells' own.
        unread = {
            "layer_norm": encoder.layer_norm,
            "residual": encoder.residual == "highway" and encoder.layers > 1,
            "dropout": encoder.dropout > 0 and encoder.layers == 1,
        }
        wrong = [name for name, asked in unread.items() if asked]
        if wrong and decoder.summary in ("transformed", "last"):
            raise ValueError(
                f"'encoder.{wrong[0]}: {getattr(encoder, wrong[0])}' changes the top layer's outputs, and nothing "
                f"reads them: 'decoder.attention' is none and 'decoder.summary: {decoder.summary}' takes the cells' "
                "last states. Use 'mean' or 'max', or leave it out"
            )
        return self
