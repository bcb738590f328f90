"""Languages by code and name, in all usual spellings."""

import pytest

from seq2seq.config.data import DataConfig
from seq2seq.config.languages import language_code, language_codes, language_name, language_script, normalize_language
from seq2seq.corpora.languages import detect_unspaced_script, identify_language, may_be_in
from seq2seq.corpora.survey import detect_pairs
from seq2seq.errors import ConfigError, CorpusError

CORPUS = {"train": {"tsv": "a.tsv"}, "valid": {"tsv": "b.tsv"}}
SPELLINGS = {
    "zh": "zh ZH zh-CN zh_CN zh-Hans zh_Hant zho chi cmn cmn-Hans zho_Hans zh-Hans-CN Chinese 中文 zh-CN.UTF-8",
    "pt": "pt pt-BR pt_BR PT-br por por_Latn Portuguese português",
    "ja": "ja ja-JP jpn jpn_Jpan Japanese 日本語",
    "de": "de DE De de-AT de_DE.UTF-8 deu ger deu_Latn German german Deutsch de-1996 de-CH-1901",
    "en": "en eng eng_Latn en-US en_GB English en-GB-oxendict",
    "sr": "sr sr-Latn srp_Cyrl sr_RS@latin Serbian sr-Latn-RS",
    "ca": "ca ca-valencia cat_Latn català",
    "ar": "ar arb arb_Arab ar-EG ara",
    "fa": "pes_Arab fas per",
    "ms": "zsm_Latn",
    "yue": "yue yue_Hant zh-yue zh-yue-HK Cantonese",
    "no": "no nor Norwegian",
    "nb": "nob_Latn nb",
    "bo": "bod_Tibt bo Tibetan",
    "nds": "nds nds-DE",
    "fj": "fj",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code"),
    [(name, code) for code, names in SPELLINGS.items() for name in names.split()]
    + [("Chinese (Simplified)", "zh"), ("Simplified Chinese", "zh"), ("Brazilian Portuguese", "pt"), (" de ", "de")],
)
def test_spellings(name, code):
    assert normalize_language(name) == code


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("xx", " Expected an ISO 639 code"),
        ("jp", " Did you mean 'ja' (Japanese)?"),
        ("cz", " Did you mean 'cs' (Czech)?"),
        ("ua-UA", " Did you mean 'uk' (Ukrainian)?"),
        ("chn", " Did you mean 'zh' (Chinese)?"),
        ("Germn", " Did you mean 'german'?"),
        ("portugese", " Did you mean 'portuguese'?"),
        ("klingon spoken on Earth", " Expected an ISO 639 code"),
        ("", " Expected an ISO 639 code"),
        ("12", " Expected an ISO 639 code"),
        ("de en", " Expected an ISO 639 code"),
    ],
)
def test_unknown_languages_are_refused(name, hint):
    with pytest.raises(ConfigError) as caught:
        normalize_language(name)
    assert str(caught.value).startswith(f"unknown language {name!r}.{hint}")


def test_a_recipe_keeps_the_code():
    data = DataConfig(**CORPUS, source_language="eng_Latn", target_language="Brazilian Portuguese")
    assert (data.source_language, data.target_language) == ("en", "pt")
    assert DataConfig.model_validate(data.model_dump()) == data
    with pytest.raises(ConfigError, match=r"target_language: unknown language 'jp'. Did you mean 'ja' \(Japanese\)"):
        DataConfig(**CORPUS, target_language="jp")


def test_languages_of_own_pairs_in_every_spelling(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("A dog sleeps here.\tEin Hund schläft hier.\n" * 5, encoding="utf-8")
    found = detect_pairs([file], columns=(1, 2), languages=("eng_Latn", "German"))
    assert (found.source_language, found.target_language) == ("en", "de")
    with pytest.raises(CorpusError, match="languages: unknown language 'xx'"):
        detect_pairs([file], columns=(1, 2), languages=("en", "xx"))
    with pytest.raises(CorpusError, match=r"two different languages, e\.g\. en-de, found de-deu"):
        detect_pairs([file], columns=(1, 2), languages=("de", "deu"))


@pytest.mark.parametrize("word", ["train", "data", "in-law", "x", "a.tsv", "englishman", "to", "na"])
def test_other_words_name_no_language(word):
    """What the names of files and the headers of columns are made of."""
    assert language_code(word) is None


def test_scripts_of_tags():
    assert [language_script(tag) for tag in ("jv-Java", "zho_Hant", "zh-Hans-CN", "de-DE", "German")] == [
        "java", "hant", "hans", None, None,
    ]  # fmt: skip


def test_every_code_has_a_name():
    assert all(language_name(code) != code for code in set(language_codes().values()))


TEXTS = {
    "Thai": "ครูซื้อหนังสือหนึ่งเล่ม หมาสองตัวนอนหลับ",
    "Lao": "ຄູຊື້ປຶ້ມຫົວໜຶ່ງ ໝາສອງໂຕນອນຫຼັບ",
    "Khmer": "គ្រូទិញសៀវភៅមួយក្បាល ឆ្កែពីរក្បាលកំពុងដេក",
    "Burmese": "ဆရာသည် စာအုပ်တစ်အုပ်ဝယ်သည်။ ခွေးနှစ်ကောင် အိပ်နေသည်။",
    "Tibetan": "དགེ་རྒན་གྱིས་དཔེ་ཆ་ཞིག་ཉོས་སོང་། ཁྱི་གཉིས་ཉལ་འདུག",
    "Javanese": "ꦒꦸꦫꦸꦠꦸꦏꦸꦧꦸꦏꦸ",
    "Yi": "ꆈꌠꁱꂷ ꆈꌠꉙ",
    None: "Der Lehrer kauft ein Buch, auf dem ครู steht. Τα βιβλία, книги, किताब, 老师买一本书。",
}


@pytest.mark.parametrize(("script", "text"), TEXTS.items())
def test_scripts_without_spaces(script, text):
    assert detect_unspaced_script([text]) == script
    assert detect_unspaced_script(["", "123 %"]) is None


def test_scripts_of_one_language_identify_it():
    assert identify_language([TEXTS["Burmese"]]) == "my"
    assert identify_language([TEXTS["Thai"]]) == "th"
    assert identify_language([TEXTS["Tibetan"]]) == "bo"
    assert identify_language(["老师买一本书。"]) == "zh"
    assert may_be_in(["老师买一本书。"], "yue")
    assert not may_be_in(["Ein Hund schläft hier und träumt von einer Katze."], "wuu")
