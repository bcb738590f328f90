"""Sections about text: corpora, filters, tokenizers, batches."""

from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from seq2seq.config.section import Section, field
from seq2seq.plurals import pluralize

SIDES = ("source", "target")
# Ways to name text, by the key that tells each of them.
CORPUS_KINDS = {"target": "'source' and 'target'", "tsv": "'tsv'", "phrasebook": "'phrasebook'", "mixture": "'mixture'"}
# Keys that only some kinds of corpus have, by the key that tells their kind.
KIND_KEYS = {"tsv": ("columns", "header"), "phrasebook": ("pairs", "lexicon", "seed")}
# What to do instead where the corpus is of another kind.
KIND_REMEDIES = {
    "columns": "leave it out, or give one file of columns as 'tsv'",
    "header": "leave it out, and the first line out of the file",
    "pairs": "leave it out; to read a part of a file, make a file of that part, as with `head -n 1000`",
    "lexicon": "leave it out",
    "seed": "leave it out; the recipe's own 'seed' decides the order of sentences",
}

CODE = "^[a-z]{2,3}$"  # of a language

Column = Annotated[int, Field(ge=1)]


class TextConfig(Section):
    """Where text lies: `source` and `target` files, one `tsv`, or the embedded `phrasebook`.

    A language model reads the target side of each: the `source` file is not read, and may be left out. Paths may hold
    environment variables (`$MULTI30K/train.en.gz`) and may end in `.gz`.
    """

    source: str | None = field(None, "File of source sentences, one per line.", unit="file")
    target: str | None = field(None, "File of target sentences, line-aligned with `source`.", unit="file")
    tsv: str | None = field(None, "File of `source<TAB>target` lines.", unit="file")
    columns: tuple[Column, Column] | None = field(
        None, "Columns of source and target in the `tsv`, counted from 1; null: the file has exactly these two."
    )
    header: bool = field(False, "Skip the first line of the `tsv`, which has the names of the columns.")
    phrasebook: Literal["train", "valid", "test", "compositional"] | None = field(
        None, "A split of the embedded English-German corpus, drawn from a grammar."
    )
    pairs: int | None = field(
        None,
        "How much of the phrasebook; by default 100,000 of train, 500 of valid, and 1,000 of test and compositional.",
        unit="sentence pairs",
        ge=1,
    )
    lexicon: Literal["full", "basic"] | None = field(
        None, "Words of the phrasebook: `basic` has some 400 of the 1,300 of `full`, the default, and every rule."
    )
    seed: int | None = field(None, "Seed of the phrasebook; 1 by default.", ge=0)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        self._check_one_kind()
        return self

    def _check_one_kind(self) -> None:
        if self.source is not None and self.target is None:
            raise ValueError("'source' and 'target' go together: give both files")
        *ways, last = (way for name, way in CORPUS_KINDS.items() if name in type(self).model_fields)
        found = [way for name, way in CORPUS_KINDS.items() if getattr(self, name, None) is not None]
        if len(found) != 1:
            raise ValueError(f"give one of: {', '.join(ways)}, or {last}; found {' and '.join(found) or 'none'}")
        for kind, names in KIND_KEYS.items():
            for name in names:
                if getattr(self, kind) is None and getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"'{name}' is for '{kind}', found {found[0]}: {KIND_REMEDIES[name]}")
        if self.columns is not None and self.columns[0] == self.columns[1]:
            raise ValueError(f"'columns' names column {self.columns[0]} twice: give those of source and target")

    def name(self, sides: Collection[str] = SIDES) -> str:
        """What to call it where these sides are read: its file, as the recipe spells it."""
        source = self.source if "source" in sides else None
        return self.tsv or source or self.target or f"phrasebook/{self.phrasebook}"


class MixturePart(TextConfig):
    """One corpus of a mixture."""

    weight: float | None = field(
        None,
        "Share of an epoch's sentences that come from here, relative to the other parts' weights. Give all parts one, "
        "or none.",
        gt=0.0,
    )


