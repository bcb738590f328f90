"""Sections about text: corpora, filters, tokenizers and batches."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from seq2seq.config.corpus import CorpusConfig, ValidConfig
from seq2seq.config.languages import normalize_language
from seq2seq.config.section import Rate, Section, field

Language = Annotated[str, BeforeValidator(lambda name: normalize_language(name) if isinstance(name, str) else name)]


class SentenceFilterConfig(Section):
    """Filters that drop sentences of the training corpus. Each one reports the number of sentences it dropped."""

    drop_empty: bool = field(True, "Drop blank sentences, and pairs with a blank side.")
    drop_duplicates: bool = field(
        True, "Drop exact duplicates of an earlier sentence or pair; in a mixture, within each part."
    )
    max_characters: int | None = field(1000, "Maximum length of either side.", unit="characters", ge=1)
    max_tokens: int = field(200, "Maximum length of either side.", unit="tokens, EOS included", ge=2)


class FilterConfig(SentenceFilterConfig):
    """Filters that drop pairs of the training corpus. Each one reports the number of pairs it dropped."""

    max_ratio: float | None = field(
        4.0,
        "Maximum factor by which the length ratio of a pair, in characters, may differ from that of the corpus; pairs "
        "with both sides below 20 characters are kept. The ratio of the corpus is the median over its first 40,000 "
        "pairs (in a mixture, over those of each part): Chinese has a third of the characters of English.",
        gt=1.0,
    )


class CorporaConfig(Section):
    """The corpora of an experiment."""

    train: CorpusConfig = Field(description="Corpus to train on.")
    valid: ValidConfig = Field(description="Corpus to validate on, or the part of `train` to hold out for validation.")
    test: CorpusConfig | None = Field(
        None,
        description="Corpus to test the finished model on. `seq2seq train` only counts how much of it occurs in "
        "`train`; `seq2seq quickstart` scores the model on it.",
    )
    filters: SentenceFilterConfig = SentenceFilterConfig()

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        for name in ("valid", "test"):
            corpus: CorpusConfig | None = getattr(self, name)
            if corpus and (corpus.temperature != 1.0 or any(part.weight for part in corpus.mixture or ())):
                raise ValueError(f"'{name}' is read completely: leave out 'temperature' and the parts' 'weight'")
        return self

    def holds_out_within(self, other: "CorporaConfig") -> bool:
        """Whether all pairs that are held out here are held out by the other recipe, too, if the files are the same."""
        ours, theirs = self.valid, other.valid
        if not ours.held_out or ours.is_within(theirs):
            return True
        if not theirs.held_out or ours.pairs is None or theirs.pairs is None:
            return False
        first, second = (  # a weight or a number of tokens decides nothing about what is held out
            [part.model_dump(exclude={"weight", "temperature"}) for part in data.train.parts()]
            + [data.filters.model_dump(exclude={"max_tokens"})]
            for data in (self, other)
        )
        return first == second and ours.pairs <= theirs.pairs


class DataConfig(CorporaConfig):
    """The corpora of an experiment on sentence pairs."""

    filters: FilterConfig = FilterConfig()
    source_language: Language | None = field(
        None, "Language of the source by code or name; the ISO 639 code is stored, e.g. `en`. Documents the model."
    )
    target_language: Language | None = field(
        None,
        "Language of the target by code or name; the ISO 639 code is stored, e.g. `de`. Documents the model and "
        "selects the tokenizer of BLEU: Korean, and languages that do not separate words by spaces (Chinese, "
        "Japanese, Thai and others), have tokenizers of their own.",
    )

    reverse_tag: str | None = field(
        None,
        "Train in both directions: an epoch also has every pair with its sides exchanged, and its source begins with "
        "this token, e.g. `<2en>`, as the others begin with `tokenizer.source_tag`. Validation and test text are not "
        "exchanged.",
        paper="Johnson et al. 2017 (tags); Gao et al. 2022 (pre-training in both directions)",
    )

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        for name in ("train", "valid", "test"):
            corpus: CorpusConfig | None = getattr(self, name)
            for part in corpus.parts() if corpus else ():
                if part.target is not None and part.source is None:
                    raise ValueError(
                        f"'{name}': 'source' and 'target' go together: give both files; 'target' without 'source', "
                        f"here {part.target}, is for 'task: language_model'"
                    )
        return self


RESERVED_SYMBOLS = "", "<pad>", "<unk>", "<s>", "</s>"


class TokenizerPart(NamedTuple):
    """One tokenizer of a model: its name, the sides that share it, and its file; None: it is trained on these sides."""

    name: str
    sides: tuple[str, ...]
    file: str | None


class SubwordMethod(NamedTuple):
    """A method of subword sampling: its key without the side, the algorithm that it is for, and its strength."""

    key: Literal["alpha", "bpe_dropout"]
    model_type: Literal["unigram", "bpe"]
    strength: float


class TargetSubwordSamplingConfig(Section):
    """Subword sampling: each epoch of training draws the subwords of its sentences anew. Off unless a key is given."""

    target_alpha: float | None = field(
        None,
        "Subword regularization of the target, for unigram models: each segmentation is drawn with a probability "
        "proportional to its probability to the power of `target_alpha`, an inverse temperature. Small values draw "
        "nearly all segmentations alike, in small pieces; above 1, the best one prevails. Typical: 0.2 to 0.5. null: "
        "the best segmentation.",
        paper="Kudo 2018, section 3.2",
        gt=0.0,
    )
    target_bpe_dropout: Rate = field(
        0.0,
        "BPE-dropout of the target, for BPE models: probability of leaving out a possible merge, at each step. "
        "Typical: 0.1. 0: the best segmentation.",
        paper="Provilkov et al. 2020",
    )
    last_epoch: int | None = field(
        None,
        "Last epoch with subword sampling; later ones train on the best segmentations, which validation and search "
        "always use. Each stage counts its own epochs. null: all epochs.",
        unit="epochs",
        ge=1,
    )

    @model_validator(mode="after")
    def _check_methods(self) -> Self:
        for side, (alpha, dropout) in self._values().items():
            if alpha is not None and dropout:
                raise ValueError(
                    f"'{side}_alpha' is for unigram models and '{side}_bpe_dropout' for BPE models: give one of them"
                )
        if self.last_epoch is not None and not self.methods():
            raise ValueError("neither alpha nor BPE-dropout is given, and 'last_epoch' has no effect: leave it out")
        return self

    def methods(self) -> dict[str, SubwordMethod]:
        """The methods that are on, by side."""
        found = {}
        for side, (alpha, dropout) in self._values().items():
            if alpha is not None:
                found[side] = SubwordMethod("alpha", "unigram", alpha)
            elif dropout:
                found[side] = SubwordMethod("bpe_dropout", "bpe", dropout)
        return found

    def _values(self) -> dict[str, tuple[float | None, float]]:
        """Values of alpha and BPE-dropout, by side."""
        return {"target": (self.target_alpha, self.target_bpe_dropout)}


class SubwordSamplingConfig(TargetSubwordSamplingConfig):
    """Subword sampling: each epoch of training draws the subwords of its sentences anew. Off unless a key is given."""

    source_alpha: float | None = field(
        None,
        "Subword regularization of the source; see `target_alpha`.",
        paper="Kudo 2018, section 3.2",
        gt=0.0,
    )
    source_bpe_dropout: Rate = field(
        0.0, "BPE-dropout of the source; see `target_bpe_dropout`.", paper="Provilkov et al. 2020"
    )

    def _values(self) -> dict[str, tuple[float | None, float]]:
        return {"source": (self.source_alpha, self.source_bpe_dropout), **super()._values()}


class TargetTokenizerConfig(Section):
    """A SentencePiece model, trained on the training corpus or given as a file."""

    model_type: Literal["unigram", "bpe", "char"] = field(
        "unigram",
        "Subword algorithm; `char`: every character is a piece.",
        paper="Kudo 2018 (unigram); Sennrich et al. 2016 (BPE)",
    )
    vocabulary_size: int = field(
        8000,
        "Number of pieces of each model, including the four special ones; for `char`, the maximum: the most frequent "
        "characters are kept.",
        unit="pieces",
        ge=8,
    )
    exact_size: bool = field(
        False,
        "Require exactly `vocabulary_size` pieces; `false`: if the text yields fewer pieces, or its characters need "
        "more, use the nearest possible number and report it.",
    )
    character_coverage: float = field(
        1.0, "Share of the characters of the training text that the vocabulary covers.", gt=0.9, le=1.0
    )
    byte_fallback: bool = field(False, "Encode unknown characters as bytes instead of as `<unk>`.")
    split_digits: bool = field(False, "Make each digit a piece, so that numbers are copied digit by digit.")
    user_defined_symbols: tuple[str, ...] = field((), "Strings that are always a single piece.")
    normalization: Literal["identity", "nmt_nfkc"] = field(
        "identity", "SentencePiece's normalisation, applied after cleaning, which includes NFC."
    )
    target_model: str | None = field(None, "Trained SentencePiece file for the target.", unit="file")
    from_model: str | None = field(
        None,
        "Model directory whose tokenizers are used, e.g. for fine-tuning; the keys for training tokenizers are then "
        "ignored. A language model uses the target tokenizer.",
        unit="directory",
    )
    sampling: TargetSubwordSamplingConfig = TargetSubwordSamplingConfig()

    @field_validator("user_defined_symbols")
    @classmethod
    def _check_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if symbol in RESERVED_SYMBOLS or symbols.count(symbol) > 1:
                raise ValueError(f"{symbol!r} is empty, reserved or given twice")
        return symbols

    @model_validator(mode="after")
    def _check_origin(self) -> Self:
        given = [f"'{part.sides[0]}_model'" for part in self.parts() if part.file is not None]
        if self.from_model is not None and given:
            raise ValueError(f"'from_model' provides the tokenizers: leave out {' and '.join(given)}")
        return self

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        trained = [
            side for part in self.parts() if part.file is None and self.from_model is None for side in part.sides
        ]
        for side, method in self.sampling.methods().items():
            if side in trained and method.model_type != self.model_type:
                raise ValueError(
                    f"'sampling.{side}_{method.key}' is for {method.model_type} models, but 'model_type' is "
                    f"{self.model_type}"
                )
        return self

    def parts(self) -> tuple[TokenizerPart, ...]:
        """The tokenizers, in the order in which they are trained."""
        return (TokenizerPart("target", ("target",), self.target_model),)

    @property
    def are_trained(self) -> bool:
        """Whether they are trained on the training corpus, not taken from a model or from files."""
        return self.from_model is None and not any(part.file for part in self.parts())


class TokenizerConfig(TargetTokenizerConfig):
    """SentencePiece models, trained on the training corpus or given as files."""

    joint: bool = field(False, "Share one model and vocabulary between both languages.")
    source_tag: str | None = field(
        None,
        "Token with which every source begins, e.g. `<2de>`, which names the target language. It is a piece of the "
        "tokenizer; training, translation and all other commands put it before a text by themselves.",
    )
    source_model: str | None = field(
        None, "Trained SentencePiece file for the source; with `joint`, for both sides.", unit="file"
    )
    sampling: SubwordSamplingConfig = SubwordSamplingConfig()

    def with_symbols(self, *symbols: str | None) -> Self:
        """The same options with further `user_defined_symbols`; None stands for none."""
        missing = [symbol for symbol in symbols if symbol is not None and symbol not in self.user_defined_symbols]
        return self.model_copy(update={"user_defined_symbols": (*self.user_defined_symbols, *missing)})

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.joint and self.target_model is not None:
            raise ValueError("a joint tokenizer is one file: give 'source_model' and leave out 'target_model'")
        if not self.joint and (self.source_model is None) != (self.target_model is None):
            raise ValueError("give both 'source_model' and 'target_model', or neither, or set 'joint: true'")
        return self

    def parts(self) -> tuple[TokenizerPart, ...]:
        if self.joint:
            return (TokenizerPart("joint", ("source", "target"), self.source_model),)
        return (TokenizerPart("source", ("source",), self.source_model), *super().parts())


class BatchingConfig(Section):
    """Batches of a limited number of tokens."""

    max_tokens: int | None = field(
        None,
        "Maximum number of tokens per batch on either side, without padding; several replicas divide a batch among "
        "them. null: 1,000 if the run starts on a CPU, 8,000 on a GPU; the number is stored in the recipe of the model "
        "directory, and a resumed run keeps it.",
        unit="tokens, EOS included",
        ge=2,
    )
    shuffle_buffer: int = field(
        16384, "Number of sentences that are shuffled together, then sorted by length.", unit="sentences", ge=1
    )
