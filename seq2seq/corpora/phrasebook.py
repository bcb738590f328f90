"""The corpus that ships with the project: English-German pairs, made by rules of our own.

The words are in `phrasebook.yaml`. A sentence is drawn as one or two clauses (who does what, to whom,
where, when), and each clause is then said in both languages. All that decides the German can be read
off the English, so a model can learn it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple

import yaml

SIZES = {"train": 12_000, "valid": 400, "test": 400}
SEED = 1
LENGTHS = range(4, 15)  # words in a sentence, in either language

Pair = tuple[str, str]  # the same in English and in German
NOTHING, FULL_STOP, QUESTION_MARK = ("", ""), (".", "."), ("?", "?")

CASES = ("nominative", "accusative", "dative")
KINDS = ("definite", "indefinite", "number")  # the book, a book, three books
WHO, WHOM = ("who", "wer"), ("whom", "wer wen wem")  # the last by case
ADULTS = ("people", "relations")
# A determiner: its German stem, its endings and those of an adjective after it.
THE, THIS, BARE = ("", "der", "weak"), ("dies", "strong", "weak"), ("", "none", "strong")
A, NO = ("ein", "ein", "mixed"), ("kein", "ein", "mixed")
COMPANIONS = {"with": "mit dative", "for": "für accusative"}
TENSES = ("progressive", "habit", "past", "will", "modal")  # of a verb that names no others
TIME_ODDS = {"habit": 1, "past": 1, "was": 1, "will": 0.7, "progressive": 0.4, "modal": 0.4, "is": 0.3}
FORMS = {"i": 0, "m": 1, "f": 1, "n": 1, "w": 2, "p": 2}  # which of am, is, are goes with a group


class Phrase(NamedTuple):
    """A noun phrase or a pronoun: English as subject and as object, German in three cases."""

    english: Pair
    german: Sequence[str]
    group: str  # a key of FORMS
    kind: str  # one of KINDS, or pronoun
    question: Pair = WHOM  # how one asks for it, as an object
    negated: Sequence[str] = ()  # the German with `kein`, where that is how it is negated


class Part(NamedTuple):
    """What follows the verb, with its rank in German and how one asks for it."""

    english: str
    german: str
    rank: str
    question: Pair = NOTHING


class Clause(NamedTuple):
    """Who does what; the words are put in order later, by language and by type of sentence."""

    subject: Phrase
    verb: dict[str, Any]
    tense: str
    parts: list[Part]
    negated: bool = False
    time: Pair = NOTHING


def phrasebook(split: str) -> Iterator[Pair]:
    """Yield the (English, German) pairs of a split, the same ones on every machine.

    No English sentence occurs twice, within a split or across splits, and all splits are dealt from
    one shuffled deck. Both sides are plain text of 4 to 14 words, a capital first and a mark last.

    Args:
        split: `train` (12,000 pairs), `valid` (400) or `test` (400).

    Raises:
        ValueError: There is no such split.
    """
    if split not in SIZES:
        raise ValueError(f"phrasebook: unknown split {split!r}. Accepted: {', '.join(SIZES)}.")
    return iter(_splits()[split])


@cache
def _splits() -> dict[str, list[Pair]]:
    grammar = Grammar(SEED)
    pairs: dict[str, str] = {}
    while len(pairs) < sum(SIZES.values()):
        english, german = grammar.sentence()
        assert pairs.setdefault(english, german) == german, f"two translations of {english!r}"
    deck = iter(sorted(pairs.items(), key=lambda _: grammar.random()))
    return {split: [next(deck) for _ in range(size)] for split, size in SIZES.items()}


class Grammar:
    """Draws sentences, by chance from `Random.random` alone, which every Python version repeats."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random
        text = files("seq2seq.corpora").joinpath("phrasebook.yaml").read_text(encoding="utf-8")
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # five times as fast where it is built in
        self.lexicon: dict[str, Any] = yaml.load(text, loader)
        self.nouns = {name: list(_nouns(entry)) for name, entry in self.lexicon["nouns"].items()}
        forms = [noun["english"] for members in self.nouns.values() for noun in members]
        self.lemmas = {form: both[0] for both in forms for form in both}
        self.lemmas |= {word: word for key in ("names", "adjectives") for word in self.lexicon[key]}
        self.frequency = list(self.lexicon["times"]["frequency"].items())
        self.names = list(self.lexicon["names"])
        self.patterns = [self.statement] * 9 + [self.yes_no_question] * 3 + [self.wh_question] * 4
        self.patterns += [self.reported_clause, self.reason, self.two_clauses] * 2
        self.patterns += [self.weather, self.existence]

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def pick(self, options: Iterable[Any]) -> Any:
        options = list(options)
        return options[int(self.random() * len(options))]

    def sentence(self) -> Pair:
        """Draw a sentence of accepted length in which no noun, name or adjective occurs twice."""
        while True:
            english, german = map(_finish, self.pick(self.patterns)())
            lemmas = [self.lemmas.get(word) for word in re.findall(r"\w+", english)]
            content = [lemma for lemma in lemmas if lemma]
            fits = all(len(text.split()) in LENGTHS for text in (english, german))
            if fits and len(set(content)) == len(content):
                return english, german

    # Types of sentence

    def statement(self) -> Pair:
        clause = self.clause()
        if clause.time in self.frequency or self.chance(0.6):
            return _join(self.say(clause), FULL_STOP)
        return _join(self.say(clause._replace(time=NOTHING), front=clause.time), FULL_STOP)

    def yes_no_question(self) -> Pair:
        return _join(self.say(self.clause(known=True), order="question"), QUESTION_MARK)

    def wh_question(self) -> Pair:
        if self.chance(0.25):
            who = Phrase(WHO, ["wer"], "n", "pronoun")
            return _join(self.say(self.clause(who, known=True)), QUESTION_MARK)
        clause = self.clause(known=True)
        asked = self.pick([part for part in clause.parts if part.question[0]] or [None])
        if asked:
            front = asked.question
            clause = clause._replace(parts=[part for part in clause.parts if part is not asked])
        else:
            front = self.pick([("why", "warum"), ("when", "wann")][: 1 if _is(clause.verb) else 2])
            clause = clause._replace(time=NOTHING)
        return _join(self.say(clause, front, "question"), QUESTION_MARK)

    def reported_clause(self) -> Pair:
        verb = self.pick(self.lexicon["clause_verbs"])
        told = self.say(self.clause(tenses=verb.get("told")), order="last")
        english, german = _join(verb["conjunction"], (" ", " "), told)
        parts, negated = [Part(english, f", {german}", "clause")], verb.get("negated", False)
        clause = Clause(self.phrase(ADULTS, ["definite"]), verb, "simple", parts, negated)
        return _join(self.say(clause), FULL_STOP)

    def reason(self) -> Pair:
        clause = self.clause(tenses=["progressive", "past", "will", "modal"])
        if clause.subject.group == "n":  # a child: `er`, `sie` or `es` does not follow from `he`
            return self.reason()
        subject, past = self.pronoun(clause.subject.group), clause.tense == "past"
        if past or clause.subject.question != WHOM or self.chance(0.6):  # no pet has plans
            mood = self.lexicon["mood"]
            parts = list(self.parts(mood, subject, negated=False))
            because = Clause(subject, mood, "was" if past else "is", parts)
            conjunction = self.pick([(" because ", ", weil "), (" although ", ", obwohl ")])
        else:
            because, conjunction = self.clause(subject, ["modal"]), (" because ", ", weil ")
        return _join(self.say(clause), conjunction, self.say(because, order="last"), FULL_STOP)

    def two_clauses(self) -> Pair:
        first, second = (self.clause(tenses=["progressive"]) for _ in range(2))
        if first.verb is second.verb:
            return self.two_clauses()
        conjunction = self.pick([(" and ", " und "), (", but ", ", aber ")])
        return _join(self.say(first), conjunction, self.say(second), FULL_STOP)

    def weather(self) -> Pair:
        clause = self.clause(tenses=["habit", "modal"])._replace(time=NOTHING)
        when = _join(("when ", "wenn "), self.pick(self.lexicon["weather"].items()))
        if self.chance(0.5):
            return _join(self.say(clause), (" ", ", "), when, FULL_STOP)
        return _join(self.say(clause, front=_join(when, (",", ","))), FULL_STOP)

    def existence(self) -> Pair:
        classes, place, verbs = self.pick(self.lexicon["existence"])
        found = self.noun_phrase(classes, ["indefinite", "number"])
        several, where = found.group == "p", self.place(place)
        english = f"there {'are' if several else 'is'} {found.english[0]} {where.english}."
        return english, f"{where.german} {verbs[several]} {found.german[0]}."

    # Clauses

    def clause(self, subject: Any = None, tenses: Any = None, known: bool = False) -> Clause:
        """Draw a clause; `known`, for a question, asks for a definite subject and no negation."""
        verb = self.pick(self.lexicon["verbs"])
        classes = verb.get("subject", ADULTS)
        usual = [tense for tense in verb.get("tenses", TENSES) if not tenses or tense in tenses]
        if not usual or (subject and "people" not in classes):
            return self.clause(subject, tenses, known)
        tense = self.pick(usual)
        time = NOTHING if "timeless" in verb else self.time(tense, known)
        tense = self.pick(self.lexicon["modals"]) if tense == "modal" else tense
        # `Must not` is not `muss nicht`, and `not every day` would need a rule of its own.
        negated = not known and tense not in ("must", "habit") and self.chance(0.2)
        known = known or negated or self.chance(0.75)
        kinds = ["definite"] if known else ["indefinite", "number"]
        subject = subject or self.phrase(classes, ["definite", "plain"] if _is(verb) else kinds)
        return Clause(subject, verb, tense, list(self.parts(verb, subject, negated)), negated, time)

    def time(self, tense: str, known: bool) -> Pair:
        if tense == "habit" and not known and self.chance(0.5):
            return self.pick(self.frequency)
        if tense in ("will", "modal") and self.chance(0.15):
            hour = self.pick(self.lexicon["numbers"].items())
            return _join(("at ", "um "), hour, (" o'clock", " Uhr"))
        timed = self.chance(TIME_ODDS.get(tense, 0))
        return self.pick(self.lexicon["times"][tense].items()) if timed else NOTHING

    def parts(self, verb: dict[str, Any], subject: Phrase, negated: bool) -> Iterator[Part]:
        """Draw what the verb takes, in the order of English."""
        moved = verb.get("recipient") == "moves" and self.chance(0.5)  # gives a book to the boy
        recipient = None
        if "recipient" in verb:
            phrase = self.phrase(ADULTS, ["definite"], subject)
            rank = "pronoun" if phrase.kind == "pronoun" else "recipient"
            recipient = Part(phrase.english[1], phrase.german[2], rank)
            if not moved:
                yield recipient
        if "object" in verb:
            case = verb.get("case", "accusative")
            kinds = ["definite"] if " " in case else verb.get("kinds", KINDS)
            kinds = [kind for kind in kinds if not (negated and kind == "number")]
            yield self.object(self.phrase(verb["object"], kinds, subject), case, negated)
        if recipient and moved:
            yield recipient._replace(english=f"to {recipient.english}")
        if "particle" in verb:
            yield Part(verb["particle"], "", "goal")
        if "adjectives" in verb:
            english = self.pick(verb["adjectives"])
            quality = english, self.lexicon["adjectives"][english].split("/")[0]
            yield Part(*_join(self.pick(verb["degrees"]), quality), "goal")
        if "than" in verb:
            other = self.noun_phrase(verb["than"], ["definite", "plain"], subject.group)
            quality = self.pick(self.lexicon["comparatives"].items())
            compared = (f" than {other.english[1]}", f" als {other.german[0]}")
            yield Part(*_join(quality, compared), "goal")
        if "goal" in verb:
            yield self.place(verb["goal"], goal=True)
        if "place" in verb:
            yield self.place(verb["place"])._replace(rank="goal")
        if "adjuncts" in verb and self.chance(0.4):
            kind = self.pick(verb["adjuncts"])
            yield self.companion(kind, subject) if kind in COMPANIONS else self.place(kind)

    def object(self, phrase: Phrase, governs: str, negated: bool) -> Part:
        """Put an object into the case, and after the preposition, that the verb asks for."""
        preposition, _, case = governs.rpartition(" ")
        form = CASES.index(case)
        english, german = phrase.english[1], phrase.german[form]
        question = phrase.question
        if question == WHOM:
            question = "whom", f"{preposition} {WHOM[1].split()[form]}".strip()
        if preposition:
            german = f"{preposition} {german}".replace("von dem ", "vom ")
            return Part(english, german, "goal", question if phrase.question == WHOM else NOTHING)
        if negated and phrase.negated:
            german = phrase.negated[form]
        rank = {"number": "indefinite", "definite": "settled" if negated else "definite"}
        return Part(english, german, rank.get(phrase.kind, phrase.kind), question)

    def companion(self, word: str, subject: Phrase) -> Part:
        part = self.object(self.phrase(ADULTS, ["definite"], subject), COMPANIONS[word], False)
        question = f"{word} whom", part.question[1]
        return Part(f"{word} {part.english}", part.german, "place", question)

    def place(self, kind: str, goal: bool = False) -> Part:
        where, wo, to, wohin = self.pick(self.lexicon["places"][kind])
        if goal:
            return Part(to, wohin, "goal", ("where", "wohin"))
        return Part(where, wo, "place", ("where", "wo"))

    # Noun phrases

    def phrase(self, classes: Sequence[str], kinds: Any, beside: Any = None) -> Phrase:
        """Draw a pronoun, name or noun phrase, to stand in one clause with the subject `beside`."""
        group = beside.group if beside else "n"
        if "people" in classes and self.chance(0.25):
            same = "iw" if group in "iw" else group
            return self.pronoun(self.pick(key for key in self.lexicon["pronouns"] if key not in same))
        if "people" in classes and self.chance(0.3):
            name, gender = self.pick(self.lexicon["names"].items())
            if self.chance(0.8):
                return Phrase((name, name), [name] * 3, gender, "definite")
            other = self.pick(self.names)
            english, german = f"{name} and {other}", f"{name} und {other}"
            return Phrase((english, english), [german] * 3, "p", "definite")
        return self.noun_phrase(classes, kinds, group)

    def pronoun(self, group: str) -> Phrase:
        english, english_object, *german = self.lexicon["pronouns"][group]
        return Phrase((english, english_object), german, group, "pronoun")

    def noun_phrase(self, classes: Sequence[str], kinds: Any, owner: str = "n") -> Phrase:
        """Draw determiner, adjective and noun; `owner` is the group of the subject (`her book`)."""
        noun = self.pick([noun for name in classes for noun in self.nouns[name]])
        plural = noun["style"] == "count" and self.chance(0.3)
        options = self.determiners(noun, plural, kinds, owner)
        determiner, forms, kind, after = self.pick(options)
        plain = "plain" in kinds or self.chance(0.75)
        adjective = "" if plain else self.pick(noun["adjectives"])
        english = _words(determiner, adjective, noun["english"][plural])
        question = WHOM if noun["human"] else ("what", "was")
        if plural and kind != "definite" and not noun["human"]:
            question = f"how many {noun['english'][1]}", f"wie viele {noun['german'][1]}"
        return Phrase(
            english=(english, english),
            german=[_words(case, after) for case in self.decline(noun, plural, forms, adjective)],
            group="p" if plural else noun["gender"],
            kind=kind,
            question=question,
            negated=self.decline(noun, plural, NO, adjective) if kind == "indefinite" else (),
        )

    def determiners(self, noun: Any, plural: bool, kinds: Any, owner: str) -> list[tuple[Any, ...]]:
        """List determiners as (English, German forms, kind, what follows the noun in German)."""
        owners = [owner] if owner in "iw" else ["i", "w", *owner.strip("n")]
        my, mein = self.lexicon["possessives"][self.pick(owners)]
        mine = (my, (mein, "ein", "mixed"), "definite", "")
        if noun["style"] == "relation":
            return [mine]
        options: list[tuple[Any, ...]] = []
        if "definite" in kinds:
            options += [("the", THE, "definite", "")] * 3
            options += [("these" if plural else "this", THIS, "definite", "")]
        if "definite" in kinds and not noun["human"]:
            name, (whose, wessen) = self.pick(self.names), self.pick(self.lexicon["owners"].items())
            theirs = (f"{name}'s", (f"{name}s", "none", "strong"), "definite", "")
            options += [mine, self.pick([theirs, (whose, THE, "definite", wessen)])]
        if "indefinite" in kinds:
            bare = plural or noun["style"] == "mass"
            options += [("", BARE, "indefinite", "") if bare else ("a", A, "indefinite", "")] * 4
        if "number" in kinds and plural:
            english, german = self.pick(self.lexicon["numbers"].items())
            options += [(english, (german, "none", "strong"), "number", "")] * 2
        return options

    def decline(self, noun: Any, plural: bool, forms: Sequence[str], adjective: str) -> list[str]:
        """Put determiner, adjective and noun into the three cases."""
        one, several, oblique = noun["german"]
        dative = several if several.endswith(("n", "s")) else several + "n"
        nouns = (several, several, dative) if plural else (one, oblique, oblique)
        group = "p" if plural else noun["gender"]
        stem, *endings = forms
        first, second = (self.lexicon["endings"][name][group] for name in endings)
        quality = self.lexicon["adjectives"].get(adjective, "").split("/")[-1]
        return [
            _words(stem + ending, quality and quality + weak, noun_form)
            for ending, weak, noun_form in zip(first, second, nouns, strict=True)
        ]

    # Verb forms and word order

    def say(self, clause: Clause, front: Pair = NOTHING, order: str = "") -> Pair:
        """Put a clause into words, in the order of a `question`, or with the German verb `last`."""
        return self.english(clause, front[0], order), self.german(clause, front[1], order)

    def english(self, clause: Clause, front: str, order: str) -> str:
        base, past, present, *words = clause.verb["english"]
        tense, form = clause.tense, FORMS[clause.subject.group]
        third = "has" if base == "have" else _with_s(base)
        if tense == "want":
            base, third, words = "want", "wants", ["to", base, *words]
        if tense == "progressive":
            auxiliary, main = self.lexicon["auxiliaries"]["is"][0][form], present
        elif tense in self.lexicon["auxiliaries"] and tense != "want":
            auxiliary, main = self.lexicon["auxiliaries"][tense][0][form], base
        elif order == "question" or clause.negated:
            auxiliary, main = "did" if tense == "past" else ("do", "does", "do")[form], base
        else:
            auxiliary, main = "", past if tense == "past" else (base, third, base)[form]
        subject = clause.subject.english[0]
        start = [auxiliary, subject] if order == "question" else [subject, auxiliary]
        early, late = clause.time[0], ""
        if clause.time not in self.frequency:
            early, late = late, early
        middle = ["not" if clause.negated else "", early, main, *words]
        return _words(front, *start, *middle, *(part.english for part in clause.parts), late)

    def german(self, clause: Clause, front: str, order: str) -> str:
        infinitive, third, participle = clause.verb["german"]
        prefix, _, stem = infinitive.rpartition("|")
        tense, form = clause.tense, FORMS[clause.subject.group]
        if tense in self.lexicon["auxiliaries"]:
            finite, final = self.lexicon["auxiliaries"][tense][1][form], prefix + stem
        elif tense == "past":
            auxiliary = clause.verb.get("auxiliary", "haben")
            finite, final = self.lexicon["perfect"][auxiliary][form], participle
        else:
            first = stem.removesuffix("n") if stem.endswith("en") else stem.removesuffix("n") + "e"
            finite, final = (clause.verb.get("ich", first), third, stem)[form], prefix
        rank = self.lexicon["order"].index
        kein = any(part.rank == "indefinite" for part in clause.parts)
        inner = [(part.rank, part.german) for part in clause.parts]
        inner += [("time", clause.time[1])]
        inner += [("nicht", "nicht")] if clause.negated and not kein else []
        middle = [german for _, german in sorted(inner, key=lambda part: rank(part[0]))]
        subject = clause.subject.german[0]
        if order == "last":
            end = [prefix + finite] if final == prefix else [final, finite]
            return _words(subject, *middle, *end)
        start = [front, finite, subject] if front or order == "question" else [subject, finite]
        return _words(*start, *middle, final)


def _is(verb: dict[str, Any]) -> bool:
    return not verb["english"][0]  # of the verb `be` the auxiliary is all there is


def _nouns(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for english, german in entry["words"].items():
        one, _, several = english.partition("/")
        article, _, forms = german.partition(" ")
        singular, plural, oblique = [*forms.split(", "), "", ""][:3]
        yield {
            "english": (one, several or _with_s(one)),
            "german": (singular, plural, oblique or singular),
            "gender": {"der": "m", "die": "f", "das": "n"}[article],
            "style": entry.get("style", "count"),
            "human": entry.get("human", False),
            "adjectives": entry["adjectives"],
        }


def _with_s(word: str) -> str:
    """Return the plural of a noun, or the form of a verb for he and she."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh", "to", "go")) else "s")


def _words(*words: str) -> str:
    return " ".join(filter(None, words)).replace(" ,", ",")


def _join(*pairs: Pair) -> Pair:
    return "".join(english for english, _ in pairs), "".join(german for _, german in pairs)


def _finish(text: str) -> str:
    text = re.sub(r"\ba (?=[aeiou])", "an ", text).replace("can not", "cannot")
    return text[0].upper() + text[1:]
