from __future__ import annotations

import re

import numpy as np
import pytest

from rain.bench.remote.conventions import PRESETS, libero_wording, preset
from rain.worlds.libero import find_task, suite_tasks


@pytest.mark.parametrize("suite", ["libero_spatial", "libero_object", "libero_goal", "libero_10"])
def test_instructions_are_worded_as_the_benchmark_words_them(suite: str):
    # LIBERO's grab_language_from_filename: the file's name without the scene's.
    for task, name in suite_tasks(suite).items():
        words = re.sub(r"^[A-Z_]+SCENE\d+_", "", name).replace("_", " ")
        assert libero_wording(find_task(suite, task).script.instruction) == words


def test_libero_ex_is_worded_alike():
    assert libero_wording("Close the microwave.") == "close the microwave"
    assert (
        libero_wording("Pick the milk next to the cookies box and place it on the plate.")
        == "pick up the milk next to the cookie box and place it on the plate"
    )


def test_a_half_turn_of_libero_image_is_the_upright_one_mirrored():
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)  # as LIBERO gives it: upside down
    upright = raw[::-1]
    np.testing.assert_array_equal(preset("lerobot-libero").image(upright), raw[::-1, ::-1])
    assert preset("openpi-libero").image(upright).shape == (224, 224, 3)


def test_grippers():
    actions = np.zeros((3, 7))
    actions[:, 6] = [0.0, 0.4, 1.0]
    turned = preset("openvla-oft-libero").actions(actions)
    assert turned[:, 6].tolist() == [1.0, 1.0, -1.0], "0 closes there, +1 closes here"
    actions[:, 6] = [-1.0, 0.5, 1.0]
    np.testing.assert_array_equal(preset("openpi-libero").actions(actions)[:, 6], actions[:, 6])


def test_every_preset_sends_all_proprioception_once_and_says_where_it_was_read():
    for conventions in PRESETS.values():
        numbers = [number for _, some in conventions.state for number in some]
        assert numbers == list(range(8))
        assert [view for view, _ in conventions.images] == ["agentview", "wrist"]
        assert conventions.source
