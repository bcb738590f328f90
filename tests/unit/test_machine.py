"""Workers have to compute alike, whatever device each of them finds."""

from types import SimpleNamespace

import numpy as np
import pytest

from seq2seq.devices.device import Device
from seq2seq.errors import TrainingError
from seq2seq.training.machine import Machine, check_workers
from tests.toy import toy_config


class Worker:
    """One of three workers; what the others have is known beforehand."""

    num_workers, worker_index = 3, 1

    def __init__(self, *others):
        self.others = np.zeros((3, 2), np.float32)
        self.others[[0, 2]] = others

    def sum_over_workers(self, values):
        assert not values[[0, 2]].any(), "each worker fills its own row"
        return values + self.others


def machine(*others):
    return Machine(Device("CPU", "float32", is_gpu=False), "mixed_float16", Worker(*others))


def test_workers_that_have_chosen_the_same_go_ahead(tmp_path):
    check_workers(machine((2, 200), (2, 200)), toy_config(tmp_path))


@pytest.mark.parametrize(
    ("other", "found"), [((3, 200), "mixed_bfloat16, 200 tokens"), ((2, 8000), "mixed_float16, 8,000 tokens")]
)
def test_workers_that_have_not_are_told_what_to_set(other, found, tmp_path):
    config = toy_config(tmp_path)
    with pytest.raises(TrainingError) as error:
        check_workers(machine((2, 200), other), config)
    for part in ("worker 1: mixed_float16, 200 tokens", f"worker 2: {found}", "Set training.precision"):
        assert part in str(error.value)


def test_one_worker_alone_has_nobody_to_differ_from(tmp_path):
    alone = SimpleNamespace(num_workers=1, worker_index=0, sum_over_workers=lambda values: values)
    check_workers(machine((0, 0), (0, 0))._replace(replicas=alone), toy_config(tmp_path))
