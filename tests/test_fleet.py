"""Machines beside each other: which is best for what, which cannot be told apart, and what an image costs on each."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from processes import script
from results import write_result

from speedgrid import InputError
from speedgrid.comparison import archive
from speedgrid.fleet import goals, machines, page, ranking, wishes
from speedgrid.fleet.goals import BEST, NOTHING, SAME, UNDECIDED, WORSE
from speedgrid.fleet.wishes import Wishes

FACTORS = {"quick": 1.0, "alike": 1.001, "slow": 2.0}


def renamed(folder: Path, device: str, **changed) -> Path:
    """Give the machine of a result another name, and other values to keys of its description or its configuration."""
    path = folder / "artifacts" / "run.json"
    run = json.loads(path.read_text())
    run["machine"] |= {"device_name": device} | {key: value for key, value in changed.items() if key == "commit"}
    run["config"] |= {key: value for key, value in changed.items() if key != "commit"}
    path.write_text(json.dumps({key: value for key, value in run.items() if key != "checksum"}))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three machines, measured in three rounds each: two alike, and one that takes twice as long for everything."""
    folder = tmp_path_factory.mktemp("fleet")
    return [
        renamed(write_result(folder / name, factor, seed), name) for seed, (name, factor) in enumerate(FACTORS.items())
    ]


@pytest.fixture
def copied(made, tmp_path):
    return [shutil.copytree(one, tmp_path / one.name) for one in made]


def fleet_of(folders, wished: Wishes | None = None):
    wished = wished or Wishes()
    return ranking.rank(machines.read(folders, wished), wished, 0.05)


def verdicts(fleet, goal, resolution=64):
    rows = fleet.at("resnet18", resolution, goal)
    return dict(zip(rows.machine, rows.verdict, strict=True))


def test_the_best_machine_is_found_with_who_is_level_and_who_is_behind(made):
    fleet = fleet_of(made)
    for goal in ("throughput", "latency"):
        assert verdicts(fleet, goal) == {"quick": BEST, "alike": SAME, "slow": WORSE}
        slow = fleet.at("resnet18", 64, goal).set_index("machine").loc["slow"]
        assert slow.ratio == pytest.approx(2, rel=0.02)
        assert slow.ratio_low < 2 < slow.ratio_high
        assert slow.ratio_high / slow.ratio_low < 1.1


def test_each_machine_shows_the_setting_that_is_its_best(made):
    rows = fleet_of(made).at("resnet18", 64, "throughput")
    # 8 images in 16 ms and 1 in 2 ms are one rate; either may win by chance, but not one in 4 ms.
    assert {(one.backend, one.batch_size) for one in rows.itertuples()} <= {("pytorch", 8), ("onnxruntime", 1)}
    latency = fleet_of(made).at("resnet18", 64, "latency")
    assert set(zip(latency.backend, latency.batch_size, strict=True)) == {("onnxruntime", 1)}


def test_a_goal_that_no_machine_has_a_figure_for_is_not_there(made):
    assert set(fleet_of(made).rows.goal) == {"throughput", "latency"}


def test_a_figure_of_one_round_decides_nothing(copied):
    for folder, joules in zip(copied, (1.0, 3.0, 9.0), strict=True):
        path = folder / "artifacts" / "results.csv"
        pd.read_csv(path).assign(energy_mj_per_image=joules).to_csv(path, index=False)
    assert verdicts(fleet_of(copied), "energy") == {"quick": BEST, "alike": UNDECIDED, "slow": UNDECIDED}


def test_a_cost_is_the_price_of_an_hour_over_its_images(made):
    fleet = fleet_of(made, Wishes({"quick": 3.6, "slow": 1.2}))
    rows = fleet.at("resnet18", 64, "cost").set_index("machine")
    rates = fleet.at("resnet18", 64, "throughput").set_index("machine")
    for name, price in (("quick", 3.6), ("slow", 1.2)):
        assert rows.value[name] == pytest.approx(price / (3600 * rates.value[name]) * 1e6)
        assert rows.value_low[name] == pytest.approx(price / (3600 * rates.value_high[name]) * 1e6)
        assert rows.value_low[name] < rows.value[name] < rows.value_high[name]
    # Half as quick at a third of the price.
    assert verdicts(fleet, "cost") == {"slow": BEST, "quick": WORSE}
    assert rows.ratio["quick"] == pytest.approx(1.5, rel=0.02)


