"""Lexemes from the files of words: concepts with their attributes, and their forms in every language."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar.derivation import Lexeme

WORD_LISTS = {"surnames": "surname", "cities": "city", "countries": "country", "months": "month", "weekdays": "weekday"}
CLASS_ATTRIBUTES = ("sort", "class", "gender", "tense")  # attributes that define kinds of words
OPTIONAL_ATTRIBUTES = ("singular_only", "single_owner")  # attributes of only some words of a class

Concepts = dict[str, dict[str, dict[str, str]]]  # part of speech, concept, attribute


def load_concepts(lexicon: Mapping[str, Any], function_words: Mapping[str, Any]) -> Concepts:
    """Return every concept with its attributes, by part of speech.

    Values are text; a list becomes its members separated by spaces, and true becomes `yes`.
    """
    found: Concepts = defaultdict(dict)
    within = _groups(lexicon["groups"])
    measured = {name for entry in lexicon["nouns"].values() for of in entry.get("of", {}).values() for name in of}
    for name, entry in lexicon["nouns"].items():
        shared = {"class": [name, *within[name]], "sort": name, "measured": name in measured, **entry}
        for word in entry["words"]:
            own = {key: word in entry.get(key, ()) for key in OPTIONAL_ATTRIBUTES} | {
                "of": entry.get("of", {}).get(word)
            }
            found["noun"][word] = _attributes({**shared, "words": None, **own})
    for name, words in lexicon["adjectives"].items():
        found["adjective"] |= {word: {"class": name} for word in words}
    for verb, entry in lexicon["verbs"].items():
        found["verb"][verb] = _attributes(
            {"subject": ["human"], "frame": _frame(entry), "action": "state" not in entry, **entry}
        )
    for gender, names in lexicon["names"].items():
        found["name"] |= {name: {"gender": gender} for name in names}
    for key, part in WORD_LISTS.items():
        found[part] |= {word: {} for word in lexicon[key]}
    for key, words in lexicon["adverbs"].items():
        kind, *tenses = key.split("_")
        found[kind] |= {word: {"tense": " ".join(tenses)} for word in words}
    for part, entries in function_words.items():
        found[part] |= {word: _attributes(entry) for word, entry in entries.items()}
    return found


def build_lexemes(found: Concepts, languages: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Lexeme]]:
    """Return the lexemes of each part of speech.

    Args:
        found: Result of `load_concepts`.
        languages: `forms` of each language, in order, and its `words` by part of speech and concept.

    Raises:
        CorpusError: An entry is not a concept, or does not fit its paradigm.
    """
    for name, language in languages.items():
        for part, entries in language["words"].items():
            unknown = sorted(set(entries) - set(found[part]))
            if unknown:
                raise CorpusError(f"{name}: {part} {unknown[0]!r} is not a concept of lexicon.yaml.")
    made: dict[str, list[Lexeme]] = {}
    for part, entries in found.items():
        made[part] = []
        for concept, attributes in entries.items():
            forms = [_forms(part, concept, language, name) for name, language in languages.items()]
            # If no language needs a preposition, the object can be moved and negated on its own.
            direct = not any(form.get("preposition") for form in forms)
            gradable = part == "adjective" and all(form["comparative"] for form in forms)
            shared = _attributes({"key": concept, "direct": direct, "gradable": gradable})
            made[part].append(Lexeme({**attributes, **shared, **form} for form in forms))
    return made


def select_basic(words: Mapping[str, list[Lexeme]], chosen: Mapping[str, Any]) -> dict[str, list[Lexeme]]:
    """Return the lexemes that `basic.yaml` chooses."""
    verbs = set(chosen["verbs"])
    kept: dict[str, list[Lexeme]] = {part: [] for part in words}
    for part, lexemes in words.items():
        most, seen = chosen["most"].get(part, len(lexemes)), Counter[str]()
        for lexeme in lexemes:
            attributes = lexeme[0]
            kind = next((attributes[key] for key in CLASS_ATTRIBUTES if key in attributes), "")
            seen[kind] += 1
            if seen[kind] <= most and (part != "verb" or attributes["key"] in verbs):
                kept[part].append(lexeme)
    return kept


def _forms(part: str, concept: str, language: Mapping[str, Any], name: str) -> dict[str, str]:
    paradigm = language["forms"].get(part, {"parts": ["*"]})
    entry = language["words"].get(part, {}).get(concept, concept)
    try:
        if isinstance(entry, Mapping) and "parts" not in entry:
            return {key: str(value) for key, value in flatten(entry).items()}
        return inflect(paradigm, entry)
    except CorpusError as error:
        raise CorpusError(f"{name}: {part} {concept!r}: {error}") from None


def inflect(paradigm: Mapping[str, Any], entry: str | Mapping[str, Any]) -> dict[str, str]:
    """Return the forms of a word, by name.

    A paradigm names the `parts` of an entry, in order and separated by commas, and derives each form that is not given
    from a part or an earlier form: `plural: [singular, [y$, ies], [$, s]]` replaces the first pattern that is found.
    Two origins are joined: `[genitive|nominative, ...]`.

    Args:
        paradigm: `parts`, a list of names, and `forms`: a name or a list of a name and pairs of pattern and
            replacement.
        entry: The parts as text, or a mapping of `parts` and of forms that are irregular.

    Raises:
        CorpusError: The entry has more parts than the paradigm, or a form is derived from one that does not exist.
    """
    text, exceptions = (entry, {}) if isinstance(entry, str) else (entry.get("parts", ""), flatten(entry))
    names = paradigm["parts"]
    given = [part.strip() for part in text.split(",")] if len(names) > 1 else [text]
    if len(given) > len(names):
        raise CorpusError(f"{text!r} has {len(given)} parts, but the paradigm {len(names)}: {', '.join(names)}.")
    forms = dict.fromkeys(names, "") | dict(zip(names, given, strict=False))
    for name, made in flatten(paradigm.get("forms", {})).items():
        origin, *rules = [made] if isinstance(made, str) else made
        missing = [part for part in origin.split("|") if part not in forms]
        if missing:
            raise CorpusError(f"form {name!r} of {text!r} is made from {missing[0]!r}, which is not an earlier form.")
        made_of = "|".join(forms[part] for part in origin.split("|"))
        forms[name] = exceptions.get(name) or (name in names and forms[name]) or _rewrite(made_of, rules)
    return forms | {name: form for name, form in exceptions.items() if name != "parts"}


def flatten(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return a nested table with the path to each value as one key: `{dative: {f: der}}` has `dative.f`."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        values |= flatten(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return values


def _frame(entry: Mapping[str, Any]) -> str:
    frames = (
        ("recipient", "ditransitive"),
        ("amount", "amount"),
        ("impersonal", "impersonal"),
        ("goal", "moving" if "object" in entry else "motion"),
        ("place", "placing" if "object" in entry else "staying"),
        ("object", "transitive"),
    )
    return next((frame for slot, frame in frames if slot in entry), "intransitive")


def _groups(groups: Mapping[str, Iterable[str]]) -> Mapping[str, list[str]]:
    """Return the groups to which each class belongs, directly or through another group."""

    def members(group: str) -> Iterator[str]:
        for name in groups.get(group, ()):
            yield name
            yield from members(name)

    within: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for name in members(group):
            within[name].append(group)
    return within


def _attributes(entry: Mapping[str, Any]) -> dict[str, str]:
    given = {key: "yes" if value is True else value for key, value in entry.items() if value not in (None, False)}
    return {key: " ".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in given.items()}


def _rewrite(form: str, rules: Iterable[Any]) -> str:
    for pattern, replacement in rules:
        if re.search(pattern, form):
            return re.sub(pattern, replacement, form, count=1)
    return form
