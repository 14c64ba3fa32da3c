from __future__ import annotations

from rain.training.logs import (
    TRAIN_COLUMNS,
    CsvLog,
    draw_curves,
    read_rows,
    validation_columns,
)

COLUMNS = ("stage", "step", "loss", "lr")


def steps(path):
    return [(int(row["stage"]), int(row["step"])) for row in read_rows(path)]


def test_rows_later_than_the_state_are_dropped_on_resume(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, COLUMNS, 1, 0)
    for step in (10, 20, 30):
        log.append({"stage": 1, "step": step, "loss": 0.5})
    log.append({"stage": 2, "step": 10, "loss": 0.25, "lr": 1e-4})
    assert steps(path) == [(1, 10), (1, 20), (1, 30), (2, 10)]
    assert read_rows(path)[0]["lr"] == ""
    assert float(read_rows(path)[3]["lr"]) == 1e-4
    CsvLog(path, COLUMNS, 1, 20)
    assert steps(path) == [(1, 10), (1, 20)]


def test_a_line_half_written_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "log.csv"
    CsvLog(path, COLUMNS, 1, 0).append({"stage": 1, "step": 10, "loss": 0.5})
    with path.open("a") as file:
        file.write("1,20,0.")
    log = CsvLog(path, COLUMNS, 1, 20)
    log.append({"stage": 1, "step": 30, "loss": 0.4})
    assert steps(path) == [(1, 10), (1, 30)]


def test_curves_are_drawn(tmp_path):
    training, held = tmp_path / "log.csv", tmp_path / "validation.csv"
    picture = tmp_path / "curves.png"
    log = CsvLog(training, TRAIN_COLUMNS, 1, 0)
    draw_curves(training, held, picture)
    assert not picture.exists()
    for step in (1, 2):
        log.append({"stage": 1, "step": step, "loss": 1.0 / step})
    columns = validation_columns(("dx", "dy"))
    assert columns[-2:] == ("action_error_dx", "action_error_dy")
    row = {"stage": 1, "step": 2, "final_mm": 9.5, "action_error": 0.2, "action_error_dy": 0.3}
    CsvLog(held, columns, 1, 0).append(row)
    draw_curves(training, held, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