def test_machines_whose_images_cost_the_same_are_level_whatever_their_speed(made):
    fleet = fleet_of(made, Wishes({"quick": 2.0, "slow": 1.0}))
    assert sorted(verdicts(fleet, "cost").values()) == [BEST, SAME]


def test_a_price_is_given_by_name_by_device_or_by_result(made, copied):
    both = [made[0], renamed(copied[2], "quick")]
    by_device = fleet_of(both, Wishes({"quick": 2.0}))
    assert [one.price for one in by_device.machines] == [2.0, 2.0]
    by_result = fleet_of(both, Wishes({str(both[1]): 3.0}))
    assert [one.price for one in by_result.machines] == [None, 3.0]
    assert [one.name for one in by_result.machines] == [f"quick ({one})" for one in both]


def test_every_machine_is_held_to_the_strictest_of_all_demands(copied):
    renamed(copied[0], "quick", minimum_fps=100)
    renamed(copied[2], "slow", minimum_fps=400, budget={"latency_ms": 40, "memory_mb": None})
    fleet = fleet_of(copied)
    assert {one.key: one.limit for one in fleet.demanded} == {"minimum_fps": 400, "budget.latency_ms": 40}
    # It has 250 images/s at most, as its own demand of it would say too.
    assert verdicts(fleet, "throughput")["slow"] == NOTHING
    freed = fleet_of(copied, Wishes(demanded={"minimum_fps": None}))
    assert {one.key: one.limit for one in freed.demanded} == {"budget.latency_ms": 40}
    assert verdicts(freed, "throughput")["slow"] == WORSE


def test_a_demand_that_nobody_meets_leaves_no_answer_and_a_page(made, tmp_path):
    fleet = fleet_of(made, Wishes(demanded={"minimum_fps": 1e9}))
    text = page.write(fleet, tmp_path / "fleet.md")[0].read_text()
    assert "No machine has a setting that meets what is demanded" in text


def test_an_archive_is_a_machine_like_a_folder(copied, tmp_path):
    kept = archive.write(copied[0], str(tmp_path / "kept"))
    fleet = fleet_of([kept, copied[2]])
    assert verdicts(fleet, "latency") == {"quick": BEST, "slow": WORSE}


MISTAKES = {
    "one": (lambda made: [made[0]], "two results or more"),
    "twice": (lambda made: [made[0], made[1], Path(f"{made[0]}/../{made[0].name}")], "is given twice"),
    "absent": (lambda made: [made[0], made[0].parent / "nowhere"], "is not there"),
}


@pytest.mark.parametrize(("pick", "sentence"), MISTAKES.values(), ids=list(MISTAKES))
def test_what_is_no_fleet_is_refused(made, pick, sentence):
    with pytest.raises(InputError, match=sentence):
        machines.read(pick(made), Wishes())


FILES = {
    "a list": ("[1]", "holds no keys"),
    "empty": ("", "holds no keys"),
    "another key": ("prices: {quick: 1}", "known are price_per_hour, currency, budget"),
    "no number": ("price_per_hour: {quick: cheap}", "'cheap' for 'quick'; it must be a number above 0"),
    "nothing": ("price_per_hour: {quick: 0}", "must be a number above 0"),
    "of 400 digits": (f"price_per_hour: {{quick: {'9' * 400}}}", "for 'quick'; it must be a number above 0"),
    "more than a machine costs": ("price_per_hour: {quick: 1e10}", "above 0, 1,000,000,000 at most"),
    "two lines": ('price_per_hour: {quick: 1}\ncurrency: "a\\nb"', "in one line"),
    "a colour of a terminal": ('price_per_hour: {quick: 1}\ncurrency: "\\e[31m"', "in one line"),
    "endless": ("price_per_hour: {quick: .inf}", "must be a number above 0"),
    "no name": ("price_per_hour: 3", "wants a machine and a price on each line"),
    "a number": ("price_per_hour: {quick: 1}\ncurrency: 7", "currency 7; it must be a text"),
    "a demand": ("minimum_fps: many", r"prices\.yaml: config key minimum_fps is 'many'"),
    "twice": ("price_per_hour: {quick: 1, quick: 2}", "stands twice"),
}


