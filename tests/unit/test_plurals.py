"""Numbers with their nouns."""

import pytest

from seq2seq.config.corpus import ValidConfig
from seq2seq.plurals import pluralize


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "pair", "0 pairs"),
        (1, "pair", "1 pair"),
        (1.0, "minute", "1 minute"),
        (0.5, "minute", "0.5 minutes"),
        (2, "batch", "2 batches"),
        (1, "hypothesis", "1 hypothesis"),
        (3000, "hypothesis", "3,000 hypotheses"),
        (1, "validation pair", "1 validation pair"),
    ],
)
def test_a_noun_follows_its_number(count, noun, said):
    assert pluralize(count, noun) == said


def test_one_held_out_pair_is_named_as_one():
    assert ValidConfig(pairs=1).name() == "1 pair held out from data.train"
    assert ValidConfig(pairs=2).name(("target",)) == "2 sentences held out from data.train"
    assert ValidConfig(fraction=0.02).name() == "2% held out from data.train"
