"""Validation during training, with given translations."""

from types import SimpleNamespace

import pytest
from sacrebleu.metrics import BLEU

from seq2seq.errors import ConfigError, MissingExtraError
from seq2seq.inference.translator import Translator
from seq2seq.models.build import build_model
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from seq2seq.training.validation import TranslationValidator
from tests.shortage import limit_searches
from tests.toy import toy_config

REFERENCES = ["我喜欢这只狗。", "他在这里看书。", "今天天气很好!", "我们明天去。"]
HYPOTHESES = ["我喜欢这只猫。", "他在这里看书。", "今天天气好!", "我们明天去。"]

SMALL = {"joint": True, "vocabulary_size": 36}


class Parrot:
    """Stands in for a translator: says what it was told to, and remembers how it was asked."""

    def translate(self, sentences, options, **kwargs):
        self.options = options
        return [SimpleNamespace(text=text) for text in HYPOTHESES]


@pytest.fixture
def make(tmp_path):
    """A validator of a recipe with some sections changed."""
    lines = "".join(f"sentence {word}\t{text}\n" for word, text in zip("abcd", REFERENCES, strict=True))
    for name in ("train", "valid"):
        (tmp_path / f"{name}.tsv").write_text(lines, encoding="utf-8")

    def make(language, validation=None, **sections):
        data = {name: {"tsv": str(tmp_path / f"{name}.tsv")} for name in ("train", "valid")}
        data["target_language"] = language
        validation = {"compute_bleu": True} | (validation or {})
        config = toy_config(tmp_path, data=data, tokenizer=SMALL, validation=validation, **sections)
        prepared = prepare_data(config, tmp_path / "run", Display())
        return TranslationValidator(build_model(config, prepared.tokenizers), prepared, config, Display())

    return make


@pytest.mark.parametrize(("language", "tokenizer"), [("zh", "zh"), ("de", "13a")])
def test_bleu_splits_words_as_the_target_language_asks(make, monkeypatch, language, tokenizer):
    said = []
    monkeypatch.setattr(Display, "print", lambda self, text: said.append(text))
    validator = make(language)
    validator.translator = Parrot()
    expected = BLEU(tokenize=tokenizer).corpus_score(HYPOTHESES, [REFERENCES]).score
    assert validator.bleu() == pytest.approx(expected)
    assert len(said) == (tokenizer == "13a"), "once, before training"
    assert all("validation: the references look Chinese" in text for text in said)
    assert all(text.endswith("--set data.target_language=zh") for text in said)


@pytest.mark.parametrize(
    "search", [{"sample": True, "n_best": 3, "beam_size": 4}, {"decision": "mbr-chrf", "candidates": 4, "beam_size": 4}]
)
def test_bleu_is_of_the_likeliest_translations(make, search):
    validator = make("zh", search=search, validation={"beam_size": 2})
    validator.translator = Parrot()
    validator.bleu()
    options = validator.translator.options
    assert (options.sample, options.n_best, options.beam_size, options.num_candidates) == (False, 1, 2, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"search": {"long_lines": "truncate", "max_source_tokens": 2}}, 1),
        ({"search": {"long_lines": "split", "max_source_tokens": 2}}, 0),
        ({"search": {"long_lines": "truncate"}}, 0),
        ({"search": {"long_lines": "truncate", "max_source_tokens": 2}, "validation": {"compute_bleu": False}}, 0),
    ],
)
def test_cut_sentences_are_said_before_training(make, monkeypatch, options, said):
    lines = []
    monkeypatch.setattr(Display, "print", lambda self, text: lines.append(text))
    make("zh", **options)
    assert len(lines) == said
    assert all(line.startswith("warning: validation: 4 of 4 sentences are cut off") for line in lines)


@pytest.mark.parametrize(("split_sentences", "said"), [(True, 0), (False, 1)])
def test_a_long_line_of_short_sentences_is_not_cut(make, tmp_path, monkeypatch, split_sentences, said):
    lines = []
    monkeypatch.setattr(Display, "print", lambda self, text: lines.append(text))
    (tmp_path / "valid.tsv").write_text(
        f"Sentence one. Sentence two. Sentence ten.\t{REFERENCES[0]}\n", encoding="utf-8"
    )
    search = {"long_lines": "truncate", "max_source_tokens": 20, "split_sentences": split_sentences}
    validator = make("zh", search=search)
    assert len(validator.data.valid.source.ids([0])) > 20
    assert len(lines) == said


def test_sentences_that_do_not_fit_at_once_are_said_once_and_translated(make, monkeypatch):
    lines = []
    monkeypatch.setattr(Display, "print", lambda self, text: lines.append(text))
    search = {"max_length": 4}
    expected = make("zh", search=search).bleu()
    sizes = limit_searches(monkeypatch, 2, "cuDNN")
    validator = make("zh", search=search)
    assert [validator.bleu() for _ in range(2)] == [expected] * 2
    assert sizes == [4, 2, 2, 2, 2]
    (line,) = lines
    assert line.startswith("warning: validation: probably out of memory (InternalError: Failed to call DoRnnForward")


def test_what_bleu_needs_is_missed_before_training(make, monkeypatch):
    def missing(tokenize, lowercase, force):
        raise RuntimeError("no MeCab")

    monkeypatch.setattr("seq2seq.evaluation.scorers.StatisticsBLEU", missing)
    with pytest.raises(MissingExtraError, match="needs the package 'MeCab', which is not installed"):
        make("ja")
    make("ja", validation={"compute_bleu": False})


@pytest.mark.parametrize("search", [{"shortlist": 20}, {"int8": True}])
def test_what_is_made_of_a_finished_model_is_left_out(make, search):
    validator = make("zh", search=search)
    assert 0.0 <= validator.bleu() <= 100.0


def test_what_translating_cannot_do_is_refused_before_training(make, monkeypatch):
    def refuse(self, options):
        raise ConfigError(f"beam {options.beam_size}, int8 {options.int8}")

    monkeypatch.setattr(Translator, "check", refuse)
    with pytest.raises(ConfigError, match="beam 2, int8 False"):
        make(None, search={"int8": True}, validation={"beam_size": 2})
    make(None, validation={"compute_bleu": False})
