"""What a tokenizer cannot be trained on is named."""

import pytest

from seq2seq.corpora.filters import FilterReport
from seq2seq.errors import TokenizerError
from seq2seq.training.preparation import explain_filtering


def test_a_corpus_without_text_is_named_and_one_that_is_whole_is_not():
    reports = {"empty.tsv": FilterReport(), "whole.tsv": FilterReport(read=2, kept=2)}
    with pytest.raises(TokenizerError) as error, explain_filtering(reports, "pair"):
        raise TokenizerError("there is no text.")
    assert str(error.value) == "there is no text.\nempty.tsv: 0 of 0 pairs are left."
