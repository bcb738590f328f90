"""Tokenizers: fixed special ids, text that comes back, and clear refusals."""

import io
import re
import unicodedata
from pathlib import Path
from random import Random

import numpy as np
import pytest
import sentencepiece

from seq2seq.config import TokenizerConfig
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from seq2seq.data.tokenizer_training import _sample
from seq2seq.errors import TokenizerError
from seq2seq.text.cleaning import clean

RANDOM = Random(5)
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS = ["".join(RANDOM.choices(SYLLABLES, k=RANDOM.randint(1, 3))) for _ in range(300)]
ENGLISH = [
    "The red dog sees a ball.",
    *(" ".join(RANDOM.choices(WORDS, k=RANDOM.randint(3, 9))).capitalize() + "." for _ in range(200)),
]
GERMAN = [
    "Der rote Hund sieht einen Ball.",
    "Die Größe überrascht ältere Löwen, außer in Köln.",
    "Ein schönes Café: „Süß!“ – 5 € …",
]
OTHERS = [
    "他说，“你好！”…… ｆｕｌｌ　ｗｉｄｔｈ １２３ ＡＢＣ",
    "مرحبا بالعالم",
    "Привет, мир! Ёлка",
    "हिन्दी में नमस्ते",
    "한국어 문장",
    "👩‍👧 emoji 😀🏽 ﬁ ² ½ ™",
    "a\u200bb\u00adc d\u00a0e\u2003f\u2028g\x85h\tk",
]
TEXT = [*ENGLISH, *(GERMAN + OTHERS) * 2]


def train(text: list[str] = TEXT, **options: object) -> Tokenizer:
    return Tokenizer.train(text, TokenizerConfig(**{"vocabulary_size": 280, **options}))


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train(model_type=request.param)


@pytest.fixture(scope="module")
def spelling() -> Tokenizer:
    """A tokenizer of plain English that spells other characters in bytes."""
    return train(ENGLISH, vocabulary_size=400, byte_fallback=True)


def test_special_ids_and_size(tokenizer: Tokenizer) -> None:
    assert (PAD_ID, UNK_ID, BOS_ID, EOS_ID) == (0, 1, 2, 3)
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    assert [processor.is_control(token) for token in range(5)] == [True, False, True, True, False]
    assert processor.is_unknown(UNK_ID)
    assert tokenizer.pieces(range(4)) == ["<pad>", "<unk>", "<s>", "</s>"]
    assert tokenizer.vocabulary_size == processor.get_piece_size() == 280


@pytest.mark.parametrize("sentence", [ENGLISH[0], *GERMAN, *OTHERS], ids=ascii)
def test_text_comes_back(tokenizer: Tokenizer, sentence: str) -> None:
    token_ids = tokenizer.encode(sentence)
    assert all(EOS_ID < token < tokenizer.vocabulary_size for token in token_ids)
    assert tokenizer.decode(token_ids) == clean(sentence)


def test_kind_of_model_by_its_scores() -> None:
    for model, ranks in (("bpe", True), ("unigram", False)):
        processor = sentencepiece.SentencePieceProcessor(model_proto=train(model_type=model).model)
        scores = [processor.get_score(token) for token in range(4, 280)]
        # BPE stores the rank of a merge, unigram a log probability.
        assert (scores == [-float(rank) for rank in range(len(scores))]) == ranks


def test_outer_and_repeated_spaces_are_the_exception(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("  The  red   dog ")) == "The red dog"


@pytest.mark.parametrize(
    "blank", ["", " ", "    ", "\u00a0", "\u3000\t", "\u200b", "\ufeff \u200e", "\xad", "\0\x1a", "\u200d"]
)
def test_blank_gives_no_tokens(tokenizer: Tokenizer, blank: str) -> None:
    assert tokenizer.encode(blank) == []
    assert tokenizer.decode([]) == ""


