"""Each alarm of a validation: numbers that ring, healthy ones that do not, and when it is said."""

import shlex
from itertools import pairwise
from pathlib import Path
from unittest.mock import ANY

import pytest

from seq2seq.config import dump_config, parse_config_text
from seq2seq.training.alarms import (
    Alarm,
    AlarmMonitor,
    BaselineLosses,
    count_faults,
    easy_validation_alarm,
    learning_rate_alarm,
    no_gain_alarm,
    overfitting_alarm,
    translation_alarms,
    validation_alarms,
)
from tests.toy import language_model_config, toy_config

BASELINES = BaselineLosses(6.004, 8.7)
CONFIG = toy_config(Path(), training={"learning_rate": 0.005})
# Multi30k, the tuned recipe: train_nll, valid_loss and BLEU of its validations, every 513 updates.
HEALTHY = [
    *((4.550, 3.499, 13.2), (3.242, 2.724, 23.3), (2.779, 2.430, 26.5), (2.536, 2.252, 29.7), (2.374, 2.136, 31.6)),
    (2.264, 2.057, 32.0),
]


def entries(*rows, every=500, **more):
    """A history of (train_nll, valid_loss, bleu) a validation; the best BLEU so far is the best."""
    made, best = [], -1.0
    for number, (train, valid, bleu) in enumerate(rows, start=1):
        improved = bleu > best
        best = max(best, bleu)
        made.append(
            {
                "update": every * number,
                "train_nll": train,
                "valid_loss": valid,
                "bleu": bleu,
                "best": improved,
                "skipped_updates": 0,
                "rollbacks": 0,
                "translations": None,
            }
            | {key: values[number - 1] for key, values in more.items()}
        )
    return made


def assert_remedies_work(text, config=CONFIG):
    """Every `--set` of a warning is one that the recipe takes."""
    words = shlex.split(text)
    overrides = [value for option, value in pairwise(words) if option == "--set"]
    assert overrides, text
    parse_config_text(dump_config(config).encode(), "toy", overrides)


def test_a_healthy_run_rings_nothing():
    history = entries(*HEALTHY)
    for number in range(len(history) + 1):
        assert not list(validation_alarms(history[:number], BASELINES, CONFIG))


@pytest.mark.parametrize(
    ("update", "loss", "parts"),
    [
        (1658, 6.187, ["after update 1,658", "no better", "6.19 nats", "6.00", "schedule.warmup_updates=300"]),
        (1658, 5.99, ["hardly better"]),
        (1658, 12.0, ["it is 0 updates", "(it is 0.005)"]),
        (299, 6.1, ["train for much longer than 299 updates"]),
        (400, 8.5, ["near a uniform guess (8.70)", "training.learning_rate=0.01"]),
        (400, 8.72, ["near a uniform guess (8.70)"]),
    ],
)
def test_a_model_no_better_than_frequencies(update, loss, parts):
    alarm = no_gain_alarm({"update": update, "valid_loss": loss}, BASELINES, CONFIG.training)
    assert all(part in alarm.text for part in parts), alarm.text
    if update > 300:
        assert_remedies_work(alarm.text)
    assert no_gain_alarm({"update": update, "valid_loss": 5.9}, BASELINES, CONFIG.training) is None


def test_within_the_warmup_no_gain_is_another_alarm_than_after_it():
    config = toy_config(Path(), training={"schedule": {"warmup_updates": 2000}}).training
    during, after = (no_gain_alarm({"update": update, "valid_loss": 6.1}, BASELINES, config) for update in (1999, 2000))
    assert "until update 2,000: train for longer than that" in during.text
    assert during.kind != after.kind
    assert "training.learning_rate=0.005" in after.text, "the warmup is long enough"


def test_faults_of_translations_are_counted_unless_the_reference_has_them():
    pairs = [
        ("Tom is here.", "Tom ist hier."),
        ("Yes.", "Ja."),
        ("ha ha ha ha ha", "ha ha ha ha ha"),
        ("Berlin", "Berlin"),
        ("", ""),
        ("Go home.", "Geh nach Hause."),
    ]
    assert count_faults([], pairs) is None
    assert count_faults([target for _, target in pairs], pairs) == {
        "total": 6, "empty": 0, "looping": 0, "copied": 0, "repeated": 1,
    }  # fmt: skip
    found = count_faults(["tom is  here.", "", "ha ha ha ha ha", "Ja.", "", "geh geh geh geh geh nach"], pairs)
    assert found == {"total": 6, "empty": 1, "looping": 1, "copied": 1, "repeated": 1}
    assert count_faults(["Ja."] * 6, pairs)["repeated"] == 6
    same = [(f"Good {number}.", "Gut.") for number in range(5)]
    assert count_faults(["Gut."] * 5, same)["repeated"] == 1, "that is what the corpus says, too"


@pytest.mark.parametrize(
    ("text", "loops"),
    [("der Mann der Mann der Mann der Mann", True), ("我喜欢我喜欢我喜欢我喜欢", True), ("a" * 5000, True),
     (",,,,,,,,", True), (",,,", False), ("10000000 Euro", False), ("der Mann und der Mann und der Hund", False)],
)  # fmt: skip
def test_what_a_loop_is(text, loops):
    assert count_faults([text], [("a source", "a reference")])["looping"] == loops


