"""What to deploy, against fixed tables with known answers."""

import pytest
from builders import make_record, make_records, make_refusal, make_table

from speedgrid import settings
from speedgrid.report.findings import costs, decision, demands
from speedgrid.report.findings.objectives import MARGIN


def config(**demands):
    return settings.complete({"device": "cpu", **demands})


@pytest.fixture
def results():
    return make_table(make_records())


def answers(results, margin=MARGIN, **demands):
    """Return what to deploy at 64 pixels."""
    return decision.answers(results, 64, config(**demands), margin)


def test_what_to_deploy_for_throughput_and_for_latency(results):
    # Images/s of PyTorch fp32 at 64 pixels: 250 and 500; of ONNX Runtime fp16: 1000 and 2000.
    assert answers(results) == [
        "**For throughput** at 64 x 64 pixels: **ONNX Runtime fp16, batch size 8**, 2,000 images/s. "
        "That is 4.00 times the rate of PyTorch fp32 at its best (batch size 8).",
        "**For latency** at 64 x 64 pixels: **ONNX Runtime fp16, batch size 1**, 1.00 ms a call. "
        "That is 4.00 times as fast as PyTorch fp32 at its best (batch size 1).",
    ]


def tables(results, margin=MARGIN, **demands):
    """Return the tables of the answer at 64 pixels: each as a list of its lines, by the names of its columns."""
    found = decision.shown(results, 64, config(**demands), margin)
    return [[dict(zip(one.head, row, strict=True)) for row in one.rows] for one in found]


def cost(results):
    """Return what the setting for throughput costs."""
    return tables(results)[-1][0]


def cell(setting, *name):
    """Return a setting as a table has it, with the link to its cell."""
    return f"[{setting}](explorer.html#cell={'-'.join(['resnet18', *name])})"


NEXT = "next best, and how many times better this is"


def test_one_table_has_each_objective_and_each_batch_size(results):
    lines = tables(results)[0]
    assert [line["for"] for line in lines] == [
        "throughput",
        "latency",
        "latency at batch size 1",
        "latency at batch size 8",
    ]
    assert lines[0] == {
        "for": "throughput",
        "what to take": cell("ONNX Runtime fp16, batch size 8", "onnxruntime", "fp16", "r64", "b8"),
        "ms a call (95 % interval)": "4.00",
        "images/s": "2,000",
        "times PyTorch fp32": "4.00",
        NEXT: "ONNX Runtime fp32, batch size 8: 3.88",
    }
    assert lines[2]["what to take"] == cell("ONNX Runtime fp16", "onnxruntime", "fp16", "r64", "b1")
    assert lines[2][NEXT] == "ONNX Runtime fp32: 2.00"


def test_a_percentile_has_a_column_where_enough_calls_were_timed():
    few, many = (
        make_table([make_record(f"resnet18-pytorch-fp32-r64-b{size}", [4.0] * calls) for size in (1, 8)])
        for calls in (300, 400)
    )
    assert "99 % of calls within, ms" not in tables(few)[0][0]
    assert tables(many)[0][0]["99 % of calls within, ms"] == "4.00"


def test_the_table_says_by_how_much_demands_are_met_or_missed_and_lists_all_that_meet_them(results):
    answer, listed, _ = tables(results, budget={"latency_ms": 3.0})
    met = [line["meets what is demanded"] for line in answer]
    assert met[0] == "yes: 1.00 ms, latency at most 3.00 ms"
    assert met[-1] == "no: 4.00 ms instead of latency at most 3.00 ms"  # at batch size 8
    sizes = "batch sizes that meet it"
    assert [(line["setting"], line[sizes]) for line in listed] == [
        ("ONNX Runtime fp32", cell("1", "onnxruntime", "fp32", "r64", "b1")),
        ("ONNX Runtime fp16", cell("1", "onnxruntime", "fp16", "r64", "b1")),
    ]


def test_where_nothing_meets_the_demands_the_table_still_has_the_fastest_and_what_it_misses(results):
    [answer] = tables(results, minimum_fps=4000)
    assert [line["for"] for line in answer] == ["latency at batch size 1", "latency at batch size 8"]
    assert answer[0]["meets what is demanded"] == "no: 1,000 images/s instead of at least 4,000 images/s"


