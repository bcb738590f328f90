"""Sections that name text: files, tables, the embedded phrasebook, mixtures, and held-out text."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from seq2seq.config.section import Section, field
from seq2seq.plurals import pluralize

SIDES = ("source", "target")
# Ways to name text, by the key that identifies each of them.
CORPUS_KINDS = {"target": "'source' and 'target'", "tsv": "'tsv'", "phrasebook": "'phrasebook'", "mixture": "'mixture'"}
# Keys that only some kinds of corpus have, by the key that identifies the kind.
TABLE_KEYS = ("columns", "header", "delimiter", "quoted", "score_column", "min_score")
KIND_KEYS = {"tsv": TABLE_KEYS, "phrasebook": ("pairs", "lexicon", "seed")}
# What to do instead if the corpus is of a different kind.
KIND_REMEDIES = {
    **dict.fromkeys(TABLE_KEYS, "leave it out, or give one file of columns as 'tsv'"),
    "header": "leave it out, and remove the header line from the file",
    "pairs": "leave it out; to read a part of a file, make a file of that part, e.g. with `head -n 1000`",
    "lexicon": "leave it out",
    "seed": "leave it out; the recipe's own 'seed' decides the order of sentences",
}
DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


def _check_column(value: Any) -> Any:
    """One error for a column that is neither a number nor a name, where pydantic would give two."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not is_number and not (isinstance(value, str) and value):
        raise PydanticCustomError("column", "Input should be the number of a column, from 1, or its name in the header")
    return value


Column = Annotated[int | str, BeforeValidator(_check_column)]


class TextConfig(Section):
    """Location of text: `source` and `target` files, one `tsv`, or the embedded `phrasebook`.

    A language model reads only the target side: the `source` file is not read and may be omitted. Paths may contain
    environment variables (`$MULTI30K/train.en.gz`); files may be compressed with gzip, xz, bzip2 or zstd.
    """

    source: str | None = field(None, "File of source sentences, one per line.", unit="file")
    target: str | None = field(None, "File of target sentences, line-aligned with `source`.", unit="file")
    tsv: str | None = field(None, "File of `source<TAB>target` lines.", unit="file")
    columns: tuple[Column, Column] | None = field(
        None,
        "Columns of source and target in the `tsv`: numbers, counted from 1, or names in its header; null: the file "
        "has exactly these two columns.",
    )
    header: bool | None = field(
        None,
        "Whether the first line of the `tsv` contains column names; null: only if `columns` are names, and any other "
        "first line that looks like a header is an error.",
    )
    delimiter: Literal["tab", "comma", "semicolon", "pipe"] = field(
        "tab", "Column separator of the `tsv`; with any other than `tab`, the file is read as CSV."
    )
    quoted: bool | None = field(
        None,
        "Whether cells of the `tsv` may be quoted, as in CSV and files from spreadsheets, and contain line breaks, "
        "which become spaces; null: true for CSV, and a tab-separated file that looks quoted is an error.",
    )
    score_column: Column | None = field(
        None, "Column of the `tsv` with a score for each pair, e.g. from Bicleaner or LASER."
    )
    min_score: float | None = field(None, "Minimum score: pairs below it are left out.")
    phrasebook: Literal["train", "valid", "test", "compositional"] | None = field(
        None, "Split of the embedded English-German corpus, which is drawn from a grammar."
    )
    pairs: int | None = field(
        None,
        "Number of pairs from the phrasebook; by default 100,000 for train, 500 for valid, and 1,000 for test and for "
        "compositional.",
        unit="sentence pairs",
        ge=1,
    )
    lexicon: Literal["full", "basic"] | None = field(
        None,
        "Vocabulary of the phrasebook: `full`, the default, has about 1,300 words; `basic` has about 400 of them and "
        "the whole grammar.",
    )
    seed: int | None = field(None, "Random seed of the phrasebook; 1 by default.", ge=0)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        self._check_one_kind()
        return self

    @classmethod
    def remedy(cls, key: str, value: Any) -> str:
        names = [value] if isinstance(value, str) else value
        kinds = {1: ("tsv",), 2: SIDES}.get(len(names) if isinstance(names, (list, tuple)) else 0)
        if kinds is None or not all(isinstance(name, str) for name in names):
            return ""
        written = ", ".join(f"{kind}: {name}" for kind, name in zip(kinds, names, strict=True))
        return f" To name files, write {{{written}}}."

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
            raise ValueError(
                f"'columns' names column {self.columns[0]} twice: give one column for source and one for target"
            )
        if (self.score_column is None) != (self.min_score is None):
            raise ValueError("'score_column' and 'min_score' go together: give both")
        named = [name for name in (*(self.columns or ()), self.score_column) if isinstance(name, str)]
        if named and self.header is False:
            raise ValueError(
                f"column '{named[0]}' is given by its name in the header, but 'header' is false: give its number"
            )
        if self.delimiter != "tab" and self.quoted is False:
            raise ValueError(f"'delimiter: {self.delimiter}' means CSV, whose cells may be quoted: leave out 'quoted'")

    def name(self, sides: Collection[str] = SIDES) -> str:
        """Display name of the corpus if these sides are read: its file, as the recipe spells it."""
        source = self.source if "source" in sides else None
        return self.tsv or source or self.target or f"phrasebook/{self.phrasebook}"


