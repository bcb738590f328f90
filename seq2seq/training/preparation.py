"""Prepare the data of a recipe: tokenizers, encoded corpora and validation text."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.config import Config, TranslationConfig, parse_config_text
from seq2seq.config.data import SentenceFilterConfig, TokenizerConfig, TokenizerPart
from seq2seq.corpora import Corpus, SentencePair, open_corpus
from seq2seq.corpora.filters import RATIO_METHOD, FilterReport, filter_pairs
from seq2seq.corpora.held_out import ReversedCorpus, open_train, open_valid
from seq2seq.data.batching import BatchPlan
from seq2seq.data.encoded import UNFILTERED, EncodedCorpus, encode_corpus, valid_filters
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.subword_sampling import SubwordSampling
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import TokenizerError, TrainingError
from seq2seq.inference.segments import SourceLines
from seq2seq.model_directory import TEACHERS
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.model_directory.pretrained import find_other_model
from seq2seq.plurals import pluralize
from seq2seq.storage.files import resolve_file
from seq2seq.training.corpus_checks import measure_source_lines
from seq2seq.training.display import Display


@dataclass(frozen=True)
class TrainingData:
    """Data of a training run.

    Attributes:
        tokenizers: Source and target tokenizer.
        train: Training corpora.
        valid: Validation corpus, without what cannot be scored by teacher forcing.
        test: Test corpus of the recipe, which is only compared with `train`; None if there is none.
        valid_pairs: Text of the validation corpus, for translation.
        corpus_stats: Statistics of `train` (a list of corpora) and `valid`: `name`; pairs `read` and `kept`, and
            `dropped` by reason; usual `length_ratios`, see `FilterReport`; `source_tokens` and `target_tokens`, EOS
            included, of the sides that are read; for `train` also the `share` of an epoch, 0 to 1; `source_lines`,
            which a translator needs; and, if `train` has translations of the run's teachers, `teachers`: their `count`,
            and the corpora that they have `translated`.
        corpus_unit: Unit in which the corpora are counted: pair or sentence.
        sides: Sides of the corpora that are read.
        forward: `train` without the exchanged pairs of `data.reverse_tag`: what a model is to translate.
        source_lines: Lengths of the source lines of `forward`; None if no source is read.
        sampling: Random segmentations of `train`; None if it is read as it is stored.
    """

    tokenizers: Tokenizers
    train: EncodedMixture
    valid: EncodedCorpus
    test: EncodedCorpus | None
    valid_pairs: list[SentencePair]
    corpus_stats: dict[str, Any]
    corpus_unit: str
    sides: tuple[str, ...]
    forward: EncodedMixture
    source_lines: SourceLines | None = None
    sampling: SubwordSampling | None = None

    def read_epoch(self, epoch: int) -> EncodedMixture:
        """The training corpora as they are read in an epoch, counted from 1."""
        return self.train if self.sampling is None else self.sampling.read_epoch(epoch)

    def counts_by_side(self, source: int, target: int) -> list[str]:
        """Numbers with the names of their sides; without names if only one side is read."""
        numbers = {"source": source, "target": target}
        return [f"{numbers[side]:,} {side}" if len(self.sides) > 1 else f"{numbers[side]:,}" for side in self.sides]

    def describe_token_counts(self, source: int, target: int) -> str:
        """Describe numbers of source and target tokens."""
        return f"{' and '.join(self.counts_by_side(source, target))} tokens"

    def fingerprint(self) -> str:
        """Fingerprint of the text, the filters and the tokenizers of the training and validation corpora."""
        return f"{self.train.fingerprint} {self.valid.fingerprint}"


def describe_batch(data: TrainingData, plan: BatchPlan, index: int) -> str:
    """Describe the numbers of sentences and tokens of a batch."""
    sentences, source, target = plan.shapes()[index]
    return f"{pluralize(sentences, 'sentence')} of {data.describe_token_counts(source, target)}"


def prepare_data(config: Config, folder: Path, display: Display, tokenizers: Tokenizers | None = None) -> TrainingData:
    """Read, filter, tokenize and encode the sides of a recipe's corpora that its task reads.

    Encoded corpora stay in `folder/encoded` and are made again only if the text, the filters or a tokenizer changed.

    `tokenizers` are those of a resumed run. By default, they are loaded if the recipe names files or a model, and
    otherwise trained on the filtered training corpus.

    Raises:
        CorpusError, TokenizerError, ModelDirectoryError: See the readers and `SubwordSampling`.
        TrainingError: No sentences of a corpus are left.
    """
    data = config.corpora
    parts = open_train(data, config.sides)
    valid = open_valid(data, parts, config.sides)
    test = None if data.test is None else open_corpus(data.test, config.sides)
    tokenizers = tokenizers or _tokenizers(config, parts, display)

    encode = partial(_encode, config, folder / "encoded", display)
    keys = ["train"] if data.train.mixture is None else [f"train.mixture.{number}" for number in range(len(parts))]
    named = list(zip(keys, parts, strict=True))
    encoded = [encode(tokenizers, key, corpus, data.filters) for key, corpus in named]
    weights, temperature = data.train.weights(), data.train.temperature
    forward = train = EncodedMixture(encoded, weights, temperature)
    names = [part.name(config.sides) for part in data.train.parts()]
    if (reverse_tag := getattr(data, "reverse_tag", None)) is not None:
        # Of the pairs that are left to train on: no part of a validation pair that is held out is read backwards.
        other_way = Tokenizers(tokenizers.source.with_tag(reverse_tag), tokenizers.target)
        backward = [encode(other_way, f"{key}.reversed", ReversedCorpus(corpus), data.filters) for key, corpus in named]
        train = EncodedMixture([*encoded, *backward], None if weights is None else weights * 2, temperature)
        names += [f"{name}, reversed" for name in names]
    filters = valid_filters(data)  # what cannot be scored by teacher forcing is left out of the loss alone
    valid_ids = encode(tokenizers, "valid", valid, filters)
    valid_pairs = list(filter_pairs(valid, filters, FilterReport()))
    test_ids = None if test is None else encode(tokenizers, "test", test, UNFILTERED)
    shares = (train.counts / len(train)).tolist()
    facts: dict[str, Any] = {
        "train": [
            _facts(name, ids, config.sides) | {"share": share}
            for name, ids, share in zip(names, train.parts, shares, strict=True)
        ],
        "valid": _facts(data.valid.name(config.sides), valid_ids, config.sides),
    }
    table, whole = Path(data.train.tsv or ""), folder / f"{TEACHERS}.yaml"
    if table.parts[-2:] == (TEACHERS, "train.tsv") and whole.exists():
        facts["teachers"] = _teachers(whole)
    lines = None
    if "source" in config.sides:
        lines = measure_source_lines(forward, tokenizers.source, config.languages[0])
        facts["source_lines"] = lines.as_metadata()
    unit, sampling, options = config.corpus_unit, None, config.tokenizer.sampling
    if options.methods():
        with display.spinner("preparing subword sampling"):
            sampling = SubwordSampling(train, tokenizers, options, config.seed, data.filters.max_tokens)
    found = tokenizers, train, valid_ids, test_ids, valid_pairs, facts, unit, config.sides, forward
    return TrainingData(*found, lines, sampling)


@contextmanager
def explain_filtering(reports: Mapping[str, FilterReport], unit: str) -> Iterator[None]:
    """Context for training a tokenizer on filtered corpora, of which little text may be left.

    Args:
        reports: Report of each corpus, by its name.
        unit: Unit in which the corpora are counted.

    Raises:
        TokenizerError: The error of the tokenizer, with what the filters dropped.
    """
    try:
        yield
    except TokenizerError as error:
        told = {name: report for name, report in reports.items() if report.dropped or not report.kept}
        rows = [f"{name}: {report.describe(unit)} are left." for name, report in told.items()]
        raise TokenizerError("\n".join([str(error), *rows])) from None


def _facts(name: str, ids: EncodedCorpus, sides: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "read": ids.report.read,
        "kept": ids.report.kept,
        "dropped": dict(ids.report.dropped),
        "length_ratios": ids.report.length_ratios,
        **{f"{side}_tokens": int(getattr(ids, side).lengths.sum()) for side in sides},
    }


def _teachers(whole: Path) -> dict[str, Any]:
    """The teachers of a run, whose complete recipe is given, and the corpora that they have translated."""
    recipe = parse_config_text(whole.read_bytes(), str(whole))
    assert isinstance(recipe, TranslationConfig)
    translated = [{"name": part.name(recipe.sides)} for part in recipe.corpora.train.parts()]
    return {"count": recipe.teachers.count, "translated": translated}


def _tokenizers(config: Config, corpora: Sequence[Corpus], display: Display) -> Tokenizers:
    """Source and target tokenizer; the same one twice if there is only one."""
    options, parts = config.tokenizer, config.tokenizer.parts()
    tag = None
    if isinstance(options, TokenizerConfig):
        tag = options.source_tag
        options = options.with_symbols(tag, getattr(config.corpora, "reverse_tag", None))
    if options.from_model is not None:
        folder = find_other_model(options.from_model)
        stored = load_tokenizers(folder)
        joint = stored.is_joint
        if len(config.sides) > 1 and joint != (len(parts) == 1):
            raise TokenizerError(
                f"tokenizer.from_model: {folder} has "
                f"{'one joint tokenizer' if joint else 'two tokenizers'}, but tokenizer.joint is "
                f"{str(not joint).lower()}. Set it to {str(joint).lower()}."
            )
        first = stored.source if len(parts) > 1 else stored.target
        return Tokenizers(first.with_tag(tag), stored.target)

    def train(part: TokenizerPart) -> Tokenizer:
        what = f"training the {part.name} tokenizer"
        names = [spec.name(config.sides) for spec in config.corpora.train.parts()]
        reports = [FilterReport() for _ in corpora]
        both = zip(corpora, reports, strict=True)
        pairs = (pair for corpus, report in both for pair in filter_pairs(corpus, config.corpora.filters, report))
        with (
            explain_filtering(dict(zip(names, reports, strict=True)), config.corpus_unit),
            display.spinner(what),
        ):
            sentences = (getattr(pair, side) for pair in pairs for side in part.sides)
            return Tokenizer.train(sentences, options, lambda text: display.print(f"{what}: {text}"))

    made = [train(part) if part.file is None else Tokenizer.load(resolve_file(part.file)) for part in parts]
    return Tokenizers(made[0].with_tag(tag), made[-1])


def _encode(
    config: Config,
    folder: Path,
    display: Display,
    tokenizers: Tokenizers,
    key: str,
    corpus: Corpus,
    filters: SentenceFilterConfig,
) -> EncodedCorpus:
    what, source = f"data.{key}", tokenizers.source if "source" in config.sides else None
    with display.spinner(f"reading {what}"):
        filtering = [filters.model_dump_json(), RATIO_METHOD]  # the usual ratio itself follows from the text
        parts = [corpus.fingerprint(), *filtering, *(one.fingerprint() for one in tokenizers)]
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    ids = None
    with suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged: encode
        ids = EncodedCorpus(folder / key)
    if ids is None or ids.fingerprint != fingerprint:
        with display.progress_bar(f"filtering and tokenizing {what}", f"{config.corpus_unit}s") as advance:
            ids = encode_corpus(
                corpus, source, tokenizers.target, folder / key, fingerprint, filtering=filters, on_progress=advance
            )
    if not len(ids):
        name, hint = key.partition(".")[0], " and data.filters" if key.startswith("train") else ""
        raise TrainingError(
            f"no {name} {config.corpus_unit}s are left (read: {ids.report.read}; dropped: {ids.report or 'none'}). "
            f"Check {what}{hint}."
        )
    return ids
