"""From parts of lines to translations: each batch passes all stages in order, and lines get their own parts."""

from dataclasses import replace

import numpy as np

from seq2seq.data.progress import run_in_chunks
from seq2seq.inference.pipeline import translate_parts
from seq2seq.inference.results import Hypothesis, Translation
from seq2seq.inference.segments import Part


def translation(text):
    nothing = np.zeros(0, np.float32)
    return Translation([], [Hypothesis(text, 0.0, [], nothing, nothing[None])])


def test_batches_pass_the_stages_in_order_and_lines_get_the_translations_of_their_parts():
    lines = [[Part(0, 0, "a", [4])], [], [Part(2, 0, "b", [5]), Part(2, 1, "c", [6])], [Part(3, 0, "d", [7])]]
    seen, done = [], []

    def search(parts):
        for places in ([2, 0], [3], [1]):  # parts of one line in two batches
            yield places, [translation(parts[place].text.upper()) for place in places]

    def marking(mark):
        def stage(parts, translations):
            seen.append((mark, [part.text for part in parts]))
            return [replace(one, hypotheses=[replace(one.hypotheses[0], text=one.text + mark)]) for one in translations]

        return stage

    found = translate_parts(lines, search, [marking("1"), marking("2")], done.append)
    assert [[one.text for one in line] for line in found] == [["A12"], [], ["B12", "C12"], ["D12"]]
    assert seen == [(mark, texts) for texts in (["c", "a"], ["d"], ["b"]) for mark in "12"]
    assert done == [2, 3, 4], "the line without parts counts at once, the one in two batches after the second"


def test_a_stream_is_read_one_chunk_ahead_of_what_is_taken_from_it():
    read, done = [], []

    def items():
        for item in range(5):
            read.append(item)
            yield item

    def double(chunk, advance):
        advance(1)
        advance(len(chunk))
        return [2 * item for item in chunk]

    results = run_in_chunks(items(), 2, double, done.append)
    assert (next(results), read) == (0, [0, 1])
    assert list(results) == [2, 4, 6, 8]
    assert done == [1, 2, 3, 4, 5, 5]
