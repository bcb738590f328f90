"""Factory of the step sources that search options require."""

import threading
from collections.abc import Sequence
from pathlib import Path

from seq2seq.config import SearchOptions
from seq2seq.corpora.glossary import Glossary, load_glossary
from seq2seq.corpora.lines import text_checksum
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.device import runs_on_gpu
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.int8 import load_int8_decoder
from seq2seq.inference.shortlist import Shortlist, load_shortlist, save_shortlist
from seq2seq.inference.step_sources import (
    DecodeStep,
    EnsembleSteps,
    FusionSteps,
    ModelSteps,
    ShortlistSteps,
    StepSource,
)
from seq2seq.model_directory.derived_files import copy_derived_files, files_of_search
from seq2seq.model_directory.directory import checksums
from seq2seq.model_directory.model import load_language_model
from seq2seq.model_directory.pretrained import find_other_model
from seq2seq.models.base import DecoderModel, check_tokenizers
from seq2seq.models.language_model import LanguageModel
from seq2seq.plurals import pluralize
from seq2seq.storage.files import check_regular_file, expand_path, sha256


class StepSourceFactory:
    """Factory of the step sources of one or more translation models, which threads may share.

    Args:
        models: The models, whose predictions are averaged if there are several.
        tokenizers: Tokenizers of all of them.
        shortlist: See `Translator`.
        folders: Their directories; () if there are none.

    Raises:
        ArgumentError: There is no model; a tokenizer's vocabulary size differs from a model's; or there are folders for
            another number of models.
    """

    def __init__(
        self,
        models: Sequence[DecoderModel],
        tokenizers: Tokenizers,
        shortlist: Shortlist | None,
        folders: Sequence[Path],
    ) -> None:
        self.models, self.tokenizers, self.shortlist = tuple(models), tokenizers, shortlist
        self.folders = tuple(folders)
        if not self.models:
            raise ArgumentError("model: expected at least one model, found none.")
        for model in self.models:
            check_tokenizers(model, tokenizers)
        if self.folders and len(self.folders) != len(self.models):
            raise ArgumentError(
                f"folder: expected one for each of {pluralize(len(self.models), 'model')}, found {len(self.folders)}."
            )
        self._lock = threading.Lock()  # guards what is read from disk once
        self._language_models: dict[str, LanguageModel] = {}
        self._glossaries: dict[str, Glossary] = {}
        self._int8: dict[Path, DecodeStep] = {}

    @property
    def folder(self) -> Path | None:
        """Directory of the first model, which has the shortlist."""
        return self.folders[0] if self.folders else None

    @property
    def uses_attention(self) -> bool:
        """Whether a model has attention."""
        return any(model.uses_attention for model in self.models)

    def get(self, options: SearchOptions) -> StepSource:
        """Make the step source that the options require; files besides the models are read from disk once.

        Raises:
            ConfigError: An option needs attention and the model has none; a shortlist or `int8` is requested and there
                is no directory from which to read it; `int8` cannot be used here; or the language model's tokenizer
                differs from the target tokenizer; or the number of ensemble weights differs from that of the models.
            CorpusError: An environment variable in the path of the language model or glossary is not set; or the
                glossary cannot be read.
            ModelDirectoryError: The language model, the shortlist or the 8-bit decoder is missing, damaged, or of the
                wrong kind.
            MissingExtraError: A package for `int8` is not installed.
        """
        asked = options.option_requiring_attention()
        if asked and not self.uses_attention:
            raise ConfigError(
                f"'{asked}' needs attention weights, and this model was made with 'decoder.attention: none'. "
                "Use 'unk_handling: keep' or 'suppress' and 'coverage_penalty: 0', or a model with attention."
            )
        weights = self.ensemble_weights(options)
        members = self._int8_steps() if options.int8 else [ModelSteps(model) for model in self.models]
        steps: StepSource = members[0]
        if len(members) > 1:
            steps = EnsembleSteps(members, weights, options.ensemble_average)
        if options.shortlist is not None:
            with self._lock:
                if self.shortlist is None:
                    self.shortlist = load_shortlist(self.directory("shortlist"), self.tokenizers)
            steps = ShortlistSteps(steps, self.shortlist, options.shortlist)
        if options.uses_fusion:
            assert options.language_model is not None
            steps = FusionSteps(steps, self.language_model(options.language_model), options.language_model_weight)
        self.glossary(options)
        return steps

    def glossary(self, options: SearchOptions) -> Glossary | None:
        """The glossary of the options, which is read once and kept as long as the translator; None: none.

        Raises:
            CorpusError: See `load_glossary`.
        """
        path = options.glossary
        if path is None:
            return None
        with self._lock:
            if path not in self._glossaries:
                self._glossaries[path] = load_glossary(expand_path(path))
            return self._glossaries[path]

    def ensemble_weights(self, options: SearchOptions) -> tuple[float, ...]:
        """The weight of each model, equal by default.

        Raises:
            ConfigError: The number of weights differs from that of models.
        """
        weights = options.ensemble_weights or (1.0,) * len(self.models)
        if len(weights) != len(self.models):
            raise ConfigError(
                f"'ensemble_weights' has {pluralize(len(weights), 'number')}, but there "
                f"{'is' if len(self.models) == 1 else 'are'} {pluralize(len(self.models), 'model')}. Give one weight "
                "per model, in their order."
            )
        return weights

    def save(self, folder: Path) -> None:
        """Write the files of the step sources that match the model into another directory of it.

        These are the shortlist and, unless the weights have changed, the 8-bit decoder.

        Raises:
            ModelDirectoryError: A file is damaged.
        """
        if self.shortlist is not None:
            save_shortlist(folder, self.shortlist, self.tokenizers)
        if self.folder is not None:
            copy_derived_files(self.folder, folder)

    def directory(self, option: str) -> Path:
        """The model directory, from which an option reads a file.

        Raises:
            ConfigError: There is none.
        """
        if self.folder is None:
            raise ConfigError(
                f"'{option}' is set: it needs a model directory. Make the translator with Translator.load."
            )
        return self.folder

    def _int8_steps(self) -> list[ModelSteps]:
        self.directory("int8")
        precision = self.models[0].precision
        if precision != "float32":
            raise ConfigError(
                f"'int8' is true, and the model is loaded in {precision}: the 8-bit decoder requires float32. Leave "
                "one of the two out."
            )
        if runs_on_gpu():
            raise ConfigError(
                "'int8' is true, and the model runs on a GPU: the 8-bit decoder runs on the CPU, and every step would "
                "copy all states there. Leave 'int8' out, or hide the GPU: CUDA_VISIBLE_DEVICES=-1."
            )
        with self._lock:
            for model, folder in zip(self.models, self.folders, strict=True):
                if folder not in self._int8:
                    self._int8[folder] = load_int8_decoder(folder, model.output_embedding.vocabulary_size)
        pairs = zip(self.models, self.folders, strict=True)
        return [ModelSteps(model, self._int8[folder]) for model, folder in pairs]

    def language_model(self, path: str) -> LanguageModel:
        """The language model in a directory, which is read once and kept as long as the translator.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError: See `get`.
        """
        with self._lock:
            if path not in self._language_models:
                model, tokenizer, _ = load_language_model(find_other_model(path), self.models[0].precision)
                theirs, ours = tokenizer.fingerprint(), self.tokenizers.target.fingerprint()
                if theirs != ours:
                    raise ConfigError(
                        f"{path}: the language model's tokenizer (SHA-256 {theirs[:8]}) is not the translator's target "
                        f"tokenizer ({ours[:8]}), so their tokens are not the same. Train the language model with "
                        f"'tokenizer.from_model: {self.folder or 'TRANSLATOR'}'."
                    )
                self._language_models[path] = model
            return self._language_models[path]


def derived_checksums(folder: Path, options: SearchOptions) -> dict[str, str]:
    """SHA-256 by file name of the files of a model directory that these options use besides the model."""
    return {file: sha256(check_regular_file(folder / file)) for file in files_of_search(options)}


def external_checksums(options: SearchOptions) -> dict[str, str]:
    """SHA-256 by file name of the other models that these options use.

    Raises:
        CorpusError: An environment variable in the path of a model is not set.
        ModelDirectoryError: The directory of a model is incomplete or damaged.
    """
    asked = {"language_model": options.uses_fusion, "rerank_model": options.uses_reranking}
    found = {
        f"{key}/{file}": digest
        for key, is_used in asked.items()
        if is_used
        for file, digest in checksums(find_other_model(getattr(options, key))).items()
    }
    if options.glossary is not None:
        found["glossary"] = text_checksum(expand_path(options.glossary))
    return found