@pytest.mark.parametrize("fault", ["empty", "repeated", "looping", "copied"])
def test_each_fault_of_translations_rings_from_its_share_on(fault):
    share = 5 if fault == "empty" else 10
    (entry,) = entries((3.0, 3.0, 5.0))
    healthy = {"total": 200, "empty": 0, "repeated": 1, "looping": 0, "copied": 0}
    assert not list(translation_alarms(entry | {"translations": healthy | {fault: 2 * share - 1}}, CONFIG))
    (alarm,) = translation_alarms(entry | {"translations": healthy | {fault: 2 * share}}, CONFIG)
    assert f"{2 * share}" in alarm.text
    assert "200" in alarm.text
    assert not list(translation_alarms(entry | {"translations": healthy | {"total": 5, fault: 2}}, CONFIG))


def test_what_a_young_model_grows_out_of_rings_when_it_stays_or_the_run_ends():
    looping, copied = ({"total": 10, "empty": 0, "repeated": 1, "looping": 9, "copied": n} for n in (0, 9))
    kinds = ["looping translations"]

    def found(losses, faults=looping, **more):
        history = entries(*((5.0, loss, 1.0) for loss in losses), translations=[faults] * len(losses))
        return [alarm.kind for alarm in validation_alarms(history, BASELINES, CONFIG, **more)]

    assert found([4.5]) == found([4.5, 4.0]) == found([4.5, 4.0, 3.5]) == []
    assert found([4.5, 4.4]) == found([4.5, 4.0, 3.9]) == kinds
    assert found([4.5], is_last=True) == found([4.5, 4.0], is_last=True) == kinds
    assert found([4.5], copied) == ["copied translations"], "which no training mends"


def test_no_gain_within_the_warmup_is_no_alarm_unless_the_run_ends_there():
    config = toy_config(Path(), training={"schedule": {"warmup_updates": 2000}})
    history = entries((6.5, 6.2, 0.0))
    assert not list(validation_alarms(history, BASELINES, config))
    (alarm,) = validation_alarms(history, BASELINES, config, is_last=True)
    assert "train for longer than that" in alarm.text


def test_overfitting_names_the_best_model_and_what_to_do():
    rows = [(3.0, 3.0, 20.0), (2.0, 2.5, 30.0), (1.5, 2.52, 29.0), (1.2, 2.6, 29.5), (1.0, 2.7, 28.0)]
    history = entries(*rows)
    assert overfitting_alarm(history[:-1], CONFIG) is None, "two validations may be chance"
    text = overfitting_alarm(history, CONFIG).text
    for part in ("since update 1,000", "from 2.50 to 2.70", "training loss is 1.00", "(loss 2.50, BLEU 30.00)"):
        assert part in text
    assert_remedies_work(text)
    better = [(*row[:2], 20.0 + place) for place, row in enumerate(rows)]
    assert overfitting_alarm(entries(*better), CONFIG) is None, "the loss rises, but BLEU, which decides, does too"
    flat = [*rows[:2], *[(2.2, 2.55, 29.0)] * 5]
    assert overfitting_alarm(entries(*flat), CONFIG) is None, "it has stopped to learn, and remembers nothing by heart"


def test_overfitting_of_a_language_model_names_its_own_keys():
    config = language_model_config(Path())
    history = entries((3.0, 3.0, 20.0), (2.0, 2.5, 30.0), *[(1.0, 2.8, 29.0)] * 3)
    history = [entry | {"bleu": None} for entry in history]
    text = overfitting_alarm(history, config).text
    assert "(loss 2.50)" in text
    assert "encoder" not in text
    assert_remedies_work(text, config)


def test_a_validation_loss_below_the_training_loss_rings_where_nothing_explains_it():
    plain = toy_config(Path(), **{part: {"dropout": 0.0} for part in ("embeddings", "encoder", "decoder")})
    easy = entries((3.0, 2.0, 20.0), (2.5, 1.9, 21.0))
    text = easy_validation_alarm(easy, plain).text
    assert "(1.90) is below the training loss (2.50" in text
    assert_remedies_work(text, plain)
    assert easy_validation_alarm(easy, CONFIG) is None, "dropout makes training harder"
    assert easy_validation_alarm(easy[:1], plain) is None, "the mean of a first epoch lags far behind"
    assert easy_validation_alarm(entries((4.0, 3.0, 1.0), (2.5, 1.9, 2.0)), plain) is None, "it falls fast"
    assert easy_validation_alarm(entries((2.0, 2.0, 1.0), (1.9, 1.9, 2.0)), plain) is None
    averaged = plain.model_copy(update={"training": plain.training.model_copy(update={"ema_decay": 0.99})})
    assert easy_validation_alarm(easy, averaged) is None


