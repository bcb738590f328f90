"""Train with a recipe, score the model on the recipe's test corpus, and translate with it.

    python examples/train.py                               seq2seq/recipes/quickstart.yaml, minutes on two CPU cores
    python examples/train.py --set encoder.units=256       a wider encoder; any `section.key=value` of the recipe
    python examples/train.py recipe.yaml --output runs/mine

After Ctrl-C, the same command resumes where training stopped.
"""

import argparse
import sys

from rich.console import Console

from seq2seq import SearchOptions, Translator, evaluate, load_config, open_corpus, train

parser = argparse.ArgumentParser()
parser.add_argument("recipe", nargs="?", default="quickstart", help="a YAML file, or the name of a packaged recipe")
parser.add_argument("--output", default="runs/example", help="model directory")
parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
given = parser.parse_args()

config = load_config(given.recipe, given.overrides)
if not train(config, given.output, console=Console()).end:
    sys.exit(f"Interrupted. Run the same command again to resume in {given.output}.")

translator = Translator.load(given.output)
if config.data.test is None:
    print(f"The recipe has no data.test. To score it: seq2seq evaluate {given.output} --source FILE --reference FILE")
    sys.exit()
pairs = list(open_corpus(config.data.test))
report = evaluate(translator, pairs)
bleu = report["BLEU"]
print(f"\nBLEU {bleu.score:.1f} [{bleu.low:.1f}, {bleu.high:.1f}] on {report.sentences} test sentences")
print(bleu.signature)

for pair, translation in zip(pairs[:5], report.translations[:5], strict=False):
    print(f"\nsource     {pair.source}\nreference  {pair.target}\nhypothesis {translation.text}")

greedy = SearchOptions(beam_size=1)
print("\ngreedy     " + translator.translate([pairs[0].source], greedy)[0].text)
