"""Records of benchmarks of cells, which ship with the package, so that notebooks read them wherever they run.

`benchmarks/README.md` has the commands that write them.

| file | made by | content |
|---|---|---|
| `cells.json` | `cells.py` | costs of a layer |
| `family-phrasebook.jsonl`, `family-multi30k.jsonl` | `family.py` | translators of each cell and seed |
| `gradients.json` | `gradients.py` | gradients through time, before and after training |
| `memory.jsonl` | `memory.py` | small networks on memory tasks |
"""

from pathlib import Path

RECORDS = Path(__file__).parent