class CorpusConfig(TextConfig):
    """One corpus, or a mixture of several.

    An epoch of a mixture has as many sentences as its parts together. Without weights and at temperature 1 it is
    every sentence once; otherwise a part that gets more than its size is repeated, one that gets less is sampled.
    """

    mixture: tuple[MixturePart, ...] | None = field(None, "Several corpora that are read as one.")
    temperature: float = field(
        1.0,
        "Temperature of a mixture without weights: the share of each part is its size ** (1 / temperature), so higher "
        "values give small corpora more.",
        paper="Arivazhagan et al. 2019",
        gt=0.0,
    )

    @model_validator(mode="after")
    def _check_weights(self) -> "CorpusConfig":
        weights = [part.weight for part in self.mixture or ()]
        if self.mixture is not None and not self.mixture:
            raise ValueError("'mixture' is empty: give it a list of corpora")
        if any(weights) and not all(weights):
            raise ValueError("some parts of 'mixture' have a 'weight' and some have none: give all one, or none")
        if self.temperature != 1.0 and (self.mixture is None or any(weights)):
            raise ValueError("'temperature' decides the shares of a 'mixture' whose parts have no 'weight'")
        return self

    def name(self, sides: Collection[str] = SIDES) -> str:
        return super().name(sides) if self.mixture is None else ", ".join(part.name(sides) for part in self.mixture)

    def parts(self) -> tuple[TextConfig, ...]:
        """The corpora of a mixture, or this one alone."""
        return (self,) if self.mixture is None else self.mixture

    def weights(self) -> list[float] | None:
        """Those of the parts of a mixture, if they have any."""
        return [part.weight for part in self.mixture or () if part.weight is not None] or None


class ValidConfig(CorpusConfig):
    """A corpus, or a part of `data.train` that is held out.

    With `fraction`, or with `pairs` and no corpus, all pairs of some source sentences are left out of training (for a
    language model: some sentences of the target side), chosen by a hash of the text (in Unicode NFC, any white space as
    one space). So no source is on both sides, and with `fraction` none changes sides when the corpus grows.
    `data.filters`, except `max_tokens`, apply to held-out pairs; a separate corpus is used unfiltered.
    """

    fraction: float | None = field(
        None, "Share of the distinct source sentences of `data.train` to hold out.", gt=0.0, le=0.5
    )
    pairs: int | None = field(
        None,
        "Without a corpus: number of pairs of `data.train` to hold out; slightly more if a source has several pairs, "
        "which stay together. With `phrasebook`: its number of pairs, as in `data.train`.",
        unit="sentence pairs",
        ge=1,
    )

    @property
    def held_out(self) -> bool:
        """Whether it is a part of `data.train`."""
        return all(getattr(self, kind) is None for kind in CORPUS_KINDS)

    def _check_one_kind(self) -> None:
        fields = type(self).model_fields
        given = [name for name, field in fields.items() if getattr(self, name) != field.default]
        amounts = [name for name in given if name in ("fraction", "pairs")]
        corpus = [name for name in given if name not in amounts]
        if amounts and not corpus:
            if len(amounts) > 1:
                raise ValueError("give 'fraction' or 'pairs' to hold out of 'data.train', not both")
            return
        if "fraction" in amounts or (amounts and self.phrasebook is None):
            raise ValueError(
                f"'{amounts[0]}' without a corpus is held out of 'data.train', and '{corpus[0]}' is given: "
                "leave out one of them"
            )
        if not given:
            raise ValueError("name a corpus, or give 'fraction' or 'pairs' to hold out of 'data.train'")
        super()._check_one_kind()

    def name(self, sides: Collection[str] = SIDES) -> str:
        if not self.held_out:
            return super().name(sides)
        amount = f"{100 * (self.fraction or 0):g}%"
        if self.pairs is not None:
            amount = pluralize(self.pairs, "pair" if "source" in sides else "sentence")
        return f"{amount} held out of data.train"


class SentenceFilterConfig(Section):
    """Which sentences of the training corpus are left out. Each filter reports how many it dropped."""

    drop_empty: bool = field(True, "Drop blank sentences, and pairs with a blank side.")
    drop_duplicates: bool = field(
        True, "Drop exact repetitions of an earlier one; in a mixture, of one in the same part."
    )
    max_characters: int | None = field(1000, "Maximum length, of either side.", unit="characters", ge=1)
    max_tokens: int = field(200, "Maximum length, of either side.", unit="tokens, EOS included", ge=2)


class FilterConfig(SentenceFilterConfig):
    """Which pairs of the training corpus are left out. Each filter reports how many it dropped."""

    max_ratio: float | None = field(
        4.0, "Drop pairs whose sides differ more in length (from 20 characters on).", gt=1.0
    )


class CorporaConfig(Section):
    """The corpora of an experiment."""

    train: CorpusConfig = Field(description="Corpus to train on.")
    valid: ValidConfig = Field(description="Corpus to validate on, or the part of `train` to hold out for it.")
    test: CorpusConfig | None = Field(
        None,
        description="Corpus to test the finished model on. `seq2seq train` only checks that it exists; "
        "`seq2seq quickstart` scores it.",
    )
    filters: SentenceFilterConfig = SentenceFilterConfig()

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        for name in ("valid", "test"):
            corpus: CorpusConfig | None = getattr(self, name)
            if corpus and (corpus.temperature != 1.0 or any(part.weight for part in corpus.mixture or ())):
                raise ValueError(f"'{name}' is read whole: leave out 'temperature' and the parts' 'weight'")
        return self


