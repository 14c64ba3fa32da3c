from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from rain.worlds.bodies import finger_touches


def test_which_fingers_touch_what():
    # Geoms 0 to 4 are of bodies 0 to 4; fingers are 1 and 2, the milk is 3, the plate 4.
    model = SimpleNamespace(geom_bodyid=np.arange(5))
    pairs = np.array([[1, 3], [3, 2], [0, 4], [4, 3], [2, 4], [1, 0]])
    data = SimpleNamespace(contact=SimpleNamespace(geom=pairs))
    fingers, owners = {1: "left", 2: "right"}, {3: "milk_1", 4: "plate_1"}
    found = finger_touches(model, data, fingers, owners)
    assert found == {"milk_1": {"left", "right"}, "plate_1": {"right"}}
    data.contact.geom = np.zeros((0, 2), int)
    assert finger_touches(model, data, fingers, owners) == {}
