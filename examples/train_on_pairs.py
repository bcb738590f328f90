"""Train a translator on a list of sentence pairs, score it on unseen sentences, and save it.

python examples/train_on_pairs.py pairs.tsv runs/mine --minutes 10   source<TAB>target lines
python examples/train_on_pairs.py                                    pairs of the phrasebook, English to German
"""

import argparse
from pathlib import Path

from seq2seq import CorpusConfig, evaluate, open_corpus, train_pairs

parser = argparse.ArgumentParser()
parser.add_argument("tsv", nargs="?", help="file of source<TAB>target lines")
parser.add_argument("output", nargs="?", default="runs/pairs", help="model directory to create")
parser.add_argument("--minutes", type=float, default=5)
given = parser.parse_args()
if Path(given.output).exists():
    parser.error(f"{given.output} exists already: give another output")

corpus = CorpusConfig(tsv=given.tsv) if given.tsv else CorpusConfig(phrasebook="train", pairs=5000, lexicon="basic")
pairs = [(pair.source, pair.target) for pair in open_corpus(corpus)]  # any list of (source, target)

# Held out by source: a sentence in both sets would test memory, not translation.
sources = sorted({source for source, _ in pairs})
unseen = set(sources[:: max(2, len(sources) // 200)])
test = [pair for pair in pairs if pair[0] in unseen]
translator = train_pairs([pair for pair in pairs if pair[0] not in unseen], minutes=given.minutes)

report = evaluate(translator, test)
print(f"\nBLEU {report['BLEU'].score:.1f} on {report.sentences} sentences ({report['BLEU'].signature})")
for (source, reference), translation in zip(test[:5], report.translations, strict=False):
    print(f"\nsource     {source}\nreference  {reference}\nhypothesis {translation.text}")

translator.save(given.output)
print(f"\nsaved: Translator.load({given.output!r}), or seq2seq translate {given.output}")