def test_the_reference_backends_own_best_setting_is_compared_with_too(results):
    tuned = make_table([*make_records(), make_record("resnet18-pytorch-fp16-r64-b8", [8.0] * 50)])
    [first, _] = answers(tuned)
    assert "That is 4.00 times the rate of PyTorch fp32 at its best (batch size 8)." in first
    assert cost(tuned)["times the best of PyTorch"] == "2.00: fp16, batch size 8"


def test_the_reference_itself_gains_nothing_over_itself():
    [first, second] = answers(make_table([make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50)]))
    assert first == "**For throughput** at 64 x 64 pixels: **PyTorch fp32, batch size 1**, 250 images/s."
    assert second == "**For latency** at 64 x 64 pixels: **PyTorch fp32, batch size 1**, 4.00 ms a call."


def test_rows_of_the_reference_that_ran_another_precision_are_no_reference():
    wrong = make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50, ran="tf32")
    table = make_table([wrong, make_record("resnet18-onnxruntime-fp16-r64-b1", [1.0] * 50)])
    assert "PyTorch fp32 at its best" not in answers(table)[1]
    assert cost(table)["times the best of PyTorch"] == "4.00: fp32, batch size 1"


def widen(results, name, low, high, column="latency_ms"):
    """Give the row of a cell at 64 pixels an interval."""
    backend, precision, size = name
    rows = (results.backend == backend) & (results.precision == precision) & (results.batch_size == size)
    rows &= results.resolution == 64
    results.loc[rows, [f"{column}_low", f"{column}_high"]] = low, high
    return results


def test_figures_have_their_intervals_and_ratios_too(results):
    widen(results, ("onnxruntime", "fp16", 1), 0.5, 2.0)
    [_, latency] = answers(results)
    assert "1.00 ms a call (95 % interval 0.500 to 2.00)." in latency
    assert "That is 4.00 times (2.00 to 8.00) as fast as PyTorch fp32 at its best (batch size 1)." in latency


def test_a_gain_that_may_be_none_is_not_claimed(results):
    widen(results, ("onnxruntime", "fp16", 1), 0.5, 3.95)
    [_, latency] = answers(results)
    assert "A gain over PyTorch fp32 at its best (batch size 1) is not certain: 4.00 times (1.01 to 8.00)." in latency


def tied(results, margin=MARGIN):
    """Return the sentences on ties."""
    found = decision.shown(results, 64, config(), margin)
    return [sentence for one in found if not one.rows for sentence in one.sentences]


@pytest.mark.parametrize(("high", "tie"), [(1.95, False), (1.97, True)])
def test_settings_that_cannot_be_told_apart_are_a_tie(results, high, tie):
    # Beside 1 ms stands ONNX Runtime fp32 with 2 ms: certainly slower by 2 % up to 2 / 1.02 = 1.961.
    widen(results, ("onnxruntime", "fp16", 1), 0.9, high)
    words = (
        "**This run cannot rank for latency**: ONNX Runtime fp16, batch size 1 is in a tie with "
        "ONNX Runtime fp32, batch size 1."
    )
    assert tied(results) == [words, "A tie: that they differ by more than 2.0 % is not certain."] * tie
    second = tables(results)[0][1][NEXT]
    assert second == ("ONNX Runtime fp32, batch size 1: a tie" if tie else second)
    assert ("a tie" in second) == tie


def test_ties_are_looked_for_at_every_batch_size(results):
    names = "ONNX Runtime fp32, batch size 1, PyTorch fp32, batch size 1 and ONNX Runtime fp16, batch size 8"
    assert tied(widen(results, ("onnxruntime", "fp16", 1), 0.9, 4.0))[0].endswith(f"is in a tie with {names}.")