def test_many_at_once_equal_one_by_one(tokenizer: Tokenizer) -> None:
    texts = [*TEXT, "", "unseen Ωλ"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []


def test_pieces_and_ids_are_inverse(tokenizer: Tokenizer) -> None:
    token_ids = tokenizer.encode(GERMAN[0])
    pieces = tokenizer.pieces(token_ids)
    assert "".join(pieces).replace("▁", " ").strip() == GERMAN[0]
    assert tokenizer.ids(pieces) == token_ids
    assert tokenizer.ids(["no such piece"]) == [UNK_ID]


def test_decode_leaves_special_ids_out_and_shows_unknown(tokenizer: Tokenizer) -> None:
    token_ids = tokenizer.encode("The red dog")
    surrounded = [BOS_ID, PAD_ID, *token_ids, EOS_ID, PAD_ID, PAD_ID]
    assert tokenizer.decode(surrounded) == "The red dog"
    assert "⁇" in tokenizer.decode([*token_ids, UNK_ID])


def test_identity_keeps_what_nmt_nfkc_changes() -> None:
    sentence = "你好，ＡＢＣ１２３…ﬁ²"
    text = [*TEXT, *[sentence] * 3]
    kept, changed = train(text), train(text, normalization="nmt_nfkc")
    assert kept.decode(kept.encode(sentence)) == sentence
    assert changed.decode(changed.encode(sentence)) == "你好,ABC123...fi2"


def test_decomposed_equals_composed(tokenizer: Tokenizer) -> None:
    for sentence in GERMAN + OTHERS:
        composed, decomposed = (unicodedata.normalize(form, sentence) for form in ("NFC", "NFD"))
        assert tokenizer.encode(decomposed) == tokenizer.encode(composed)
    assert tokenizer.encode("Cafe\u0301") == tokenizer.encode("Café")


def test_training_text_is_brought_to_nfc() -> None:
    decomposed = [unicodedata.normalize("NFD", sentence) for sentence in TEXT]
    assert train(decomposed).fingerprint() == train().fingerprint()
    assert train(iter(TEXT)).fingerprint() == train().fingerprint()


def test_unknown_character_is_unk_without_byte_fallback() -> None:
    plain = train(ENGLISH, vocabulary_size=100)
    assert UNK_ID in plain.encode("The Ω")
    assert "Ω" not in plain.decode(plain.encode("The Ω"))


@pytest.mark.parametrize("sentence", ["The Ω dog", "日本", "😀", "Größe …", "The <0x41> dog", "a\u200cb"], ids=ascii)
def test_byte_fallback_spells_unknown_characters(spelling: Tokenizer, sentence: str) -> None:
    token_ids = spelling.encode(sentence)
    assert UNK_ID not in token_ids
    assert spelling.decode(token_ids) == sentence


def test_byte_fallback_spells_in_utf8(spelling: Tokenizer) -> None:
    pieces = spelling.pieces(spelling.encode("Ω"))
    assert [piece for piece in pieces if piece != "▁"] == [f"<0x{byte:02X}>" for byte in "Ω".encode()]


def test_numbers_are_split_into_digits_when_asked() -> None:
    text = [*ENGLISH, *("It costs 1995 euros at 19:30." for _ in range(20))]
    for split in (False, True):
        tokenizer = train(text, vocabulary_size=120, split_digits=split)
        pieces = tokenizer.pieces(tokenizer.encode("It costs 1995 euros at 19:30."))
        assert all(len(piece.strip("▁")) == 1 for piece in pieces if any(map(str.isdigit, piece))) is split
        assert tokenizer.decode(tokenizer.encode("It costs 1995 euros.")) == "It costs 1995 euros."


@pytest.mark.parametrize("symbol", ["\u00a0", "\n", "\u200b", "\ufeff"])
def test_a_symbol_must_be_visible(symbol: str) -> None:
    with pytest.raises(TokenizerError) as error:
        train(user_defined_symbols=("<tag>", symbol))
    assert str(error.value).startswith(f"user_defined_symbols: {symbol!r} is white space or invisible")


def test_unknown_characters_are_named_once() -> None:
    plain = train(ENGLISH, vocabulary_size=100)
    assert plain.unknown_characters("Zoë ate ь ë and the big ω.") == ("ë", "ь", "ω")
    assert plain.unknown_characters(ENGLISH[3]) == ()


def test_user_defined_symbols_stay_one_piece() -> None:
    symbols = ("<tag>", "dog sees", "a,b", "＠", "Cafe\u0301s")
    tokenizer = train(user_defined_symbols=symbols)
    for symbol in symbols:
        sentence = unicodedata.normalize("NFC", f"The{symbol}The {symbol}")
        piece = unicodedata.normalize("NFC", symbol).replace(" ", "▁")
        assert tokenizer.pieces(tokenizer.encode(sentence)).count(piece) == 2
        assert tokenizer.decode(tokenizer.encode(sentence)) == sentence
    without = train()
    assert "<tag>" not in without.pieces(without.encode("The<tag>The"))


def test_joint_model_serves_both_languages() -> None:
    joint = train(ENGLISH + GERMAN * 5, vocabulary_size=200)
    for sentence in (ENGLISH[7], GERMAN[1]):
        assert joint.decode(joint.encode(sentence)) == sentence
    english = train(ENGLISH, vocabulary_size=100)
    assert UNK_ID in english.encode(GERMAN[1])


@pytest.mark.parametrize("literal", ["<s>", "</s>", "<pad>", "<unk>", "a</s>", "<s>The</s>", "The <s> dog</s>"])
def test_literal_specials_in_text_stay_text(tokenizer: Tokenizer, spelling: Tokenizer, literal: str) -> None:
    for one in (tokenizer, spelling, train([*TEXT, *[literal] * 20], vocabulary_size=290)):
        assert not {PAD_ID, BOS_ID, EOS_ID} & set(one.encode(literal))
    assert spelling.decode(spelling.encode(literal)) == literal


@pytest.mark.parametrize("text", ["\ud800", "The\udfff dog", "The \ud83d", "\udc00\ud800"], ids=ascii)
def test_lone_surrogates_do_no_harm(tokenizer: Tokenizer, spelling: Tokenizer, text: str) -> None:
    replaced = re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert tokenizer.encode(text) == tokenizer.encode(replaced)
    assert spelling.decode(spelling.encode(text)) == replaced
    assert train([*TEXT, text]).fingerprint() == train([*TEXT, replaced]).fingerprint()


def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "größe.spm"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert loaded.model == tokenizer.model
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.encode_batch(TEXT) == tokenizer.encode_batch(TEXT)
    assert len(bytes.fromhex(tokenizer.fingerprint())) == 32
    assert train(vocabulary_size=279).fingerprint() != tokenizer.fingerprint()


def test_foreign_id_layout_is_refused(tmp_path: Path) -> None:
    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENGLISH), model_writer=output, vocab_size=100, minloglevel=2
    )
    path = tmp_path / "foreign.model"
    path.write_bytes(output.getvalue())
    with pytest.raises(TokenizerError) as error:
        Tokenizer.load(path)
    assert str(error.value).startswith(
        f"{path}: expected ids pad 0, unk 1, bos 2, eos 3, found pad -1, unk 0, bos 1, eos 2."
    )
    assert "seq2seq tokenizer train --vocabulary-size 100 --output " in str(error.value)


