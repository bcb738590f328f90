"""Factory of the step sources that search options require."""

import threading
from pathlib import Path

from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.device import runs_on_gpu
from seq2seq.errors import ConfigError
from seq2seq.inference.int8 import load_int8_decoder
from seq2seq.inference.shortlist import Shortlist, load_shortlist, save_shortlist
from seq2seq.inference.step_sources import DecodeStep, FusionSteps, ModelSteps, ShortlistSteps, StepSource
from seq2seq.model_directory.derived_files import copy_derived_files, files_of_search
from seq2seq.model_directory.directory import checksums
from seq2seq.model_directory.model import load_language_model
from seq2seq.model_directory.pretrained import find_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.files import check_regular_file, expand_path, sha256


class StepSourceFactory:
    """Factory of a translation model's step sources, which threads may share; for its arguments see `Translator`."""

    def __init__(
        self, model: Seq2Seq, tokenizers: Tokenizers, shortlist: Shortlist | None, folder: Path | None
    ) -> None:
        self.model, self.tokenizers, self.shortlist, self.folder = model, tokenizers, shortlist, folder
        self._lock = threading.Lock()  # guards what is read from disk once
        self._language_models: dict[str, LanguageModel] = {}
        self._int8: DecodeStep | None = None

    def get(self, options: SearchOptions) -> StepSource:
        """Make the step source that the options require; files besides the model are read from disk once.

        Raises:
            ConfigError: An option needs attention and the model has none; a shortlist or `int8` is requested and there
                is no directory from which to read it; `int8` cannot be used here; or the language model's tokenizer
                differs from the target tokenizer.
            CorpusError: An environment variable in the path of the language model is not set.
            ModelDirectoryError: The language model, the shortlist or the 8-bit decoder is missing, damaged, or of the
                wrong kind.
            MissingExtraError: A package for `int8` is not installed.
        """
        asked = options.option_requiring_attention()
        if asked and not self.model.uses_attention:
            raise ConfigError(
                f"'{asked}' needs attention weights, and this model was made with 'decoder.attention: none'. "
                "Use 'unk_handling: keep' or 'suppress' and 'coverage_penalty: 0', or a model with attention."
            )
        steps: StepSource = self._int8_steps() if options.int8 else ModelSteps(self.model)
        if options.shortlist is not None:
            with self._lock:
                if self.shortlist is None:
                    self.shortlist = load_shortlist(self.directory("shortlist"), self.tokenizers)
            steps = ShortlistSteps(steps, self.shortlist, options.shortlist)
        if options.uses_fusion:
            assert options.language_model is not None
            steps = FusionSteps(steps, self.language_model(options.language_model), options.language_model_weight)
        return steps

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

    def _int8_steps(self) -> StepSource:
        folder = self.directory("int8")
        if self.model.precision != "float32":
            raise ConfigError(
                f"'int8' is true, and the model is loaded in {self.model.precision}: the 8-bit decoder requires "
                "float32. Leave one of the two out."
            )
        if runs_on_gpu():
            raise ConfigError(
                "'int8' is true, and the model runs on a GPU: the 8-bit decoder runs on the CPU, and every step would "
                "copy all states there. Leave 'int8' out, or hide the GPU: CUDA_VISIBLE_DEVICES=-1."
            )
        with self._lock:
            if self._int8 is None:
                self._int8 = load_int8_decoder(folder, self.model.output_embedding.vocabulary_size)
        return ModelSteps(self.model, self._int8)

    def language_model(self, path: str) -> LanguageModel:
        """The language model in a directory, which is read once and kept as long as the translator.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError: See `get`.
        """
        with self._lock:
            if path not in self._language_models:
                model, tokenizer, _ = load_language_model(find_model(expand_path(path)), self.model.precision)
                theirs, ours = tokenizer.fingerprint(), self.tokenizers.target.fingerprint()
                if theirs != ours:
                    raise ConfigError(
                        f"{path}: the language model's tokenizer (SHA-256 {theirs[:8]}) is not the translator's target "
                        f"tokenizer ({ours[:8]}), so their tokens are not the same. Train the language model with "
                        f"'tokenizer.from_model: {self.folder or 'TRANSLATOR'}'."
                    )
                self._language_models[path] = model
            return self._language_models[path]


def external_checksums(folder: Path, options: SearchOptions) -> dict[str, str]:
    """SHA-256 by file name of the files that these options use besides the model.

    Args:
        folder: Model directory.
        options: Search options.

    Raises:
        CorpusError: An environment variable in the path of the language model is not set.
        ModelDirectoryError: The language model's directory is incomplete or damaged.
    """
    found = {file: sha256(check_regular_file(folder / file)) for file in files_of_search(options)}
    if options.uses_fusion:
        assert options.language_model is not None
        files = checksums(find_model(expand_path(options.language_model)))
        found |= {f"language_model/{file}": digest for file, digest in files.items()}
    return found
