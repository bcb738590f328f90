"""Train a small English-German translator on the embedded corpus, score it, and translate with it.

    python examples/train.py                                      into runs/example, minutes on two CPU cores
    python examples/train.py runs/wide encoder.units=256          into another directory, with a wider encoder
    python examples/train.py runs/short training.epochs=3 seed=2  any `section.key=value` of the recipe

The recipe is seq2seq/recipes/quickstart.yaml. Interrupted with Ctrl-C, the same command goes on where it stopped.
"""

import sys

from rich.console import Console

from seq2seq import SearchOptions, Translator, evaluate, load_config, open_corpus, train

directory, *overrides = sys.argv[1:] or ["runs/example"]
config = load_config("quickstart", overrides)
if not train(config, directory, console=Console()).end:
    sys.exit(f"Interrupted. Run the same command again to go on in {directory}.")

translator = Translator.load(directory)
pairs = list(open_corpus(config.data.test))
report = evaluate(translator, pairs)
bleu = report["BLEU"]
print(f"\nBLEU {bleu.score:.1f} [{bleu.low:.1f}, {bleu.high:.1f}] on {report.sentences} test sentences")
print(bleu.signature)

for pair, translation in zip(pairs[:5], report.translations[:5], strict=True):
    print(f"\nsource     {pair.source}\nreference  {pair.target}\nhypothesis {translation.text}")

greedy = SearchOptions(beam_size=1)
print("\ngreedy     " + translator.translate(["The teacher buys a book."], greedy)[0].text)
