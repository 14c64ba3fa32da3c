"""Asking a model: the prompt, one retry with the error quoted, then a clear failure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rain.perception.prompts import Box
from rain.perception.reasoner.chat import ChatReasoner, Message
from rain.perception.reasoner.protocols import (
    Grounder,
    Reasoner,
    ReasonError,
    phrase_from_name,
)
from rain.perception.segmenter import Frame

PLAN = '[{"action_type": "grasp", "target": "the milk"}]'


class Scripted:
    """Answers what it was given, one after another."""

    name = "scripted"

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), []

    def ask(self, messages: Sequence[Message]) -> str:
        self.asked.append(list(messages))
        return self.answers.pop(0)


def image(value: int = 0) -> np.ndarray:
    return np.full((100, 200, 3), value, np.uint8)


def test_it_is_a_reasoner_and_a_grounder():
    reasoner = ChatReasoner(Scripted())
    assert isinstance(reasoner, Reasoner)
    assert isinstance(reasoner, Grounder)


def test_the_instruction_and_all_views_are_asked_with():
    model = Scripted(PLAN)
    plan = ChatReasoner(model).decompose("take the {milk}", {"a": image(1), "b": image(2)})
    (asked,) = model.asked[0]
    assert "Instruction: take the {milk}" in asked.text
    assert [i[0, 0, 0] for i in asked.images] == [1, 2]
    assert plan.phrase_of("the milk") == "the milk"


def test_each_view_is_asked_for_its_own_box():
    model = Scripted('{"bbox_2d": [100, 100, 300, 500]}', "[]")
    frame = Frame({"a": image(1), "b": image(2)}, 0.0)
    found = ChatReasoner(model).ground("milk_1", "the milk", frame)
    assert found == {"a": Box(20, 10, 60, 50)}
    assert [asked[0].text for asked in model.asked] == [
        "Locate the bounding box of the milk. Return a json."
    ] * 2
    assert [asked[0].images[0][0, 0, 0] for asked in model.asked] == [1, 2]


def test_a_bad_answer_is_asked_for_once_more_with_the_error():
    model = Scripted('[{"action_type": "wipe", "target": "table"}]', PLAN)
    plan = ChatReasoner(model).decompose("take the milk", {"a": image()})
    assert plan.script.subtasks[0].action_type == "grasp"
    question, answer, again = model.asked[1]
    assert (question.role, answer.role, again.role) == ("user", "assistant", "user")
    assert "wipe" in answer.text
    assert "unknown action type 'wipe'" in again.text


def test_two_bad_answers_are_a_failure_that_says_why():
    model = Scripted("Well.", '[{"bbox_2d": [1,1,9,9]}, {"bbox_2d": [1,1,99,9]}]', "never asked")
    with pytest.raises(
        ReasonError, match=r"scripted gave no usable .* 'the milk' in view a, twice: 2 boxes"
    ):
        ChatReasoner(model).ground("milk_1", "the milk", Frame({"a": image()}, 0.0))
    assert model.answers == ["never asked"]


@pytest.mark.parametrize(
    ("target", "phrase"),
    [
        ("akita_black_bowl_1", "the akita black bowl"),
        ("wooden_cabinet_1:top_drawer", "the top drawer of the wooden cabinet"),
        ("plate_1->main_table:stove_front_region", "the plate"),
    ],
)
def test_phrases_of_names(target, phrase):
    assert phrase_from_name(target) == phrase
