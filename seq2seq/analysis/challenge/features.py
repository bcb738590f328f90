"""Sentences of the built-in grammar with known grammatical features, for probes of a model's states.

Labels are the features from which a sentence was derived. The position of a word is found by linearizing the derivation
once more with that word marked. No rule here depends on spelling.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Literal

from seq2seq.arguments import check_arguments
from seq2seq.errors import EvaluationError
from seq2seq.extras import require_extra
from seq2seq.phrasebook.grammar import Grammar, Lexeme, Node
from seq2seq.phrasebook.grammar.derivation import DerivationState, NoWordError
from seq2seq.phrasebook.grammar.grammar import EMPTY_RULE
from seq2seq.phrasebook.grammar.phenomena import split_words, unaligned_positions
from seq2seq.phrasebook.phrasebook import assign_split, load_grammar

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

Feature = Literal["number", "tense"]
LABELS = {"number": ("singular", "plural"), "tense": ("habit", "progressive", "past", "perfect", "future")}
INFO_COLUMNS = ("sentence", "label", "lemma", "word")  # columns before those with positions
MAX_ATTEMPTS = 100_000  # for all sentences of a label, before we give up
PLACEHOLDER = "ʔ"  # a letter without case that is in no word of the grammar
WORD_FORMS = {  # class, parts of speech of the lexicon, and their forms
    "verb": (("verb",), ("base", "present.3s", "past", "participle", "ing")),
    "noun": (("noun",), ("singular", "plural")),
    "adjective": (("adjective",), ("positive", "comparative")),
    "name": (("name", "surname", "city", "country", "month", "weekday"), ("*",)),
}

# Steps as in rules.yaml. `bare` leaves out adverbs and `plain` relative clauses, which would reveal the tense.
_PERSON = {"draw": "who.noun", "class": "human", "known": "yes", "plain": "yes"}
_CLAUSE = {"draw": "clause", "human": "human", "action": "yes", "bare": "yes", "plain": "yes"}
_TENSES = {"choose": {"past": 1, "future": 1, "modal": 1}}


@check_arguments()
def draw_labelled_sentences(
    feature: Feature, per_label: int = 200, seed: int = 1, lexicon: str = "basic"
) -> pd.DataFrame:
    """Draw distinct English sentences with a known feature: the same number for every label, with alternating labels.

    The feature `number` is that of the subject, a noun, and only the noun shows it: the same derivation with the other
    number differs in no other word. Nothing agrees with the noun, neither the verb, which is in the past or follows an
    auxiliary, nor an article (there is no *these*). The feature `tense` is that of the main verb, and only the verb and
    its auxiliaries show it: there are no adverbs and no relative clauses.

    All sentences are statements of the phrasebook's split `test`, so a model that was trained on the split `train` has
    not seen them.

    Args:
        feature: `number` or `tense`.
        per_label: Number of sentences per label, at least 1.
        seed: Seed of the draws.
        lexicon: Lexicon of the phrasebook.

    Returns:
        One row per sentence. Columns are:

        sentence  the text
        label     one of `LABELS[feature]`
        lemma     concept of the word that has the feature: the noun of the subject, or the verb
        word      form of that word in the sentence

        and the positions of words, from 0, counted as in `word_states`: for `number` the columns before (the word
        before the noun), noun, verb and end (`</s>`); for `tense` first (word of the sentence), verb and end.

    Raises:
        EvaluationError: There is no such lexicon, `per_label` is below 1, or there are too few such sentences.
    """
    if per_label < 1:
        raise EvaluationError(f"'per_label' is {per_label}: a label needs at least one sentence.")
    grammar, random = load_grammar(lexicon), Random(f"{feature} {seed}").random
    known: set[str] = set()
    by_label = [_of_label(grammar, random, feature, label, per_label, known) for label in LABELS[feature]]
    return pd.DataFrame([row for rows in zip(*by_label, strict=True) for row in rows])


@check_arguments()
def word_classes(lexicon: str = "basic") -> dict[str, str]:
    """Class of each English word form: `verb`, `noun`, `adjective` or `name`, of persons, places and days.

    A form of several classes, such as *work*, has the first of them. Function words and adverbs are left out.

    Args:
        lexicon: Lexicon of the phrasebook.
    """
    words = load_grammar(lexicon).rules.lexicon
    classes: dict[str, str] = {}
    for name, (parts, forms) in WORD_FORMS.items():
        for english, *_ in (lexeme for part in parts for lexeme in words[part]):
            classes |= {english[form]: name for form in forms if english.get(form) and english[form] not in classes}
    return classes


def _of_label(
    grammar: Grammar, random: Callable[[], float], feature: str, label: str, each: int, known: set[str]
) -> list[dict[str, Any]]:
    if feature == "number":
        what = {"draw": "what", "class": "human", "kind": "definite", "plain": "yes", "number": label}
        subject = {**_PERSON, "what": what}
        clause = {**_CLAUSE, "tense": _TENSES, "subject": subject}
    else:
        clause = {**_CLAUSE, "tense": label, "subject": _PERSON}
    step = grammar.rules.step({"draw": "sentence.statement", "clause": clause}, f"probe of {feature}")
    describe = _number if feature == "number" else _tense
    rows: list[dict[str, Any]] = []
    for _ in range(MAX_ATTEMPTS):
        try:
            sentence = step(DerivationState(random), Node(EMPTY_RULE, {}))
        except NoWordError:
            continue
        text = grammar.linearize(sentence, "english").text
        if text in known or assign_split(text) != "test":
            continue
        german = grammar.linearize(sentence, "german")
        # No passive: it would allow queens to be sold, and its verb is a participle in every tense.
        fits = sentence["clause"].rule.name != "passive" and not grammar.is_held_out(german)
        about = describe(grammar, sentence) if fits else None
        if about is not None:
            known.add(text)
            rows.append({"sentence": text, "label": label, **about, "end": len(split_words(text))})
        if len(rows) == each:
            return rows
    raise EvaluationError(f"the grammar gives too few sentences with {feature} {label!r}: {len(rows)} of {each}.")


def _number(grammar: Grammar, sentence: Node) -> Mapping[str, Any] | None:
    """Columns of a sentence in which only the noun shows the number of the subject; None for other sentences."""
    clause = sentence["clause"]
    what = clause["subject"]["what"]
    noun, verb = lexeme_positions(grammar, sentence, what, "noun"), lexeme_positions(grammar, sentence, clause, "verb")
    words = split_words(grammar.linearize(sentence, "english").text)
    number = what["number"]
    what["number"] = "plural" if number == "singular" else "singular"
    try:
        other = split_words(grammar.linearize(sentence, "english").text)
    except KeyError:  # the noun has no plural
        return None
    finally:
        what["number"] = number
    differs_in_noun = len(other) == len(words) and unaligned_positions(words, other) == noun[-1:]
    if not noun or not verb or noun[0] == 0 or not differs_in_noun:
        return None
    lemma = what["noun"][0]["key"]
    return {"lemma": lemma, "word": words[noun[-1]], "before": noun[0] - 1, "noun": noun[-1], "verb": verb[0]}


def _tense(grammar: Grammar, sentence: Node) -> Mapping[str, Any] | None:
    clause = sentence["clause"]
    places = lexeme_positions(grammar, sentence, clause, "verb")
    # The present of some verbs is spelled like the past.
    if not places or places[0] == 0 or clause["verb"][0].get("no_habit") == "yes":
        return None
    word = split_words(grammar.linearize(sentence, "english").text)[places[0]]
    return {"lemma": clause["verb"][0]["key"], "word": word, "first": 0, "verb": places[0]}


@check_arguments()
def lexeme_positions(grammar: Grammar, sentence: Node, node: Node, slot: str, language: str = "english") -> list[int]:
    """Positions of the words that express a lexeme, from 0, as `split_words` counts the words of the sentence.

    The lexeme fills a `slot` of `node`, which is a part of the derivation `sentence`.
    """
    index, right = grammar.languages.index(language), node[slot]
    forms = {form for lexeme, form in grammar.linearize(sentence, language).used_forms if lexeme is right}
    marked = {form: " ".join(PLACEHOLDER + word for word in right[index][form].split()) for form in forms}
    node[slot] = Lexeme({**entry, **marked} if place == index else entry for place, entry in enumerate(right))
    try:
        words = split_words(grammar.linearize(sentence, language).text)
    finally:
        node[slot] = right
    return [place for place, word in enumerate(words) if word.startswith(PLACEHOLDER)]
