"""From the principal parts of a word to its forms, by the regular expressions of a language's `forms.yaml`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from seq2seq.errors import CorpusError


def inflect(paradigm: Mapping[str, Any], entry: str | Mapping[str, Any]) -> dict[str, str]:
    """Return the forms of a word, by name.

    A paradigm names the `parts` of an entry, in order and separated by commas, and makes each form that is not given
    from a part or an earlier form: `plural: [singular, [y$, ies], [$, s]]` takes the first pattern that is found and
    replaces it. Two origins are joined: `[genitive|nominative, ...]`.

    Args:
        paradigm: `parts`, a list of names, and `forms`: a name or a list of a name and pairs of pattern and
            replacement.
        entry: The parts as text, or a mapping of `parts` and of forms that are irregular.

    Raises:
        CorpusError: The entry has more parts than the paradigm, or a form is made from one that is not there.
    """
    text, exceptions = (entry, {}) if isinstance(entry, str) else (entry.get("parts", ""), flatten(entry))
    names = paradigm["parts"]
    given = [part.strip() for part in text.split(",")] if len(names) > 1 else [text]
    if len(given) > len(names):
        raise CorpusError(f"{text!r} has {len(given)} parts, and the paradigm {len(names)}: {', '.join(names)}.")
    forms = dict.fromkeys(names, "") | dict(zip(names, given, strict=False))
    for name, made in flatten(paradigm.get("forms", {})).items():
        origin, *rules = [made] if isinstance(made, str) else made
        missing = [part for part in origin.split("|") if part not in forms]
        if missing:
            raise CorpusError(f"form {name!r} of {text!r} is made from {missing[0]!r}, which is no earlier form.")
        made_of = "|".join(forms[part] for part in origin.split("|"))
        forms[name] = exceptions.get(name) or (name in names and forms[name]) or _rewrite(made_of, rules)
    return forms | {name: form for name, form in exceptions.items() if name != "parts"}


def flatten(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return a nested table with the path to each value as one key: `{dative: {f: der}}` has `dative.f`."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        values |= flatten(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return values


def _rewrite(form: str, rules: Iterable[Any]) -> str:
    for pattern, replacement in rules:
        if re.search(pattern, form):
            return re.sub(pattern, replacement, form, count=1)
    return form
