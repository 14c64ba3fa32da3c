"""What models were seen to answer, good and bad, and what is read from it."""

from __future__ import annotations

import pytest

from rain.perception.reasoner.answers import AnswerError, read_box, read_script, strip_thoughts

# Images are 200 wide and 100 high; every good answer is the box (20, 10, 60, 50).
BOX = (20.0, 10.0, 60.0, 50.0)
BOXES = {
    "as asked": '{"bbox_2d": [100, 100, 300, 500], "label": "potato"}',
    "a fenced list": '```json\n[\n\t{"bbox_2d": [100, 100, 300, 500], "label": "potato"}\n]\n```',
    "a fence without a name": '```\n{"bbox": [100, 100, 300, 500]}\n```',
    "thoughts first": "<think>\nThe potato [sic] is {left}.\n</think>\n\n"
    '{"box": [100, 100, 300, 500]}',
    "thoughts that the template opened": 'It is left. </think> {"bbox_2d": [100, 100, 300, 500]}',
    "an answer tag": "<think>a</think><answer>[100, 100, 300, 500]</answer>",
    "prose about it": 'Sure! Here it is: {"bbox_2d": [100, 100, 300, 500]}. Anything else?',
    "a bare list": "[100, 100, 300, 500]",
    "a list in a list": "[[100, 100, 300, 500]]",
    "two corners": '{"bbox_2d": [[100, 100], [300, 500]]}',
    "named corners": '{"bbox": {"x1": 100, "y1": 100, "x2": 300, "y2": 500}}',
    "other names of corners": '{"xmin": 100, "ymin": 100, "xmax": 300, "ymax": 500}',
    "corner and size": '{"x": 100, "y": 100, "width": 200, "height": 400}',
    "Python's quotes": "[{'bbox_2d': [100, 100, 300, 500], 'label': 'potato'}]",
    "a comma too many": '[{"bbox_2d": [100, 100, 300, 500],}]',
    "numbers as words": '{"bbox_2d": ["100", "100", "300", "500"]}',
    "one string": '{"bounding_box": "100, 100, 300, 500"}',
    "fractions of one": '{"bbox": [0.1, 0.1, 0.3, 0.5]}',
    "an object around it": '{"objects": [{"label": "potato", "bbox_2d": [100, 100, 300, 500]}]}',
    "the same twice": '[{"bbox_2d": [100,100,300,500]}, {"bbox_2d": [100,100,300,500]}]',
    "Qwen2's tags": "<ref>potato</ref><box>(100,100),(300,500)</box>",
    "special tokens": "<|box_start|>(100,100),(300,500)<|box_end|>",
}


@pytest.mark.parametrize("name", BOXES)
def test_a_box_is_read(name):
    box = read_box(BOXES[name], 100, 200)
    assert box is not None
    assert box.corners == pytest.approx(BOX)


NO_BOX = [
    "[]",
    "None",
    "null",
    "<think>nothing there</think>\n[]",
    '{"bbox_2d": null}',
    "not found.",
]


@pytest.mark.parametrize("answer", NO_BOX)
def test_no_box_means_not_to_be_seen(answer):
    assert read_box(answer, 100, 200) is None


BAD_BOXES = {
    "I see a potato on the left side of the table.": "there is no JSON in it: I see a potato",
    "<think>It is at [1, 2": "there is no JSON",
    '{"bbox_2d": [100, 100, 300]}': "expected four numbers",
    '{"label": "potato"}': "expected a key bbox_2d, got label",
    '{"bbox_2d": [300, 100, 100, 500]}': "left < right",
    '[{"bbox_2d": [1, 1, 300, 500]}, {"bbox_2d": [400, 1, 700, 500]}]': "2 boxes were given",
    '{"bbox_2d": [5000, 5000, 6000, 6000]}': "outside the image of 200 x 100",
    '{"bbox_2d": [-300, 0, -10, 100]}': "outside the image",
    '{"bbox_2d": [100, 100, 100, 100]}': "left < right",
    '{"bbox_2d": [100, 100, 300, "a"]}': "expected four numbers",
    '{"bbox_2d": [1e400, 0, 3, 4]}': "there is no JSON|NaN or infinity|expected four",
}


