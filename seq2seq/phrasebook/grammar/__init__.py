"""A synchronous grammar: one derivation is drawn, and every language says it.

The grammar is data in this folder. `rules.yaml` says what there is to say, `lexicon.yaml` with which concepts;
a folder for each language has its words and forms (`words.yaml`, `forms.yaml`) and says each rule in its own order
(`syntax.yaml`). A further language is a further folder.
"""

from seq2seq.phrasebook.grammar.derivation import Lexeme, Node
from seq2seq.phrasebook.grammar.grammar import Grammar
from seq2seq.phrasebook.grammar.syntax import Sentence

__all__ = ["Grammar", "Lexeme", "Node", "Sentence"]