class MixturePart(TextConfig):
    """One corpus of a mixture."""

    weight: float | None = field(
        None,
        "Share of an epoch's sentences that come from this corpus, relative to the weights of the other parts. Give "
        "every part a weight, or none.",
        gt=0.0,
    )


class CorpusConfig(TextConfig):
    """One corpus, or a mixture of several.

    An epoch of a mixture has as many sentences as all of its parts together. Without weights and at temperature 1, it
    contains every sentence once; otherwise parts whose share exceeds their size are repeated, and the others are
    sampled.
    """

    mixture: tuple[MixturePart, ...] | None = field(None, "Several corpora that are read as one.")
    temperature: float = field(
        1.0,
        "Temperature of a mixture without weights: the share of each part is proportional to its size ** (1 / "
        "temperature), so higher values give small corpora a larger share.",
        paper="Arivazhagan et al. 2019",
        gt=0.0,
    )

    @model_validator(mode="after")
    def _check_weights(self) -> "CorpusConfig":
        weights = [part.weight for part in self.mixture or ()]
        if self.mixture is not None and not self.mixture:
            raise ValueError("'mixture' is empty: give it a list of corpora")
        if any(weights) and not all(weights):
            raise ValueError(
                "some parts of 'mixture' have a 'weight' and some have none: give every part a weight, or none"
            )
        if self.temperature != 1.0 and (self.mixture is None or any(weights)):
            raise ValueError("'temperature' is for a 'mixture' whose parts have no 'weight': leave it out")
        return self

    def name(self, sides: Collection[str] = SIDES) -> str:
        return super().name(sides) if self.mixture is None else ", ".join(part.name(sides) for part in self.mixture)

    def parts(self) -> tuple[TextConfig, ...]:
        """The corpora of a mixture, or this corpus by itself."""
        return (self,) if self.mixture is None else self.mixture

    def weights(self) -> list[float] | None:
        """The weights of the parts of a mixture; None if they have none."""
        return [part.weight for part in self.mixture or () if part.weight is not None] or None


class ValidConfig(CorpusConfig):
    """A corpus, or a part of `data.train` that is held out.

    With `fraction`, or with `pairs` and no corpus, all pairs of some source sentences are held out from training (for a
    language model: some sentences of the target side), selected by a hash of the cleaned text, with one space between
    words. No source sentence is then in both parts, and with `fraction` none moves to the other part if the corpus
    grows. `data.filters`, except `max_tokens`, apply to held-out pairs; a separate corpus is used unfiltered.
    """

    fraction: float | None = field(
        None, "Share of the distinct source sentences of `data.train` to hold out.", gt=0.0, le=0.5
    )
    pairs: int | None = field(
        None,
        "Without a corpus: number of pairs of `data.train` to hold out; slightly more if a source has several pairs, "
        "which stay together. With `phrasebook`: number of pairs to draw, as in `data.train`.",
        unit="sentence pairs",
        ge=1,
    )

    @classmethod
    def remedy(cls, key: str, value: Any) -> str:
        if isinstance(value, (str, list, tuple)):
            return super().remedy(key, value)
        amount = "fraction: 0.02"
        if isinstance(value, (int, float)) and value > 0:
            amount = f"fraction: {value}" if value < 1 else f"pairs: {int(value)}"
        return (
            f" Validation needs text that is not trained on. To hold it out of data.train: --set {key}='{{{amount}}}'."
        )

    @property
    def held_out(self) -> bool:
        """Whether the corpus is a part of `data.train`."""
        return all(getattr(self, kind) is None for kind in CORPUS_KINDS)

    def is_within(self, other: "ValidConfig") -> bool:
        """Whether all pairs that are held out here are held out by the other section, too, from whatever corpora.

        A fraction is a fixed bound of hashes; the bound for a number of pairs depends on the corpus.
        """
        return self.fraction is not None and other.fraction is not None and self.fraction <= other.fraction

    def _check_one_kind(self) -> None:
        fields = type(self).model_fields
        given = [name for name, field in fields.items() if getattr(self, name) != field.default]
        amounts = [name for name in given if name in ("fraction", "pairs")]
        corpus = [name for name in given if name not in amounts]
        if amounts and not corpus:
            if len(amounts) > 1:
                raise ValueError("give 'fraction' or 'pairs' to hold out from 'data.train', not both")
            return
        if "fraction" in amounts or (amounts and self.phrasebook is None):
            raise ValueError(
                f"'{amounts[0]}' holds out a part of 'data.train', but '{corpus[0]}' names a corpus: leave out one of "
                "them"
            )
        if not given:
            raise ValueError("name a corpus, or give 'fraction' or 'pairs' to hold out from 'data.train'")
        super()._check_one_kind()

    def name(self, sides: Collection[str] = SIDES) -> str:
        if not self.held_out:
            return super().name(sides)
        amount = f"{100 * (self.fraction or 0):g}%"
        if self.pairs is not None:
            amount = pluralize(self.pairs, "pair" if "source" in sides else "sentence")
        return f"{amount} held out from data.train"
