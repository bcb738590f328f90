"""Training of SentencePiece models with a given number of pieces, or the nearest one that the text allows."""

import io
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from operator import itemgetter
from random import Random
from typing import Any

import sentencepiece

from seq2seq.config.data import TargetTokenizerConfig
from seq2seq.errors import TokenizerError
from seq2seq.text.cleaning import clean

SPECIAL_TOKENS = ("pad", "unk", "bos", "eos")  # in the order of their ids, from 0
MAX_SIZE = 100_000  # number of pieces that no text of `MAX_PROBED_CHARACTERS` has
MAX_PROBED_CHARACTERS = 300_000  # characters of a text whose largest vocabulary is found by training more models
MAX_CHARACTERS = 2**21  # more than all distinct characters
# Settings of the number of pieces: in a recipe and on the command line.
SIZE_KEYS = "tokenizer.vocabulary_size", "--vocabulary-size"
MAX_TRAINING_CHARACTERS = 20_000_000  # characters of the training text; SentencePiece needs about 30 bytes for each


def train_model(sentences: Iterable[str], config: TargetTokenizerConfig, on_warning: Callable[[str], None]) -> bytes:
    """Train a model, and return it serialised; arguments and errors as in `Tokenizer.train`."""
    if blank := [symbol for symbol in config.user_defined_symbols if not clean(symbol).strip()]:
        raise TokenizerError(
            f"user_defined_symbols: {blank[0]!r} is white space or invisible, and cleaned text has no such "
            "characters. Use a visible symbol."
        )
    text = [*map(clean, _sample(sentences))]
    asked = config.vocabulary_size
    try:
        model = _train(text, config, asked)
    except _TrainingError as error:
        least = _smallest_size(text, config)
        if least is None or least <= asked:
            raise TokenizerError(f"cannot train a {config.model_type} tokenizer: {error}.") from None
        if config.exact_size:
            raise TokenizerError(_explain_sizes(text, config, least, MAX_SIZE)) from None
        on_warning(
            f"the tokenizer has {least:,} pieces, not {asked:,}: one for each character of the text, and the "
            f"special ones. {SIZE_KEYS[0]} sets the size; a 'character_coverage' below 1 omits rare characters"
        )
        return _train(text, config, least)
    found = _count_pieces(model)
    if found < asked and config.model_type != "char":
        if config.exact_size:
            raise TokenizerError(_explain_sizes(text, config, _smallest_size(text, config) or found, found))
        on_warning(
            f"the tokenizer has {found:,} pieces, not {asked:,}, since the text has too few different words for more"
        )
    return model


class _TrainingError(Exception):
    """SentencePiece cannot train a model; the message is its reason."""


def _train(text: Sequence[str], config: TargetTokenizerConfig, vocabulary_size: int) -> bytes:
    """Train a model with at most `vocabulary_size` pieces, and return it serialised.

    Raises:
        _TrainingError: There is no text, or the size is too small.
    """
    output = io.BytesIO()
    ids: dict[str, Any] = {f"{name}_id": token for token, name in enumerate(SPECIAL_TOKENS)}
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text),
            model_writer=output,
            model_type=config.model_type,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            split_digits=config.split_digits,
            # In the form in which `encode` finds them: SentencePiece writes a space as ▁ before it looks for symbols.
            user_defined_symbols=[clean(symbol).replace(" ", "▁") for symbol in config.user_defined_symbols],
            normalization_rule_name=config.normalization,
            **ids,
            input_sentence_size=MAX_TRAINING_CHARACTERS,  # not fewer than there are: it shuffles, but does not sample
            shuffle_input_sentence=True,
            max_sentence_length=2**24,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        # The first half of SentencePiece's message is a C++ source line.
        no_text = any(check in str(error) for check in ("sentences_.empty()", "all_chars_count"))
        reason = "there is no text" if no_text else str(error).rpartition("] ")[2] or str(error)
        raise _TrainingError(reason.strip(" .")) from None
    return output.getvalue()


def _count_pieces(model: bytes) -> int:
    """Number of pieces of a serialised model."""
    return sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()


def _smallest_size(text: Sequence[str], config: TargetTokenizerConfig) -> int | None:
    """Smallest possible vocabulary: special pieces, symbols, bytes and characters; None if there is no text."""
    if config.model_type == "char":  # it may omit characters
        return len(SPECIAL_TOKENS) + 1 + len(config.user_defined_symbols) + 256 * config.byte_fallback
    try:
        return _count_pieces(_train(text, config.model_copy(update={"model_type": "char"}), MAX_CHARACTERS))
    except _TrainingError:
        return None


def _explain_sizes(text: Sequence[str], config: TargetTokenizerConfig, least: int, most: int) -> str:
    """Explain an impossible size, for a text that allows at least `least` pieces, and `most` or fewer."""
    sizes = f"at least {least:,}"
    if sum(map(len, text)) <= MAX_PROBED_CHARACTERS:
        # The number of pruned pieces depends on the size: a model of exactly `most` pieces may not exist.
        while (found := _count_pieces(_train(text, config, most))) < most:
            most = found
        sizes = f"{least:,} to {most:,}"
    recipe, command = SIZE_KEYS
    return (
        f"cannot train a {config.model_type} tokenizer with exactly {config.vocabulary_size:,} pieces: the text allows "
        f"{sizes}. Set {recipe} ({command} of `seq2seq tokenizer train`) accordingly, leave out exact_size, or give "
        "more text."
    )


def _sample(sentences: Iterable[str]) -> list[str]:
    """All sentences in their order, or a uniform sample of them with at most `MAX_TRAINING_CHARACTERS` characters.

    Each sentence gets a random number, and those with the smallest numbers are kept. SentencePiece could sample, too,
    but draws a different sample in every process.
    """
    random, characters = Random(0), 0
    kept: list[tuple[float, int, str]] = []
    for place, sentence in enumerate(sentences):
        drawn = random.random()
        if characters + len(sentence) <= MAX_TRAINING_CHARACTERS or not kept or drawn < -kept[0][0]:
            heappush(kept, (-drawn, place, sentence))
            characters += len(sentence)
        while characters > MAX_TRAINING_CHARACTERS and len(kept) > 1:
            characters -= len(heappop(kept)[2])
    return [sentence for _, _, sentence in sorted(kept, key=itemgetter(1))]
