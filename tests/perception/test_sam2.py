"""SAM 2 and EdgeTAM behind Segmenter: streaming, prompts, several targets, bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from perception_models import SIZE, seeing, tiny_edgetam, tiny_sam2

from rain.perception.prompts import Box, Mask, Points
from rain.perception.sam2 import (
    Sam2Segmenter,
    load_video_model,
    memory_length,
    prune,
    session_class,
    set_image_size,
)
from rain.perception.segmenter import Frame, Segmenter
from rain.types import RainError

BOX = Box(10, 12, 30, 40)


@pytest.fixture(scope="module")
def sam2() -> Any:
    return tiny_sam2()


@pytest.fixture(scope="module")
def edgetam() -> Any:
    return tiny_edgetam()


def frame(number: int, views: tuple[str, ...] = ("agentview",), shape=(48, 60)) -> Frame:
    rng = np.random.default_rng(number)
    images = {view: rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for view in views}
    return Frame(images, number / 20)


def logits(model: Any, session: Any, number: int) -> torch.Tensor:
    """What transformers itself gives for noise frame ``number``."""
    pixels = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(number))
    return model(inference_session=session, frame=pixels, frame_idx=number).pred_masks


def opened(model: Any) -> Any:
    session = session_class(model)(video=None, video_height=48, video_width=60, dtype=torch.float32)
    session.add_point_inputs(
        session.obj_id_to_idx(1),
        0,
        {
            "point_coords": torch.tensor([[[[10.0, 10.0], [40.0, 40.0]]]]),
            "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32),
        },
    )
    session.obj_with_new_inputs = [1]
    return session


@pytest.mark.parametrize("name", ["sam2", "edgetam"])
def test_pruning_changes_no_mask(name, request):
    model = request.getfixturevalue(name)
    whole, pruned = opened(model), opened(model)
    length = memory_length(model.config)
    for number in range(3 * length):
        expected = logits(model, whole, number)
        assert torch.equal(logits(model, pruned, number), expected)
        prune(pruned, number, length)
    # And pruning one frame more would be seen: the test can fail.
    prune(pruned, number, 1)
    assert not torch.equal(logits(model, pruned, number + 1), logits(model, whole, number + 1))


@pytest.mark.parametrize("name", ["sam2", "edgetam"])
def test_targets_are_followed_in_every_view(name, request):
    segmenter = Sam2Segmenter(request.getfixturevalue(name))
    assert isinstance(segmenter, Segmenter)
    views = ("agentview", "wrist")
    seen = segmenter.seed("milk_1", frame(0, views), {"agentview": BOX, "wrist": BOX})
    assert set(seen) == set(views)
    for number in range(1, 4):
        found = segmenter.follow(frame(number, views))
        for view in views:
            tracked = found["milk_1"][view]
            assert tracked.region.shape == (48, 60)
            assert tracked.region.dtype == np.bool_
            assert tracked.stamp == number / 20
            assert tracked.score == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_a_mask_prompt_is_given_back(sam2):
    region = np.zeros((SIZE, SIZE), bool)
    region[16:48, 8:40] = True
    at = Frame({"agentview": frame(0, shape=(SIZE, SIZE)).images["agentview"]}, 0.0)
    seen = Sam2Segmenter(sam2).seed("milk_1", at, {"agentview": Mask(region)})["agentview"]
    overlap = (seen.region & region).sum() / (seen.region | region).sum()
    assert overlap > 0.9  # the mask passes through a quarter of the size


def test_a_box_is_its_corners_in_the_networks_pixels(sam2):
    calls = []
    segmenter = Sam2Segmenter(sam2)
    real = sam2.forward

    def spy(inference_session, frame, frame_idx):
        calls.append(inference_session.point_inputs_per_obj[0][frame_idx])
        return real(inference_session=inference_session, frame=frame, frame_idx=frame_idx)

    sam2.forward = spy
    try:
        segmenter.seed("milk_1", frame(0), {"agentview": Box(15, 12, 30, 36)})
        segmenter.seed("milk_1", frame(1), {"agentview": Points(((30, 24),), ((0, 0),))})
    finally:
        del sam2.forward
    box, points = calls
    # The image is 60 wide and 48 high, the network's 64 x 64.
    assert box["point_labels"].tolist() == [[[2, 3]]]
    assert torch.allclose(box["point_coords"], torch.tensor([[[[16.0, 16.0], [32.0, 48.0]]]]))
    assert points["point_labels"].tolist() == [[[1, 0]]]
    assert torch.allclose(points["point_coords"], torch.tensor([[[[32.0, 32.0], [0.0, 0.0]]]]))


def test_targets_join_and_leave_in_mid_stream(sam2):
    segmenter = Sam2Segmenter(sam2)
    segmenter.seed("milk_1", frame(0), {"agentview": BOX})
    alone = [segmenter.follow(frame(n))["milk_1"]["agentview"].region for n in range(1, 6)]

    segmenter = Sam2Segmenter(sam2)
    segmenter.seed("milk_1", frame(0), {"agentview": BOX})
    regions = []
    for number in range(1, 6):
        found = segmenter.follow(frame(number))
        regions.append(found["milk_1"]["agentview"].region)
        if number == 5:
            assert set(found) == {"milk_1", "soup_1"}
        if number == 4:
            segmenter.seed("soup_1", frame(number), {"agentview": Points(((20, 20),))})
    # Another target changes nothing until it joins; then its frame counts for all.
    for first, second in zip(alone[:4], regions[:4], strict=True):
        assert np.array_equal(first, second)
    segmenter.forget("milk_1")
    assert set(segmenter.follow(frame(6))) == {"soup_1"}
    segmenter.forget()
    assert segmenter.follow(frame(7)) == {}


def test_seeding_again_forgets_what_was_there(sam2):
    fresh = Sam2Segmenter(sam2)
    fresh.seed("milk_1", frame(9), {"agentview": BOX})
    again = Sam2Segmenter(sam2)
    again.seed("milk_1", frame(0), {"agentview": Box(40, 20, 55, 40)})
    again.follow(frame(1))
    again.seed("milk_1", frame(9), {"agentview": BOX})
    for number in range(10, 13):
        expected = fresh.follow(frame(number))["milk_1"]["agentview"].region
        assert np.array_equal(again.follow(frame(number))["milk_1"]["agentview"].region, expected)


def test_a_target_that_the_model_does_not_see_is_lost_and_found_again():
    model = tiny_sam2(seed=1)
    segmenter = Sam2Segmenter(model)
    segmenter.seed("milk_1", frame(0), {"agentview": Mask(np.ones((48, 60), bool))})
    seeing(model, -2.0)
    lost = segmenter.follow(frame(1))["milk_1"]["agentview"]
    assert not lost.found
    assert lost.score == pytest.approx(1 / (1 + np.exp(2.0)))
    seeing(model, 2.0)
    # Whatever the random decoder draws, the score says that the target is there again.
    assert segmenter.follow(frame(2))["milk_1"]["agentview"].score > 0.5


def held_bytes(segmenter: Sam2Segmenter) -> int:
    """Bytes of all tensors that a segmenter's sessions hold."""

    def size(value: Any) -> int:
        if isinstance(value, torch.Tensor):
            return value.untyped_storage().nbytes()
        if isinstance(value, dict):
            return sum(map(size, value.values()))
        if isinstance(value, list | tuple):
            return sum(map(size, value))
        return 0

    total = 0
    for stream in segmenter._streams.values():
        total += size(stream._cache._vision_features)
        for session in stream._sessions.values():
            parts = {k: v for k, v in vars(session).items() if k != "cache"}
            total += size(parts)
    return total


