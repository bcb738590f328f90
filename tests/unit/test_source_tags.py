"""Tags with which sources begin: tokenizers, long lines, recipes."""

import pickle

import pytest

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import EOS_ID, Tokenizer, Tokenizers
from seq2seq.errors import ConfigError, TokenizerError
from seq2seq.inference.segments import SourceLines, divide_line
from tests.toy import pairs, toy_config, toy_tokenizer


@pytest.fixture(scope="module")
def plain():
    options = TokenizerConfig(vocabulary_size=60).with_symbols("<2de>", None, "<2en>")
    assert options.user_defined_symbols == ("<2de>", "<2en>")
    return Tokenizer.train([side for pair in pairs(100, 1) for side in pair], options, print)


def test_every_text_begins_with_the_tag_which_is_not_decoded(plain):
    tagged = plain.with_tag("<2de>")
    (tag,) = tagged.prefix
    assert tagged.pieces([tag]) == ["<2de>"]
    assert tagged.encode("the dog sees") == [tag, *plain.encode("the dog sees")]
    assert tagged.encode_batch(["the dog", "", " "]) == [[tag, *plain.encode("the dog")], [], []]
    assert tagged.decode([*tagged.encode("the dog sees"), EOS_ID]) == "the dog sees"
    assert tagged.surfaces("the dog") == ["", *plain.surfaces("the dog")]
    assert tagged.surfaces("") == []
    assert plain.with_tag(None) is plain
    assert len({plain.fingerprint(), tagged.fingerprint(), plain.with_tag("<2en>").fingerprint()}) == 3


def test_a_tag_is_kept_with_its_tokenizers(plain):
    source, target = pickle.loads(pickle.dumps(Tokenizers(plain.with_tag("<2de>"), plain)))
    assert (source.tag, target.tag) == ("<2de>", None)
    assert Tokenizers(plain.with_tag("<2de>"), plain).is_joint
    assert Tokenizers(plain.with_tag("<2de>"), plain).files().keys() == {"joint.spm"}
    assert not Tokenizers(plain, toy_tokenizer()).is_joint


def test_a_tokenizer_without_the_tag_is_refused():
    with pytest.raises(TokenizerError, match="tokenizer: has no piece '<2de>', with which every source is to begin"):
        toy_tokenizer().with_tag("<2de>")


@pytest.mark.parametrize("long_lines", ["split", "truncate"])
def test_each_segment_of_a_long_line_begins_with_the_tag(plain, long_lines):
    tagged, text = plain.with_tag("<2de>"), " and ".join(["the dog sees the cat"] * 6)
    lines, options = SourceLines(max_tokens=12), SearchOptions(long_lines=long_lines)
    ids = tagged.encode(text)
    parts = list(
        divide_line(0, text, ids, tokenizer=tagged, source_lines=lines, options=options, find_terms=lambda text: [])
    )
    assert all(part.ids[:1] == tagged.prefix and tagged.prefix[0] not in part.ids[1:] for part in parts)
    assert all(len(part.ids) + 1 <= 12 for part in parts)
    if long_lines == "split":
        assert len(parts) > 3
        assert [token for part in parts for token in part.ids[1:]] == ids[1:]
        assert all(len(part.surfaces) == len(part.ids) for part in parts)
        assert "".join(surface for part in parts for surface in part.surfaces).strip() == text
    else:
        (part,) = parts
        assert part.truncated == len(ids) - len(part.ids)
        assert text.startswith(part.source_text(tagged))


@pytest.mark.parametrize(
    ("tokenizer", "data", "message"),
    [
        ({}, {"reverse_tag": "<2en>"}, "needs a 'tokenizer.source_tag' that differs from it"),
        ({"source_tag": "<2en>"}, {"reverse_tag": "<2en>"}, "needs a 'tokenizer.source_tag' that differs from it"),
        ({"source_tag": "to German"}, {}, "'tokenizer.source_tag': 'to German' is empty, reserved or has spaces"),
        ({"source_tag": "</s>"}, {}, "'tokenizer.source_tag': '</s>' is empty, reserved or has spaces"),
        ({"source_tag": "<2de>", "joint": False}, {"reverse_tag": "<2en>"}, "it needs 'tokenizer.joint: true'"),
    ],
)
def test_tags_that_cannot_work_are_refused(tmp_path, tokenizer, data, message):
    with pytest.raises(ConfigError) as error:
        toy_config(tmp_path, tokenizer=tokenizer, data=data, embeddings={"tied": "target"})
    assert message in str(error.value)
