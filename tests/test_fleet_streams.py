"""Cameras in a fleet: which machine serves most, who was shown to serve fewer, and what an hour of one costs."""

import json

import pandas as pd
import pytest
from results import write_result
from streams import make_streams

from speedgrid.fleet import machines, page, ranking
from speedgrid.fleet.goals import BEST, NOTHING, SAME, UNDECIDED, WORSE
from speedgrid.fleet.wishes import Wishes

PLACE = {"model": "resnet18", "resolution": 64, "batch_sizes": [1]}


def serving(most: int, **asked) -> dict:
    """Return a record of cameras: `most` of them pass, one more fails. asked: of them, otherwise than usual."""
    record = make_streams()
    record["place"] |= PLACE
    record["asked"] |= asked
    for run in record["runs"]:
        run["streams"] -= 4 - most
    return record


def doubtful(most: int) -> dict:
    """Return such a record of which nothing is known of more cameras."""
    record = serving(most)
    record["runs"] = [run for run in record["runs"] if run["streams"] <= most]
    return record


def failing() -> dict:
    """Return a record in which not one camera is served in time."""
    record = serving(4)
    for run in record["runs"]:
        run["misses"] = run["frames"]
    return record


def write_fleet(folder, served: dict[str, list[dict]]) -> list:
    """Write a result for each machine, with the records of its cameras; return their folders."""
    found = [write_result(folder / name, seed=number) for number, name in enumerate(served)]
    for one, (name, records) in zip(found, served.items(), strict=True):
        path = one / "artifacts" / "run.json"
        run = json.loads(path.read_text())
        run["machine"]["device_name"] = name
        path.write_text(
            json.dumps({key: value for key, value in run.items() if key != "checksum"} | {"streams": records})
        )
    return found


def fleet_of(folders, wished: Wishes | None = None):
    wished = wished or Wishes()
    return ranking.rank(machines.read(folders, wished), wished, 0.05)


def verdicts(fleet) -> dict[str, str]:
    rows = fleet.at("resnet18", 64, "streams")
    return dict(zip(rows.machine, rows.verdict, strict=True))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    served = {
        "few": [serving(2)],
        "unknown": [doubtful(3)],
        "most": [serving(1), serving(4)],
        "level": [serving(4)],
        "idle": [],
    }
    served["most"][0]["place"]["backend"] = "pytorch"
    return write_fleet(tmp_path_factory.mktemp("fleet"), served)


def test_a_machine_with_fewer_cameras_is_worse_where_it_was_shown_to_fail_with_more(folders):
    fleet = fleet_of(folders)
    assert verdicts(fleet) == {"most": BEST, "level": SAME, "unknown": UNDECIDED, "few": WORSE, "idle": NOTHING}
    rows = fleet.at("resnet18", 64, "streams").set_index("machine")
    assert rows.value.dropna().to_dict() == {"most": 4, "level": 4, "unknown": 3, "few": 2}
    assert rows.ratio["few"] == 2
    assert rows.backend["most"] == "onnxruntime"


def test_where_no_camera_was_served_nothing_is_said_of_cameras(folders):
    fleet = fleet_of([folders[0], folders[-1]])
    assert set(fleet.rows.goal) == {"throughput", "latency", "streams"}
    alone = fleet_of([folders[-1], write_fleet(folders[0].parent / "more", {"idle too": []})[0]])
    assert "streams" not in set(alone.rows.goal)
    assert not [line for line in page.contents(alone)["method"] if "ameras" in line]


def test_a_setting_that_does_not_meet_the_demands_serves_no_camera_of_a_fleet(folders):
    # Of two machines: 4 cameras, and 1 with the other backend, which takes 4 ms a call.
    fleet = fleet_of(folders[1:3], Wishes(demanded={"budget": {"memory_mb": 0.001}}))
    assert "streams" not in set(fleet.rows.goal)


def test_cameras_that_were_asked_for_something_else_are_not_compared(folders, tmp_path):
    [slower] = write_fleet(tmp_path, {"slower": [serving(4, fps=5.0)]})
    fleet = fleet_of([*folders[:3], slower])
    assert verdicts(fleet)["slower"] == NOTHING
    [note] = [line for line in page.contents(fleet)["notes"] if "asked for something else" in line]
    assert note.endswith(": slower.")


def test_the_pages_say_who_serves_how_many_and_where_a_camera_costs_least(folders, tmp_path):
    fleet = fleet_of(folders, Wishes({"most": 4.0, "few": 1.0}, "EUR"))
    written = page.write(fleet, tmp_path / "fleet.md")
    for text in (written[0].read_text(), written[1].read_text()):
        assert "For cameras: most with ONNX Runtime fp32, batch sizes up to 1, 4 in time." in text
        assert "As many: level." in text
        assert "few serves 2, and fails with more." in text
        assert "Without a setting to take: idle." in text
        assert "Cameras of 25 FPS, of which at least 99 % of the frames have their result within 40 ms" in text
        assert "An hour of a camera costs least on few: 0.500 EUR." in text
        assert "Camera streams" in text
    table = pd.read_csv(written[2])
    assert list(table[table.goal == "streams"].value.dropna()) == [2, 3, 4, 4]
    russian = page.write(fleet, tmp_path / "russian.md", "ru")[0].read_text()
    assert "камер" in russian
    assert "in time" not in russian


def test_not_one_camera_in_time_is_a_figure_too(tmp_path):
    fleet = fleet_of(write_fleet(tmp_path, {"none": [failing()], "neither": [failing()]}))
    assert verdicts(fleet) == {"none": BEST, "neither": SAME}
    assert (
        "none with ONNX Runtime fp32, batch sizes up to 1, 0 in time."
        in page.write(fleet, tmp_path / "a.md")[0].read_text()
    )
