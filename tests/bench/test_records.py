from __future__ import annotations

import json

import pytest
from bench_fakes import SETTINGS, record

from rain.bench.records import EpisodeRecord, RecordFile, Trial, latest, read_records
from rain.types import RainError


@pytest.mark.parametrize("crashed", [False, True])
def test_a_line_holds_the_whole_record(crashed):
    original = record(crashed=crashed, video="videos/a.mp4")
    line = json.loads(json.dumps(original.to_json()))
    again = EpisodeRecord.from_json(line)
    assert again == original
    if not crashed:
        assert again.result.seconds == original.result.seconds


def test_the_line_explains_itself():
    line = record().to_json()
    assert line["outcome"] == "success"
    assert line["transitions"][0] == {
        "step": 1, "subtask": 0, "completion": pytest.approx(0.9), "held": None,
        "left": "grasp milk_1",
    }  # fmt: skip
    assert line["script"] == [["grasp", "milk_1"], ["release", "basket_1"]]
    assert list(line["grasps"]) == [{"step": 4, "object": "milk_1"}]
    crashed = record(crashed=True).to_json()
    assert crashed["outcome"] == "crashed"
    assert "success" not in crashed


class TestFile:
    def test_append_and_read(self, tmp_path):
        path = tmp_path / "deep" / "episodes.jsonl"
        with RecordFile(path) as file:
            for i in range(3):
                file.append(record(i))
        assert [r.trial.episode for r in read_records(path)] == [0, 1, 2]

    def test_each_line_is_on_disk_at_once(self, tmp_path):
        path = tmp_path / "episodes.jsonl"
        with RecordFile(path) as file:
            file.append(record(0))
            assert len(read_records(path)) == 1

    def test_done_counts_same_settings_and_no_crashes(self, tmp_path):
        path = tmp_path / "episodes.jsonl"
        with RecordFile(path) as file:
            file.append(record(0))
            file.append(record(1, crashed=True))
            file.append(record(2, settings={"weights": "other"}))
            file.append(record(3, crashed=True))
            file.append(record(3))
        with RecordFile(path) as file:
            assert {trial.episode for trial in file.done(lambda trial: SETTINGS)} == {0, 3}
            assert (
                latest(file.records, lambda trial: SETTINGS)[Trial("libero_object", 0, 3)].error
                is None
            )

    def test_a_torn_last_line_is_dropped(self, tmp_path):
        path = tmp_path / "episodes.jsonl"
        with RecordFile(path) as file:
            file.append(record(0))
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:40])
        assert len(read_records(path)) == 1
        with RecordFile(path) as file:
            file.append(record(1))
        assert [r.trial.episode for r in read_records(path)] == [0, 1]

    @pytest.mark.parametrize("line", ["{}", "not json", '{"format": 99}', "[]"])
    def test_a_foreign_file_is_an_error_and_untouched(self, tmp_path, line):
        path = tmp_path / "episodes.jsonl"
        path.write_text(line + "\n")
        with pytest.raises(RainError, match="line 1 is not an episode record"):
            RecordFile(path)
        assert path.read_text() == line + "\n"

    def test_two_runs_do_not_share_a_file(self, tmp_path):
        path = tmp_path / "episodes.jsonl"
        with RecordFile(path), pytest.raises(RainError, match="another run"):
            RecordFile(path)

    def test_nothing_recorded_leaves_nothing(self, tmp_path):
        with RecordFile(tmp_path / "new" / "episodes.jsonl"):
            pass
        assert list(tmp_path.iterdir()) == []


def test_a_line_of_an_older_version_is_read(tmp_path):
    line = record(0).to_json()
    for name in ("touches", "done", "success_s", "spoiled_step", "conventions"):
        del line[name]
    path = tmp_path / "episodes.jsonl"
    path.write_text(json.dumps(line) + "\n")
    (read,) = read_records(path)
    assert (read.result.success, read.result.touches, read.conventions) == (True, None, None)
    assert read.result.done is None