@pytest.mark.parametrize("content", [b"garbage " * 99, b"\x00", b"\xff" * 40, b""])
def test_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.spm"
    path.write_bytes(content)
    with pytest.raises(TokenizerError) as error:
        Tokenizer.load(path)
    assert str(error.value).startswith(f"{path}: not a SentencePiece model")


def test_cut_off_model(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "cut.spm"
    path.write_bytes(tokenizer.model[:-1])  # not between two pieces
    with pytest.raises(TokenizerError, match=r"cut\.spm: not a SentencePiece model"):
        Tokenizer.load(path)


def test_missing_model_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.spm"
    with pytest.raises(TokenizerError) as error:
        Tokenizer.load(path)
    assert str(error.value) == f"{path}: no such file."


FIVE = ["a red dog sees the cat", "the cat sees a red bird", "two dogs sleep", "a bird sings", "the red cat sleeps"]
KINDS = [
    {"model_type": "unigram"},
    {"model_type": "bpe"},
    {"model_type": "unigram", "byte_fallback": True},
    {"model_type": "bpe", "user_defined_symbols": ("<a>", "dog")},
    {"model_type": "unigram", "split_digits": True, "normalization": "nmt_nfkc"},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("text", [FIVE, [*FIVE, "Größe 12 ☃"], ["他说你好", "你好吗"]], ids=lambda text: text[0])
def test_a_size_that_the_text_does_not_give(options, text) -> None:
    """The nearest one is taken, with a notice; where the exact one is wanted, both ends are named, and both fit."""
    said: list[str] = []

    def fitting(size, **more):
        return Tokenizer.train(text, TokenizerConfig(vocabulary_size=size, **options, **more), said.append)

    smallest, largest = (fitting(size).vocabulary_size for size in (8, 20_000))
    assert 8 < smallest <= largest < 20_000
    assert said == [
        f"the tokenizer has {smallest:,} pieces, not 8: one for each character of the text, and the special ones. "
        "tokenizer.vocabulary_size sets the size; a 'character_coverage' below 1 omits rare characters",
        f"the tokenizer has {largest:,} pieces, not 20,000, since the text has too few different words for more",
    ]
    for size in (8, 20_000):
        with pytest.raises(TokenizerError) as error:
            fitting(size, exact_size=True)
        message = str(error.value)
        found = re.fullmatch(
            rf"cannot train a {options['model_type']} tokenizer with exactly {size:,} pieces: the text allows "
            r"([\d,]+) to ([\d,]+)\. Set tokenizer\.vocabulary_size "
            r"\(--vocabulary-size of `seq2seq tokenizer train`\) accordingly, "
            r"leave out exact_size, or give more text\.",
            message,
        )
        assert found, message
        for end in found.groups():
            exact = int(end.replace(",", ""))
            assert fitting(exact, exact_size=True).vocabulary_size == exact
        assert int(found[1].replace(",", "")) == smallest
    assert len(said) == 2


def test_a_size_that_fits_is_taken_without_a_word() -> None:
    for exact in (False, True):
        assert train(vocabulary_size=280, exact_size=exact).vocabulary_size == 280
    assert train(exact_size=True).fingerprint() == train().fingerprint()


def test_the_largest_vocabulary_of_much_text_is_not_looked_for(monkeypatch) -> None:
    monkeypatch.setattr("seq2seq.data.tokenizer_training.MAX_PROBED_CHARACTERS", 10)
    with pytest.raises(TokenizerError, match=r"the text allows at least \d+\. Set "):
        train(vocabulary_size=8, exact_size=True)


def test_more_symbols_than_pieces() -> None:
    symbols = tuple(f"<{number}>" for number in range(20))
    for model in ("unigram", "bpe", "char"):
        said: list[str] = []
        config = TokenizerConfig(model_type=model, vocabulary_size=12, user_defined_symbols=symbols)
        tokenizer = Tokenizer.train(FIVE, config, said.append)
        assert set(tokenizer.ids(symbols)) == {*range(4, 24)}
        assert [f"has {tokenizer.vocabulary_size} pieces, not 12" in text for text in said] == [True]


def test_characters_are_pieces_and_the_size_is_a_limit() -> None:
    whole = train(GERMAN, model_type="char", vocabulary_size=8000)
    for sentence in GERMAN:
        assert whole.pieces(whole.encode(sentence)) == list("▁" + sentence.replace(" ", "▁"))
        assert whole.decode(whole.encode(sentence)) == sentence
    assert whole.vocabulary_size == len(set("".join(GERMAN))) + 4, "the space counts as ▁"
    few = train(GERMAN, model_type="char", vocabulary_size=12)
    assert few.vocabulary_size == 12
    assert few.unk_id in few.encode(GERMAN[0])


@pytest.mark.parametrize("text", [[], [""], [" ", ""]])
@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_no_text(model: str, text: list[str]) -> None:
    with pytest.raises(TokenizerError) as error:
        train(text, model_type=model)
    assert str(error.value) == f"cannot train a {model} tokenizer: there is no text."


def test_errors_of_the_text_pass_through() -> None:
    def broken():
        yield "a"
        raise KeyError("corpus")

    with pytest.raises(KeyError, match="corpus"):
        Tokenizer.train(broken(), TokenizerConfig())


def test_a_large_corpus_is_sampled_the_same_way_each_time(monkeypatch):
    sentences = [f"sentence {number} of many words {number * 7}" for number in range(1000)]
    config = TokenizerConfig(vocabulary_size=40)
    whole = Tokenizer.train(sentences, config).fingerprint()
    monkeypatch.setattr("seq2seq.data.tokenizer_training.MAX_TRAINING_CHARACTERS", 5000)
    first, second = (Tokenizer.train(iter(sentences), config).fingerprint() for _ in range(2))
    assert first == second != whole
    kept = _sample(sentences)
    assert 4950 < sum(map(len, kept)) <= 5000
    places = [sentences.index(sentence) for sentence in kept]
    assert places == sorted(places)
    assert 400 < np.mean(places) < 600, "from all over the text"


def test_a_sample_has_at_least_a_sentence(monkeypatch):
    monkeypatch.setattr("seq2seq.data.tokenizer_training.MAX_TRAINING_CHARACTERS", 3)
    assert len(_sample(["longer", "longest", "long"])) == 1
    assert _sample(["a", "b", "c"]) == ["a", "b", "c"]