class DataConfig(CorporaConfig):
    """The corpora of an experiment, of pairs."""

    filters: FilterConfig = FilterConfig()
    source_language: str | None = field(
        None, "Language of the source, e.g. `en` (ISO 639). Documents the model.", pattern=CODE
    )
    target_language: str | None = field(
        None,
        "Language of the target, e.g. `de` (ISO 639). Documents the model; `zh`, `ja` and `ko` also select BLEU's "
        "tokenizer.",
        pattern=CODE,
    )

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        for name in ("train", "valid", "test"):
            corpus: CorpusConfig | None = getattr(self, name)
            for part in corpus.parts() if corpus else ():
                if part.target is not None and part.source is None:
                    raise ValueError(
                        f"'{name}': 'source' and 'target' go together: give both files; a 'target' alone, here "
                        f"{part.target}, is for 'task: language_model'"
                    )
        return self


class TokenizerPart(NamedTuple):
    """One of a model's tokenizers: its name, the sides that share it, and its file; None: it is trained on these."""

    name: str
    sides: tuple[str, ...]
    file: str | None


class TargetTokenizerConfig(Section):
    """A SentencePiece model, trained from the training corpus or given as a file."""

    model_type: Literal["unigram", "bpe", "char"] = field(
        "unigram",
        "Kind of subwords; `char`: every character is a piece.",
        paper="Kudo 2018 (unigram); Sennrich et al. 2016 (BPE)",
    )
    vocabulary_size: int = field(
        8000,
        "Number of pieces of each model, including the four special ones; for `char`, the maximum, by frequency.",
        unit="pieces",
        ge=8,
    )
    exact_size: bool = field(
        True,
        "Require exactly `vocabulary_size` pieces; `false`: accept fewer if the text does not have as many.",
    )
    character_coverage: float = field(1.0, "Share of characters that get a piece.", gt=0.9, le=1.0)
    byte_fallback: bool = field(False, "Spell unknown characters in bytes rather than as unk.")
    split_digits: bool = field(False, "Make each digit a piece, so that a number is copied digit by digit.")
    user_defined_symbols: tuple[str, ...] = field((), "Strings that always are one piece.")
    normalization: Literal["identity", "nmt_nfkc"] = field(
        "identity", "SentencePiece's own rule, applied after cleaning, which includes NFC."
    )
    target_model: str | None = field(None, "A trained SentencePiece file for the target.", unit="file")
    from_model: str | None = field(
        None,
        "A model directory whose tokenizers are used, e.g. for fine-tuning; keys for training them are then ignored. A "
        "language model uses the target tokenizer.",
        unit="directory",
    )

    @field_validator("user_defined_symbols")
    @classmethod
    def _check_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if symbol in ("", "<pad>", "<unk>", "<s>", "</s>") or symbols.count(symbol) > 1:
                raise ValueError(f"{symbol!r} is empty, reserved or given twice")
        return symbols

    @model_validator(mode="after")
    def _check_origin(self) -> Self:
        given = [f"'{part.sides[0]}_model'" for part in self.parts() if part.file is not None]
        if self.from_model is not None and given:
            raise ValueError(f"'from_model' brings the tokenizers: leave out {' and '.join(given)}")
        return self

    def parts(self) -> tuple[TokenizerPart, ...]:
        """The tokenizers, in the order in which they are trained."""
        return (TokenizerPart("target", ("target",), self.target_model),)


class TokenizerConfig(TargetTokenizerConfig):
    """SentencePiece models, trained from the training corpus or given as files."""

    joint: bool = field(False, "One model and vocabulary for both languages.")
    source_model: str | None = field(None, "A trained SentencePiece file; with `joint`, for both sides.", unit="file")

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.joint and self.target_model is not None:
            raise ValueError("a joint tokenizer is one file: give 'source_model' alone")
        if not self.joint and (self.source_model is None) != (self.target_model is None):
            raise ValueError("give both 'source_model' and 'target_model', or neither, or set 'joint: true'")
        return self

    def parts(self) -> tuple[TokenizerPart, ...]:
        if self.joint:
            return (TokenizerPart("joint", ("source", "target"), self.source_model),)
        return (TokenizerPart("source", ("source",), self.source_model), *super().parts())


class BatchingConfig(Section):
    """Token-budget batches."""

    max_tokens: int | None = field(
        None,
        "Most real tokens in a batch, on either side; replicas share it. null: as suits the device that the run begins "
        "on, 1,000 on a CPU and 8,000 on a GPU; the model directory's recipe has the number, and a resumed run keeps "
        "it.",
        unit="tokens, EOS included",
        ge=2,
    )
    shuffle_buffer: int = field(
        16384, "Sentences that are shuffled, then sorted by length, together.", unit="sentences", ge=1
    )
