"""Recipes: strict pydantic models, read from YAML, changed by dotted overrides.

Every key is declared once, here. An unknown key, a wrong type or an impossible combination is a
`ConfigError` that names the recipe, the key, what was found and what is accepted.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from seq2seq.errors import ConfigError, did_you_mean

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


class Section(BaseModel):
    """A part of a recipe. Unknown keys are errors; values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CorpusConfig(Section):
    """Where parallel text lies: `source` and `target` files, one `tsv`, or the embedded `phrasebook`.

    Paths may hold environment variables (`$MULTI30K/train.en.gz`) and may end in `.gz`.
    """

    source: str | None = Field(None, description="File of source sentences, one a line.")
    target: str | None = Field(None, description="File of target sentences, line-aligned with `source`.")
    tsv: str | None = Field(None, description="File of `source<TAB>target` lines.")
    phrasebook: Literal["train", "valid", "test"] | None = Field(
        None, description="A split of the embedded English-German corpus."
    )

    @model_validator(mode="after")
    def one_kind(self) -> "CorpusConfig":
        files = self.source is not None and self.target is not None
        if (self.source is None) != (self.target is None):
            raise ValueError("'source' and 'target' go together: give both files")
        if files + (self.tsv is not None) + (self.phrasebook is not None) != 1:
            raise ValueError("give one of: 'source' and 'target', 'tsv', or 'phrasebook'")
        return self


class FilterConfig(Section):
    """Which pairs of the training corpus are left out. Each filter reports how many it dropped."""

    nfc: bool = Field(True, description="Bring both sides to Unicode NFC (changes text, drops nothing).")
    empty: bool = Field(True, description="Drop pairs with a blank side.")
    duplicates: bool = Field(True, description="Drop exact repetitions of an earlier pair.")
    max_characters: int | None = Field(1000, ge=1, description="Drop pairs with a longer side.")
    max_ratio: float | None = Field(
        4.0, gt=1.0, description="Drop pairs whose sides differ more in characters (from 20 characters on)."
    )
    max_tokens: int = Field(200, ge=2, description="Drop pairs with more tokens on a side, EOS included.")


class DataConfig(Section):
    """The corpora of an experiment."""

    train: CorpusConfig
    valid: CorpusConfig
    test: CorpusConfig | None = None
    filters: FilterConfig = FilterConfig()