def test_memory_stays_flat_over_2000_frames():
    segmenter = Sam2Segmenter(tiny_sam2(32))
    segmenter.seed("milk_1", frame(0), {"agentview": BOX})
    sizes = []
    for number in range(1, 2001):
        segmenter.follow(frame(number % 10))
        if number in (50, 1000, 2000):
            sizes.append(held_bytes(segmenter))
    assert sizes[0] > 0
    assert len(set(sizes)) == 1, sizes


def test_a_smaller_working_size_runs_with_the_same_weights(sam2):
    config = type(sam2.config).from_dict(sam2.config.to_dict())
    set_image_size(config, 96)
    model = type(sam2)(config).eval()
    missing = model.load_state_dict(sam2.state_dict(), strict=False)
    assert not missing.missing_keys
    assert not missing.unexpected_keys
    segmenter = Sam2Segmenter(model)
    segmenter.seed("milk_1", frame(0), {"agentview": BOX})
    found = segmenter.follow(frame(1))["milk_1"]["agentview"]
    assert found.region.shape == (48, 60)


def test_real_weights_load_from_a_local_folder(sam2, tmp_path):
    sam2.save_pretrained(tmp_path / "weights")
    loaded = load_video_model(str(tmp_path / "weights"))
    for name, value in sam2.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    smaller = load_video_model(str(tmp_path / "weights"), 32)
    assert smaller.config.image_size == 32


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(RainError, match=r"hf download facebook/sam2.1-hiera-tiny --local-dir"):
        load_video_model("sam2")
    with pytest.raises(RainError, match="a folder without a SAM 2"):
        load_video_model(str(tmp_path))


def test_a_model_of_another_kind_is_refused(tmp_path):
    from transformers import Dinov2Config

    Dinov2Config().save_pretrained(tmp_path)
    with pytest.raises(RainError, match="is a dinov2 model; expected sam2_video or edgetam_video"):
        load_video_model(str(tmp_path))


def test_an_odd_working_size_is_refused(sam2):
    from transformers import EdgeTamVideoConfig

    with pytest.raises(RainError, match="multiple of 32 pixels, got 336"):
        set_image_size(sam2.config, 336)
    with pytest.raises(RainError, match="multiple of 256 pixels, got 352"):
        set_image_size(EdgeTamVideoConfig(), 352)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Box(70, 0, 80, 10), "agentview: box .* outside the image of 60 x 48"),
        (Points(((59, 48),)), r"point \(59, 48\) lies outside"),
        (Mask(np.ones((60, 48), bool)), "mask: it has"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(sam2, prompt, message):
    with pytest.raises(RainError, match=message):
        Sam2Segmenter(sam2).seed("milk_1", frame(0), {"agentview": prompt})


def test_a_view_without_an_image_is_refused(sam2):
    with pytest.raises(RainError, match="view wrist: the frame has no image"):
        Sam2Segmenter(sam2).seed("milk_1", frame(0), {"wrist": BOX})