@pytest.mark.parametrize(("text", "sentence"), FILES.values(), ids=list(FILES))
def test_a_file_of_prices_that_is_none_is_refused_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as raised:
        wishes.read(path)
    assert str(raised.value).replace("... (400 characters)", "").count(". ") == 0


def test_numbers_that_yaml_takes_for_text_are_prices_and_demands(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("price_per_hour: {quick: 1e-3, slow: 5E2}\nminimum_fps: 1e3\n")
    found = wishes.read(path)
    assert found.prices == {"quick": 0.001, "slow": 500.0}
    assert [one.limit for one in wishes.strictest([], found)] == [1000.0]


def test_a_price_of_a_machine_that_is_not_there_names_those_that_are(made):
    with pytest.raises(wishes.WishError, match=r"'fast' .* no machine of this fleet; they are quick, alike, slow"):
        fleet_of(made, Wishes({"fast": 1.0}))


def test_versions_that_are_mixed_are_named_with_who_has_them(copied, tmp_path):
    renamed(copied[1], "alike", commit="abc123")
    text = page.write(fleet_of(copied), tmp_path / "fleet.md")[0].read_text()
    assert "Mixed versions of speedgrid: " in text
    assert "abc123: alike" in text
    assert "| `machine.commit` | abc123 | alike |" in text


def test_machines_that_are_alike_have_no_note_on_versions(made, tmp_path):
    assert "Mixed" not in page.write(fleet_of(made), tmp_path / "fleet.md")[0].read_text()


def test_the_command_writes_pages_a_table_and_a_plot(made, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("price_per_hour: {quick: 2, slow: 0.5}\ncurrency: EUR\nminimum_fps: 10\n")
    output = tmp_path / "out" / "fleet.md"
    done = script("fleet", *made, "--prices", prices, "--output", output)
    names = ["fleet.csv", "fleet.html", "fleet.md", "fleet-resnet18.png", "fleet-resnet18.svg"]
    assert sorted(one.name for one in output.parent.iterdir()) == sorted(names)
    assert all(name in done.stdout for name in names)
    text, html = output.read_text(), output.with_suffix(".html").read_text()
    for shown in (text, html):
        assert "For cost: slow with " in shown
        assert "An hour costs least, of machines that meet the demands, on slow: 0.500 EUR." in shown
        assert "Without a price, and so without a cost: alike." in shown
    assert html.count("<img ") == 1
    assert 'src="data:image/svg+xml;base64,' in html
    table = pd.read_csv(output.with_suffix(".csv"))
    assert tuple(table.columns) == ranking.COLUMNS
    assert len(table) == 3 + 3 + 2


def test_the_pages_are_in_the_language_that_is_asked_for(made, tmp_path):
    fleet = fleet_of(made, Wishes(demanded={"budget": {"latency_ms": 1000}}))
    text = page.write(fleet, tmp_path / "fleet.md", "ru")[0].read_text()
    assert "Парк" in text
    assert "Требуется от каждой машины: задержка не больше" in text
    assert 'lang="ru"' in (tmp_path / "fleet.html").read_text()
    with pytest.raises(machines.FleetError, match="the language is xx; known are en, ru"):
        page.write(fleet, tmp_path / "fleet.md", "xx")


def test_every_goal_has_words_and_every_verdict_too():
    from speedgrid.fleet import words

    assert set(words.TITLES) == {*goals.goals(), "streams"}
    assert set(words.VERDICTS) == {BEST, WORSE, SAME, UNDECIDED, NOTHING}
