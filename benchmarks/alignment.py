"""Alignment error rate of each method of `seq2seq align` on 100 hand-aligned sentence pairs of the phrasebook.

`alignment.tsv` has source, target and links: `0-0` is sure, `0p0` possible. The pairs are of the test split, so that no
model has read them. IBM model 1 learns from pairs of the training split, too.

python benchmarks/alignment.py [--model phrasebook-en-de] [--pairs 10000]

Guidelines: words that translate each other are sure, among them both parts of a separable verb and both words of
`mobile phone` and `Handy`. Auxiliaries that German does not need (`does`, `is singing`), `to` before an infinitive, the
article of a noun with a genitive, `Uhr` and the full stop of a date are possible. Commas are linked to commas only.
"""

import argparse
from pathlib import Path

from measure import show

from seq2seq.evaluation.alignment import ReferenceAlignment, score_alignments
from seq2seq.inference.aligner import AttentionAligner
from seq2seq.inference.alignment import SYMMETRIZATIONS, symmetrize
from seq2seq.inference.lexical_aligner import directions_by_ibm1
from seq2seq.inference.translator import Translator
from seq2seq.phrasebook.phrasebook import generate_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="phrasebook-en-de", help="English-German model with attention")
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs from which IBM model 1 learns")
    options = parser.parse_args()
    lines = (Path(__file__).parent / "alignment.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [(line.split("\t")[0], line.split("\t")[1]) for line in lines]
    references = [ReferenceAlignment.parse(line.split("\t")[2]) for line in lines]
    translator = Translator.load(options.model)
    learnt = {"further": list(generate_pairs("train", options.pairs, lexicon="basic"))}
    directions = {
        "attention": AttentionAligner(translator).directions(pairs),
        "IBM model 1, words": directions_by_ibm1(pairs, **learnt),
        "IBM model 1, tokens": directions_by_ibm1(pairs, **learnt, tokenizers=translator.tokenizers),
    }
    rows = [
        {"method": f"{name}, {method}"}
        | {key: 100 * value for key, value in vars(score_alignments(links, references)).items()}
        for name, both in directions.items()
        for method in SYMMETRIZATIONS
        for links in [[symmetrize(*one, method) for one in both]]
    ]
    show("Word alignments of 100 sentence pairs, per cent", rows)


if __name__ == "__main__":
    main()