@pytest.mark.parametrize(
    ("rows", "more", "seen"),
    [
        ([(2.0, 2.0, 20.0)] * 2, {"skipped_updates": [0, 10]}, "10 of 500 updates since the last validation"),
        ([(2.0, 2.0, 20.0)] * 2, {"skipped_updates": [0, 9]}, None),
        ([(2.0, 2.0, 20.0)] * 2, {"skipped_updates": [30, 30]}, None),
        ([(2.0, 2.0, 20.0)] * 2, {"rollbacks": [0, 1]}, "rolled back 1 time"),
        ([(2.0, 2.0, 20.0)] * 2, {"rollbacks": [1, 1]}, None),
        ([(2.0, 2.0, 20.0), (2.3, 2.4, 18.0)], {}, "loss rose, by 0.30 and 0.40"),
        ([(2.0, 2.0, 20.0), (1.8, 2.4, 18.0)], {}, None),  # overfits
        ([(2.0, 2.0, 20.0), (2.3, 2.0, 20.0)], {}, None),  # an epoch of harder sentences
        ([(9, 3.0, 1.0), (8, 3.5, 1.0), (7, 3.1, 1.0), (6, 3.6, 1.0)], {}, "up and down: 3.00, 3.50, 3.10, 3.60"),
        ([(9, 3.0, 1.0), (8, 3.2, 1.0), (7, 3.4, 1.0), (6, 3.6, 1.0)], {}, None),  # overfits
        ([(9, 3.0, 1.0), (8, 3.1, 1.0), (7, 3.0, 1.0), (6, 3.1, 1.0)], {}, None),  # noise
    ],
)
def test_signs_of_too_large_a_learning_rate(rows, more, seen):
    alarm = learning_rate_alarm(entries(*rows, **more), CONFIG.training)
    assert (alarm is not None) == (seen is not None)
    if alarm:
        assert seen in alarm.text
        assert "training.learning_rate=0.0025" in alarm.text
        assert_remedies_work(alarm.text)


def test_losses_that_rise_within_the_warmup_are_no_sign():
    rising = toy_config(Path(), training={"schedule": {"warmup_updates": 600}}).training
    history = entries((2.0, 2.0, 20.0), (2.3, 2.4, 18.0))
    assert learning_rate_alarm(history, rising) is None
    assert learning_rate_alarm(history, CONFIG.training)


def test_an_alarm_is_said_when_it_begins_and_again_only_after_it_has_ended():
    monitor = AlarmMonitor(CONFIG, BASELINES, [Alarm("precision", "slow")])
    losses = [6.2, 6.1, 5.0, 6.3]
    said = [monitor.record(entry) for entry in entries(*((6.5, loss, 0.0) for loss in losses), every=1000)]
    assert [len(texts) for texts in said] == [1, 0, 0, 1]
    assert [entry["new_warnings"] for entry in monitor.history] == [["slow", *said[0]], [], [], said[3]]
    held = [entry["warnings"] for entry in monitor.history]
    assert [texts[0] for texts in held] == ["slow"] * 4
    assert [texts[1:] for texts in held] == [said[0], [ANY], [], said[3]]
    assert "after update 2,000" in held[1][1], "it still holds, with the figures of now"
    assert monitor.said() == ["slow", *said[0], *said[3]]


def test_a_resumed_run_says_what_the_whole_one_does():
    def made():
        return entries(*((6.5, loss, 0.0) for loss in (6.2, 6.1, 5.0, 6.3)), every=1000)

    start = [Alarm("precision", "slow")]
    whole = AlarmMonitor(CONFIG, BASELINES, start)
    for entry in made():
        whole.record(entry)
    for stop in range(5):
        resumed = AlarmMonitor(CONFIG, BASELINES, start, list(whole.history[:stop]))
        for entry in made()[stop:]:
            resumed.record(entry)
        assert resumed.history == whole.history
        assert resumed.said() == whole.said()
    whole.roll_back(1)
    assert whole.said() == ["slow", *whole.history[0]["new_warnings"][1:]]


def test_what_remains_is_what_holds_of_the_best_model():
    monitor = AlarmMonitor(
        CONFIG, BASELINES, [Alarm("vocabulary", "rare"), Alarm("precision", "slow", of_result=False)]
    )
    healthy, empty = ({"total": 10, "empty": n, "repeated": 1, "looping": 0, "copied": 0} for n in (0, 9))
    rows, found = [(5.0, 5.0, 1.0), (4.0, 4.0, 9.0), (4.0, 4.0, 8.0)], [empty, healthy, empty]
    for entry in entries(*rows, translations=found):
        monitor.record(entry)
    assert monitor.remaining() == ["rare"]
    monitor.roll_back(1)
    _, faults = monitor.remaining()
    assert "9 of 10 translations" in faults, "as it is delivered, it will not grow out of that"
    stuck = AlarmMonitor(CONFIG, BASELINES)
    for entry in entries((6.5, 6.2, 0.0), (6.5, 6.3, 0.0)):
        stuck.record(entry | {"best": False})
    (text,) = stuck.remaining()
    assert "after update 1,000" in text, "until there is a best model, the last one is delivered"