def near_ties(*memories):
    """Return a table whose batch sizes 1, 2, 4 ... have throughputs within 2 % and these memories."""
    records = [
        make_record(
            f"resnet18-pytorch-fp32-r64-b{2**i}", [4.0 * 2**i * (1 - 0.001 * i)] * 50, memory={"peak_mb": memory}
        )
        for i, memory in enumerate(memories)
    ]
    return make_table(records)


def test_of_throughputs_within_two_percent_the_setting_with_least_memory_is_recommended():
    [first, _] = answers(near_ties(300.0, 100.0, 200.0))
    assert "**PyTorch fp32, batch size 2**" in first
    best = "PyTorch fp32, batch size 4 has 251: of the settings within 2.0 % of it, this one takes least memory."
    assert f"**PyTorch fp32, batch size 2**, 250 images/s. {best}" in first
    assert (
        "is in a tie with PyTorch fp32, batch size 4 and PyTorch fp32, batch size 1"
        in tied(near_ties(300.0, 100.0, 200.0))[0]
    )


def test_where_memory_was_not_measured_the_best_of_near_ties_is_recommended():
    [first, _] = answers(near_ties(None, None, None))
    assert "**PyTorch fp32, batch size 4**" in first
    assert "least memory" not in first


def test_the_price_names_only_what_was_measured():
    named = cell("PyTorch fp32, batch size 1", "pytorch", "fp32", "r64", "b1")
    assert cost(near_ties(None)) == {"setting": named, "error, dB SNR": "121", "same class as float64, %": "100"}


def built(name, ms, seconds):
    return make_record(name, [ms] * 50, build={"status": "ok", "build_seconds": seconds})


def test_the_build_is_paid_back_when_it_has_saved_its_time():
    # 10 s to build; 1 ms an image instead of 4 ms saves 3 ms each; a call of 1 instead of 4 ms as well.
    records = [
        make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50),
        built("resnet18-onnxruntime-fp16-r64-b1", 1.0, 10.0),
    ]
    table = make_table(records)
    assert cost(table)["build, s"] == "10.0"
    assert cost(table)["build paid back"] == "after 3,330 images"
    row, reference = table.iloc[1], config()["report"]["reference"]
    assert costs.payback("latency", row, table, reference) == "after 3,330 calls"


def test_a_build_that_gains_nothing_is_never_paid_back():
    alone = make_table([built("resnet18-onnxruntime-fp16-r64-b1", 4.0, 10.0)])
    assert "build paid back" not in cost(alone)  # there is nothing to compare with
    records = [
        make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50),
        built("resnet18-onnxruntime-fp16-r64-b1", 4.0, 10.0),
    ]
    assert cost(make_table(records[::-1]))["build paid back"] == "never: it is no faster than PyTorch fp32"


def test_energy_is_an_objective_where_it_was_measured(results):
    results.loc[results.resolution == 64, "energy_mj_per_image"] = [80.0, 60.0, 40.0, 50.0, 20.0, 30.0]
    found = answers(results)
    assert len(found) == 3
    assert found[2].startswith(
        "**For energy** at 64 x 64 pixels: **ONNX Runtime fp16, batch size 1**, 20.0 mJ an image. "
    )
    assert "That is 3.00 times the images per joule of PyTorch fp32 at its best (batch size 8)." in found[2]


def test_a_noisy_run_has_a_wider_margin(results):
    # ONNX Runtime fp32, batch size 1
    results.loc[results.index[4], ["latency_ms", "latency_ms_low", "latency_ms_high"]] = 1.05
    assert tied(results) == []
    assert "is in a tie with ONNX Runtime fp32, batch size 1." in tied(results, margin=1.06)[0]


def test_where_nothing_was_measured_nothing_is_recommended():
    refused = make_table([make_refusal("resnet18-pytorch-fp32-r64-b1", "unavailable", "no GPU")])
    assert answers(refused) == ["Nothing was measured at 64 x 64 pixels, so there is nothing to recommend."]
    assert decision.by_resolution(refused, config(), MARGIN) == []