@pytest.mark.parametrize("answer", BAD_BOXES)
def test_a_bad_box_says_why(answer):
    with pytest.raises(AnswerError, match=BAD_BOXES[answer]):
        read_box(answer, 100, 200)


@pytest.mark.parametrize(
    ("numbers", "units", "expected"),
    [
        ((100, 100, 300, 500), "pixels", (100, 100, 300, 500)),
        ((100, 100, 300, 500), "thousandths", (200, 60, 600, 300)),
        ((1100, 100, 1300, 500), "auto", (1100, 100, 1300, 500)),  # above 1000: pixels
        ((0, 0, 1, 1), "auto", (0, 0, 2000, 600)),  # the whole image in fractions
        ((-20, 100, 300, 500), "thousandths", (0, 60, 600, 300)),  # cut to the image
    ],
)
def test_units_of_coordinates(numbers, units, expected):
    box = read_box(str(list(numbers)), 600, 2000, units)
    assert box is not None
    assert box.corners == pytest.approx(expected)


GOOD = [("grasp", "the potato"), ("release", "the middle plate")]
SCRIPTS = {
    "as asked": '[{"action_type": "grasp", "target": "the potato"}, '
    '{"action_type": "release", "target": "the middle plate"}]',
    "fenced, other keys": '```json\n{"subtasks": [{"action": "Pick up", "object": "the potato"}, '
    '{"action": "place", "location": "the middle plate"}]}\n```',
    "thoughts with a draft in them": '<think>[{"action": "fly", "target": "x"}]</think>'
    '[{"skill": "grab", "target": "the potato"}, {"skill": "put", "target": "the middle plate"}]',
    "words": '["grasp the potato", "2. release: the middle plate"]',
    "pairs": '[["grasp", "the potato"], ["release", "the middle plate"]]',
    "Python's quotes": "[{'type': 'grasp', 'target': 'the potato'}, "
    "{'type': 'release', 'target': 'the middle plate'}]",
    "prose around": "The plan:\n"
    '[{"action_type":"grasp","target":"the potato"},{"action_type":"release","target":'
    '"the middle plate"}]\nThis completes the task.',
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read(name):
    found = read_script(SCRIPTS[name], "Put the potato on the middle plate")
    assert [(s.action_type, s.target) for s in found.script.subtasks] == GOOD
    assert found.phrases == tuple(target for _, target in GOOD)
    assert found.script.instruction == "Put the potato on the middle plate"


@pytest.mark.parametrize(
    ("action", "expected"),
    [("turn on", "turn_on"), ("Turn-On", "turn_on"), ("OPEN", "open"), ("slide", "push"),
     ("shut", "close"), ("switch on", "turn_on")],
)  # fmt: skip
def test_names_of_actions(action, expected):
    found = read_script(f'[{{"action": "{action}", "target": "it"}}]', "do")
    assert found.script.subtasks[0].action_type == expected


BAD_SCRIPTS = {
    "First grasp the potato, then put it on the plate.": "there is no JSON",
    "[]": "expected a JSON list of subtasks",
    '{"action": "wipe", "target": "table"}': "subtask 1: unknown action type 'wipe'; known: grasp",
    '[{"action_type": "grasp"}]': "subtask 1: expected action_type and target",
    '[{"action_type": "grasp", "target": ""}]': "subtask 1: expected",
    '[{"action_type": "grasp", "target": "a"}, {"action_type": "grasp", "target": "b"}]': (
        "subtask 2 grasps 'b' while 'a' is still held"
    ),
    "[3, 4]": "subtask 1: expected action_type and target, got 3",
}


@pytest.mark.parametrize("answer", BAD_SCRIPTS)
def test_a_bad_script_says_why(answer):
    with pytest.raises(AnswerError, match=BAD_SCRIPTS[answer]):
        read_script(answer, "do it")


def test_thoughts_that_never_end_hold_no_answer():
    assert strip_thoughts('<think>perhaps {"bbox_2d": [1, 2, 3, 4]}') == ""
