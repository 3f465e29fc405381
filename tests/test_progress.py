"""How far a run is."""

import os

import pytest

from speedgrid.launcher.progress import RECENT, Progress, left


@pytest.fixture
def run(tmp_path):
    """Return the progress of a run of ten that has started, and a way to write a record so many seconds after that."""
    progress = Progress(str(tmp_path))
    progress.start(lambda: [f"record {number}" for number in range(10)])

    def write(name, seconds):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, progress.started + seconds))

    return progress, write


def test_a_run_that_was_not_started_says_nothing_of_records_that_are_there(tmp_path):
    (tmp_path / "one.json").touch()
    assert f"Timing{Progress(str(tmp_path))}" == "Timing"


def test_a_run_that_writes_nothing_says_nothing(tmp_path):
    progress = Progress(str(tmp_path))
    progress.start(list)
    assert f"{progress}" == ""


def test_a_run_whose_folder_is_not_there_yet_has_done_nothing(tmp_path):
    progress = Progress(str(tmp_path / "none"))
    progress.start(lambda: ["one", "two", "three"])
    assert f"{progress}" == " (0 of 3 done)"


def test_records_count_that_were_written_since_the_start(run):
    progress, write = run
    for name, seconds in (("old.json", -1), ("one.json", 1), ("two.json", 2), ("notes.txt", 3)):
        write(name, seconds)
    assert f"{progress}" == " (2 of 10 done)"


def test_a_record_that_replaces_an_older_one_counts(run):
    progress, write = run
    write("one.json", -100)
    write("one.json", 1)
    assert f"{progress}" == " (1 of 10 done)"


def test_the_text_is_made_anew_each_time(run):
    progress, write = run
    before = f"{progress}"
    write("one.json", 1)
    assert (before, f"{progress}") == (" (0 of 10 done)", " (1 of 10 done)")


def test_the_pace_of_the_records_gives_the_time_that_is_left(run):
    progress, write = run
    for number in range(6):
        write(f"{number}.json", 20 - 3 * number)  # their names are not in the order of time
    assert f"{progress}" == " (6 of 10 done, 12 s left)"


def test_fewer_than_five_records_have_no_pace():
    assert left([1.0, 2.0, 3.0, 4.0], 100) == ""
    assert left([1.0, 2.0, 3.0, 4.0, 5.0], 100) == ", 2 min left"


@pytest.mark.parametrize(("total", "text"), [(5, "0 s"), (94, "89 s"), (95, "2 min"), (605, "10 min")])
def test_a_minute_and_a_half_and_more_is_in_minutes(total, text):
    assert left([1.0, 2.0, 3.0, 4.0, 5.0], total) == f", {text} left"


def test_records_of_long_ago_say_nothing_of_the_pace():
    done = [0.0, 5000.0, *range(9000, 9000 + RECENT)]
    assert left(done, len(done) + 10) == ", 10 s left"


def test_what_is_decided_later_counts_from_then_on_and_what_it_is_for_is_said(tmp_path):
    progress, wanted, clause = Progress(str(tmp_path)), ["one", "two"], ["; another round follows"]
    progress.start(lambda: wanted, lambda: clause[0])
    assert f"{progress}" == " (0 of 2 done; another round follows)"
    # What is done is no longer to be done, and was a part of the run nevertheless.
    wanted[:], clause[0] = ["three"], "; round 2 of at most 3, for tie"
    assert f"{progress}" == " (0 of 3 done; round 2 of at most 3, for tie)"
