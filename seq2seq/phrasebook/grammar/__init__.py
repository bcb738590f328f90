"""A synchronous grammar: one derivation is drawn, and linearized in every language.

The grammar is data in this folder. `rules.yaml` has the rules of derivations, and `lexicon.yaml` their concepts; a
folder for each language has its words and forms (`words.yaml`, `forms.yaml`) and linearizes each rule in its own word
order (`syntax.yaml`). To add a language, add a folder.
"""

from seq2seq.phrasebook.grammar.derivation import Lexeme, Node
from seq2seq.phrasebook.grammar.grammar import Grammar
from seq2seq.phrasebook.grammar.syntax import Sentence

__all__ = ["Grammar", "Lexeme", "Node", "Sentence"]