class TokenizerConfig(Section):
    """SentencePiece models, trained from the training corpus or given as files."""

    model: Literal["unigram", "bpe"] = "unigram"
    joint: bool = Field(False, description="One model and vocabulary for both languages.")
    vocabulary_size: int = Field(8000, ge=8, description="Pieces of each model, the four special ones included.")
    character_coverage: float = Field(1.0, gt=0.9, le=1.0, description="Share of characters that get a piece.")
    byte_fallback: bool = Field(False, description="Spell unknown characters in bytes rather than as unk.")
    user_defined_symbols: tuple[str, ...] = Field((), description="Strings that always are one piece.")
    normalization: Literal["identity", "nmt_nfkc"] = Field(
        "identity", description="SentencePiece's own rule, applied after our NFC."
    )
    source_model: str | None = Field(None, description="A trained SentencePiece file; with `joint`, for both sides.")
    target_model: str | None = Field(None, description="A trained SentencePiece file for the target.")

    @field_validator("user_defined_symbols")
    @classmethod
    def not_reserved(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if symbol in ("", "<pad>", "<unk>", "<s>", "</s>") or symbols.count(symbol) > 1:
                raise ValueError(f"{symbol!r} is empty, reserved or given twice")
        return symbols

    @model_validator(mode="after")
    def given_models_fit(self) -> "TokenizerConfig":
        if self.joint and self.target_model is not None:
            raise ValueError("a joint tokenizer is one file: give 'source_model' alone")
        if not self.joint and (self.source_model is None) != (self.target_model is None):
            raise ValueError("give both 'source_model' and 'target_model', or neither, or set 'joint: true'")
        return self


class BatchingConfig(Section):
    """Token-budget batches."""

    tokens: int = Field(1000, ge=2, description="Most real tokens in a batch, on either side, EOS included.")
    pool: int = Field(16384, ge=1, description="Sentences that are shuffled, then sorted by length, together.")


class EmbeddingsConfig(Section):
    """Source and target embeddings, and what shares their weights."""

    size: int = Field(256, ge=1)
    tied: Literal["none", "target", "all"] = Field(
        "target",
        description="`target`: the output layer is the target embedding (Press and Wolf 2017); "
        "`all`: source, target and output share one table (joint tokenizer only).",
    )
    dropout: Rate = 0.0


class EncoderConfig(Section):
    """Stacked recurrent encoder."""

    cell: Literal["gru", "lstm"] = "gru"
    layers: int = Field(1, ge=1)
    units: int = Field(256, ge=1, description="Width of each layer's output, both directions together.")
    bidirectional: bool = Field(True, description="The bottom layer reads both ways, `units / 2` each.")
    residual: bool = Field(True, description="Add a layer's input to its output, from the second layer on.")
    dropout: Rate = Field(0.0, description="On the output of every layer, the memory included.")

    @model_validator(mode="after")
    def halves(self) -> "EncoderConfig":
        if self.bidirectional and self.units % 2:
            raise ValueError(f"'units' is {self.units}: a bidirectional encoder needs an even number")
        return self


class DecoderConfig(Section):
    """Recurrent decoder that attends after its bottom layer."""

    cell: Literal["gru", "lstm"] = "gru"
    layers: int = Field(1, ge=1)
    units: int = Field(256, ge=1)
    attention: Literal["additive", "general", "dot", "scaled_dot"] = "general"
    residual: bool = Field(True, description="Add a layer's input to its output, from the second layer on.")
    dropout: Rate = Field(0.0, description="On the output of every layer and on the readout.")


class ScheduleConfig(Section):
    """How the learning rate moves.

    `constant`; `inverse_sqrt`: linear to `learning_rate` over `warmup` updates, then with the inverse square
    root of the update (Vaswani et al. 2017); `plateau`: times `factor` after `patience` validations in a row
    without a better `validation.metric`, never below `minimum`.
    """

    kind: Literal["constant", "inverse_sqrt", "plateau"] = "constant"
    warmup: int = Field(0, ge=0, description="Updates of linear warmup from 0, for every kind.")
    factor: float = Field(0.5, gt=0.0, lt=1.0)
    patience: int = Field(1, ge=1, description="Validations.")
    minimum: float = Field(1e-6, ge=0.0)

    @model_validator(mode="after")
    def warms_up(self) -> "ScheduleConfig":
        if self.kind == "inverse_sqrt" and self.warmup < 1:
            raise ValueError("'inverse_sqrt' needs 'warmup' of at least 1 update")
        return self


class TrainingConfig(Section):
    """The optimizer and the end of training."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0)
    schedule: ScheduleConfig = ScheduleConfig()
    beta_1: Rate = Field(0.9, description="Adam and AdamW.")
    beta_2: Rate = Field(0.999, description="Adam and AdamW.")
    epsilon: float = Field(1e-8, gt=0.0, description="Adam and AdamW.")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW; not on biases and embeddings.")
    momentum: Rate = Field(0.0, description="SGD.")
    clip_norm: float | None = Field(1.0, gt=0.0, description="Largest global norm of the gradient.")
    label_smoothing: Rate = Field(0.1, description="Szegedy et al. (2016).")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients make one update.")
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="`auto`: mixed_bfloat16 on a GPU that has it, float32 elsewhere."
    )
    epochs: int | None = Field(20, ge=1, description="Stop after so many passes over the corpus.")
    updates: int | None = Field(None, ge=1, description="Stop after so many updates.")
    checkpoint_minutes: float = Field(10.0, gt=0.0, description="Write the last checkpoint at least so often.")

    @model_validator(mode="after")
    def ends(self) -> "TrainingConfig":
        if self.epochs is None and self.updates is None:
            raise ValueError("give 'epochs' or 'updates', or training never ends")
        if self.schedule.kind == "plateau" and self.schedule.minimum > self.learning_rate:
            raise ValueError(
                f"'schedule.minimum' {self.schedule.minimum:g} is above 'learning_rate' {self.learning_rate:g}"
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"'weight_decay' belongs to adamw, and 'optimizer' is {self.optimizer}")
        return self


class ValidationConfig(Section):
    """What is measured while training, and what it decides."""

    every_updates: int | None = Field(None, ge=1, description="Updates between validations; null: every epoch.")
    metric: Literal["loss", "bleu"] = Field("bleu", description="Decides the best checkpoint, plateau and stop.")
    patience: int | None = Field(None, ge=1, description="Validations without a better metric, then stop.")
    beam_size: int = Field(1, ge=1, description="1 is greedy.")
    bleu: bool = Field(True, description="Translate the validation corpus at each validation.")

    @model_validator(mode="after")
    def metric_is_measured(self) -> "ValidationConfig":
        if self.metric == "bleu" and not self.bleu:
            raise ValueError("'metric: bleu' needs 'bleu: true'")
        return self


class SearchOptions(Section):
    """How a translation is searched for."""

    beam_size: int = Field(5, ge=1, description="1 is greedy.")
    length_penalty: float | Literal["average"] = Field(
        1.0,
        description="Divide a score by ((5 + length) / 6) ** this (Wu et al. 2016); 0: no penalty; "
        "`average`: divide by the length.",
    )
    n_best: int = Field(1, ge=1, description="Translations a sentence, at most `beam_size`.")
    max_length_factor: float = Field(2.0, gt=0.0, description="Longest translation in tokens: this times the source's")
    max_length_extra: int = Field(10, ge=1, description="plus this.")
    batch_tokens: int = Field(4000, ge=1, description="Padded source tokens translated at once, times `beam_size`.")

    @field_validator("length_penalty", mode="wrap")
    @classmethod
    def number_or_average(cls, value: Any, accept: ValidatorFunctionWrapHandler) -> float | str:
        try:
            return accept(value)
        except ValidationError:
            raise ValueError(f"found {value!r}, expected a number or 'average'") from None

    @model_validator(mode="after")
    def n_best_fits(self) -> "SearchOptions":
        if self.n_best > self.beam_size:
            raise ValueError(f"'n_best' is {self.n_best}, more than 'beam_size' {self.beam_size}")
        return self


class Config(Section):
    """A complete experiment."""

    seed: int = Field(1, ge=0, lt=2**31)
    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    batching: BatchingConfig = BatchingConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchOptions = SearchOptions()

    @model_validator(mode="after")
    def parts_fit(self) -> "Config":
        if self.embeddings.tied == "all" and not self.tokenizer.joint:
            raise ValueError("'embeddings.tied: all' needs 'tokenizer.joint: true'")
        if self.data.filters.max_tokens > self.batching.tokens:
            raise ValueError(
                f"'data.filters.max_tokens' is {self.data.filters.max_tokens}, more than 'batching.tokens' "
                f"{self.batching.tokens}: such a sentence fits no batch"
            )
        if self.decoder.attention in ("dot", "scaled_dot") and self.encoder.units != self.decoder.units:
            raise ValueError(
                f"'decoder.attention: {self.decoder.attention}' multiplies decoder and encoder states: "
                f"'encoder.units' {self.encoder.units} and 'decoder.units' {self.decoder.units} must be equal, "
                "or use 'general'"
            )
        return self


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe and apply overrides.

    Args:
        path: A YAML file, or the bare name of a recipe that ships with the package.
        overrides: `section.key=value` strings; the value is YAML.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is not accepted.
    """
    file = Path(path)
    if file.is_file():
        text = file.read_bytes()  # YAML finds the encoding, and its error names the byte
    elif str(path) in recipe_names():
        text = (resources.files("seq2seq") / "recipes" / f"{path}.yaml").read_bytes()
    else:
        raise ConfigError(
            f"{path}: no such recipe. Give a YAML file, or one of the packaged recipes: {', '.join(recipe_names())}."
        )
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections with keys, found {type(values).__name__}.")
    for override in overrides:
        _override(values, override)
    return parse_config(values, origin=str(path))


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("seq2seq") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def parse_config(values: dict[str, Any], origin: str) -> Config:
    """Check plain values against the schema.

    Raises:
        ConfigError: With one line a problem, each naming `origin` and the key.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, origin) for problem in error.errors())) from None


def dump_config(config: Config) -> str:
    """The complete resolved recipe as YAML; `load_config` reads it back to an equal `Config`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def changed_keys(old: Config, new: Config) -> list[str]:
    """Dotted names of the keys that differ, in the order of the schema."""
    before, after = _flatten(old.model_dump()), _flatten(new.model_dump())
    # A section that is null on one side (data.test) has keys on the other only.
    return [key for key in after | before if before.get(key) != after.get(key)]


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected section.key=value, as in --set training.epochs=5.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from None
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: '{section}' is a value, not a section.")
        values = inner
    values[last] = value


def _explain(problem: Any, origin: str) -> str:
    *parents, last = problem["loc"] or ("",)
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        accepted = sorted(_section(parents).model_fields)
        where = f"in {'.'.join(parents)}" if parents else "at the top"
        elsewhere = [name for name in _dotted_keys(Config) if name.rpartition(".")[2] == last]
        hint = did_you_mean(str(last), accepted) or did_you_mean(elsewhere[0] if elsewhere else "", elsewhere)
        return f"{origin}: unknown key '{key}'.{hint} Accepted {where}: {', '.join(accepted)}."
    if problem["type"] == "missing":
        return f"{origin}: '{key}' is missing."
    if problem["type"] == "model_type":
        names = ", ".join(sorted(_section(problem["loc"]).model_fields))
        return f"{origin}: '{key}': found {problem['input']!r}, expected a section with keys of: {names}."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    return f"{origin}: '{key}': found {problem['input']!r}. {message}."


def _dotted_keys(section: type[Section], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += _dotted_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _section(path: Sequence[str | int]) -> type[Section]:
    section: type[Section] = Config
    for name in path:
        annotation = section.model_fields[str(name)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        section = next(kind for kind in options if isinstance(kind, type) and issubclass(kind, Section))
    return section