@pytest.mark.parametrize(
    ("demands", "sentence", "winner"),
    [
        (
            {"budget": {"latency_ms": 3.0}},
            "**Demanded**: latency at most 3.00 ms. 2 of 6 settings meet this.",
            "ONNX Runtime fp16, batch size 1",
        ),
        (
            {"budget": {"latency_p90_ms": 3.0}},
            "**Demanded**: 90 % of the calls in at most 3.00 ms. 2 of 6 settings meet this.",
            "ONNX Runtime fp16, batch size 1",
        ),
        (
            {"minimum_fps": 600},
            "**Demanded**: at least 600 images/s. 2 of 6 settings meet this.",
            "ONNX Runtime fp16, batch size 8",
        ),
        (
            {"budget": {"memory_mb": 100}, "minimum_top1_agreement": 1},
            "**Demanded**: memory at most 100 MB, top-1 agreement at least 1.00. 6 of 6 settings meet this.",
            "ONNX Runtime fp16, batch size 8",
        ),
    ],
)
def test_only_settings_that_meet_the_demands_are_recommended(results, demands, sentence, winner):
    found = answers(results, **demands)
    assert found[0] == sentence
    assert f"**For throughput** at 64 x 64 pixels: **{winner}**" in found[1]


@pytest.mark.parametrize(
    ("demands", "closest"),
    [
        (
            {"budget": {"latency_ms": 0.5}},
            "latency at most 0.500 ms. No setting meets this. Closest comes ONNX Runtime fp16, batch size 1: "
            "1.00 ms instead of latency at most 0.500 ms.",
        ),
        (
            {"minimum_fps": 4000},
            "at least 4,000 images/s. No setting meets this. Closest comes ONNX Runtime fp16, batch size 8: "
            "2,000 images/s instead of at least 4,000 images/s.",
        ),
        # Batch size 1 misses 2000 images/s by a factor of 2, batch size 8 misses 3 ms by 1.33: the smaller miss wins.
        (
            {"budget": {"latency_ms": 3.0}, "minimum_fps": 2000},
            "latency at most 3.00 ms, at least 2,000 images/s. No setting meets this. Closest comes "
            "ONNX Runtime fp16, batch size 8: 4.00 ms instead of latency at most 3.00 ms.",
        ),
        # Too few calls were timed to tell: that is no percentile that meets a demand.
        (
            {"budget": {"latency_p99_ms": 1000}},
            "99 % of the calls in at most 1,000 ms. No setting meets this. No setting has a figure for all of it.",
        ),
        (
            {"budget": {"memory_mb": 50}},
            "memory at most 50.0 MB. No setting meets this. Closest comes PyTorch fp32, batch size 1: "
            "100 MB instead of memory at most 50.0 MB.",
        ),
    ],
)
def test_demands_that_nothing_meets_name_what_comes_closest(results, demands, closest):
    assert answers(results, **demands) == [f"**Demanded**: {closest}"]


def test_a_latency_is_within_the_budget_only_with_its_whole_interval(results):
    widen(results, ("onnxruntime", "fp16", 1), 0.9, 1.1)
    assert "1 of 6" in answers(results, budget={"latency_ms": 1.1})[0]
    assert "No setting meets this." in answers(results, budget={"latency_ms": 1.05})[0]


def test_what_was_not_measured_meets_no_demand():
    unknown = make_table([make_record("resnet18-pytorch-fp32-r64-b1", memory={"peak_mb": None})])
    assert answers(unknown, budget={"memory_mb": 100}) == [
        "**Demanded**: memory at most 100 MB. No setting meets this. No setting has a figure for all of it."
    ]


def test_without_demands_none_is_written(results):
    assert demands.demands(config()) == []
    assert "Demanded" not in answers(results)[0]


def test_each_resolution_has_its_own_answer(results):
    assert decision.by_resolution(results, config(), MARGIN) == [
        {
            "resolution": 64,
            "throughput": "ONNX Runtime fp16, batch size 8: 2,000",
            "latency": "ONNX Runtime fp16, batch size 1: 1.00",
            "energy": "",
        },
        {
            "resolution": 128,
            "throughput": "ONNX Runtime fp16, batch size 8: 516",
            "latency": "ONNX Runtime fp16, batch size 1: 2.00",
            "energy": "",
        },
    ]
