"""The loop that serves streams, held against queueing theory, on a clock that is moved and not waited for."""

import hashlib
from decimal import Decimal, getcontext
from math import comb

import numpy as np
import pytest

from speedgrid.serving import arrivals, batching, figures, loop, replay, search, verdict

MS = 1_000_000
FPS = 30.0
PERIOD = 1e9 / FPS


def served(table, service_ms, policy="none", **plan):
    service = {size: round(ms * MS) for size, ms in service_ms.items()}
    choose = batching.chooser(policy, list(service), table.streams, PERIOD)
    return replay.replay(table, service, loop.Plan(choose, **plan))


def of_constant_service(streams, load, kind="periodic", blocks=400, seed=1):
    """Return (table, waits in units of the service time) of one server without batches at a utilisation."""
    service = load * PERIOD / streams
    table = arrivals.draw(kind, streams, FPS, blocks, seed)
    clock = replay.PretendedClock()
    done = loop.serve(table, replay.PretendedServer(clock, {1: service}), loop.Plan(lambda waiting: 1), clock)
    return table, (done.started_ns - table.planned_ns) / service


def settled(table):
    """Say of each frame whether the phases of its block have been in force for two periods."""
    return (table.planned_ns - table.block.astype(np.int64) * table.block_ns >= 2 * PERIOD) & (table.block > 0)


def periodic_wait(x, streams, period):
    """P(W > x) of periodic streams with constant service 1: Roberts and Virtamo (1991), with M = streams - 1 others."""
    others, found = streams - 1, 0.0
    for n in range(int(x) + 1, others + 1):
        share = (n - x) / period
        found += comb(others, n) * share**n * (1 - share) ** (others - n) * (period - others + x) / (period - n + x)
    return found


def poisson_wait(x, load):
    """P(W > x) of M/D/1 with service 1; the alternating sum needs more digits than a float has."""
    getcontext().prec = 60
    load, x = Decimal(load), Decimal(x)
    total, factorial = Decimal(0), Decimal(1)
    for k in range(int(x) + 1):
        factorial *= k or 1
        total += (load * (k - x)) ** k / factorial * (-load * (k - x)).exp()
    return float(1 - (1 - load) * total)


def interval_of_a_share(table, hits, judged):
    """Return the middle and the standard error of a share over blocks, which are drawn anew each."""
    frames = np.bincount(table.block[judged], minlength=table.blocks)
    hit = np.bincount(table.block[judged], hits[judged], table.blocks)
    use = frames > 0
    rate = hit.sum() / frames.sum()
    spread = np.sum((hit[use] - rate * frames[use]) ** 2) / (use.sum() - 1)
    return rate, np.sqrt(spread * use.sum()) / frames.sum()


@pytest.mark.parametrize(
    ("streams", "load", "tails"),
    [(2, 0.8, (0.3, 0.5, 0.7)), (5, 0.8, (0.5, 1.0, 1.5)), (20, 0.8, (1.0, 2.0, 3.0)), (20, 0.95, (2.0, 3.5, 5.0))],
)
def test_periodic_streams_wait_as_the_formula_for_them_says(streams, load, tails):
    table, waits = of_constant_service(streams, load, blocks=2000 if streams < 20 else 1000)
    for x in tails:
        rate, error = interval_of_a_share(table, waits > x, settled(table))
        assert abs(rate - periodic_wait(x, streams, streams / load)) < 3.5 * error + 1e-4


@pytest.mark.parametrize("load", ["0.5", "0.8"])
def test_poisson_arrivals_wait_as_in_m_d_1(load):
    table, waits = of_constant_service(20, float(load), "poisson", blocks=1500)
    for x in ("0.5", "1.5", "3"):
        rate, error = interval_of_a_share(table, waits > float(x), np.ones(len(table), bool))
        # Neighbouring blocks share their busy periods, which the error over blocks does not know.
        assert abs(rate - poisson_wait(x, load)) < 6 * error + 1e-4


def test_the_formula_for_two_streams_is_that_by_hand():
    assert periodic_wait(0.3, 2, 2.5) == pytest.approx((1 - 0.3) / 2.5)


def test_synchronised_frames_take_one_service_after_another():
    table = arrivals.draw("synchronised", 7, FPS, 5, 1)
    done = served(table, {1: 3.0})
    latency = (done.finished_ns - table.planned_ns).reshape(-1, 7)
    assert (latency == np.arange(1, 8) * 3 * MS).all()
    assert figures.figures(table, done, PERIOD).latency_ms["max"] == 21.0


def test_a_seed_gives_one_table_on_every_machine():
    seen = {}
    for kind in ("periodic", "synchronised", "poisson"):
        table = arrivals.draw(kind, 5, 29.97, 20, 7, jitter_ms=2.0)
        assert (np.diff(table.planned_ns) >= 0).all()
        seen[kind] = hashlib.sha256(table.planned_ns.tobytes() + table.stream.tobytes()).hexdigest()[:12]
        other = arrivals.draw(kind, 5, 29.97, 20, 8, jitter_ms=2.0)
        assert len(other) != len(table) or (other.planned_ns != table.planned_ns).any()
    assert seen == PINNED


PINNED = {"periodic": "803d3c3fd778", "synchronised": "2b134803c805", "poisson": "e4a0ce7b5e29"}


def test_each_stream_has_its_frames_in_each_block_and_a_phase_of_its_own():
    table = arrivals.draw("periodic", 4, FPS, 10, 3, periods=12)
    counts = np.zeros((10, 4), int)
    np.add.at(counts, (table.block, table.stream), 1)
    assert (counts == 12).all()
    first = table.planned_ns[table.stream == 2]
    assert len({int(phase) for phase in first.reshape(10, 12)[:, 0] % table.block_ns}) == 10


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"fps": 0.0}, {"blocks": 0}, {"periods": 0}, {"fps": float("nan")}])
def test_arrivals_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="are no arrivals"):
        arrivals.draw(**{"kind": "periodic", "streams": 1, "fps": 30.0, "blocks": 1, "seed": 0} | wrong)


def test_a_stall_is_in_every_late_frame_and_a_closed_loop_would_not_show_it():
    """A second in which nothing is served: of N streams nearly fps x N frames are late by up to a second."""
    table, clock = arrivals.draw("periodic", 4, FPS, 40, 5), replay.PretendedClock()
    stalled = replay.PretendedServer(clock, lambda call, size: 1000 * MS if call == 600 else 2 * MS)
    done = loop.serve(table, stalled, loop.Plan(lambda waiting: 1), clock)
    late = (done.finished_ns - table.planned_ns) > PERIOD
    assert 4 * FPS <= late.sum() <= 4 * FPS * 1.7  # the backlog is worked off at a quarter of the time
    found = figures.figures(table, done, PERIOD)
    assert found.latency_ms["max"] >= 1000
    assert found.latency_ms["p99"] > 700
    # What a loop sees that sends the next frame when the last one is done: one slow call of all.
    calls = done.calls[:, 1] - done.calls[:, 0]
    assert (calls > 2 * MS).sum() == 1
    assert np.percentile(calls, 99) == 2 * MS


def test_more_than_can_be_served_diverges_though_each_block_draws_its_phases_anew():
    service = {1: round(1.05 * PERIOD / 20)}
    table = arrivals.draw("periodic", 20, FPS, 300, 2)
    plan = loop.Plan(lambda waiting: 1, backlog=round(5 * PERIOD * 20 * FPS / 1e9))
    done = replay.replay(table, service, plan)
    assert done.diverged
    blocks = verdict.by_block(table, done, PERIOD)
    assert verdict.judge(blocks).word == "diverges"
    assert not replay.replay(arrivals.draw("periodic", 20, FPS, 300, 2), {1: round(0.9 * PERIOD / 20)}, plan).diverged


def test_the_latest_frame_of_each_stream_is_served_fairly_at_twice_the_load():
    streams = 8
    table = arrivals.draw("periodic", streams, FPS, 200, 4)
    plan = loop.Plan(lambda waiting: 1, queue="latest")
    done = replay.replay(table, {1: round(2 * PERIOD / streams)}, plan)
    ran = np.bincount(table.stream, done.finished_ns != loop.DROPPED, streams)
    assert ran.min() > 0.95 * ran.max()
    assert ran.sum() == pytest.approx(len(table) / 2, rel=0.02)
    found = figures.figures(table, done, PERIOD)
    assert found.dropped == len(table) - ran.sum()
    assert found.miss_rate >= found.dropped / len(table)
    # Served ones are fresh: none waits for more than the others' calls and its own.
    assert found.latency_ms["max"] < 2.5 * PERIOD * 2 / MS


def test_kept_frames_are_all_served_in_order():
    table = arrivals.draw("poisson", 6, FPS, 50, 9)
    done = served(table, {1: 2.0, 4: 5.0}, "greedy")
    assert (done.finished_ns != loop.DROPPED).all()
    assert (np.diff(done.started_ns) >= 0).all()
    assert done.calls[:, 3].sum() == len(table)


@pytest.mark.parametrize(
    ("policy", "waiting", "size"),
    [
        ("none", 7, 1),
        ("greedy", 7, 4),
        ("greedy", 8, 8),
        ("greedy", 100, 16),
        ("padded", 7, 8),
        ("padded", 1, 1),
        ("padded", 100, 16),
    ],
)
def test_a_policy_chooses_among_the_sizes_that_are_loaded(policy, waiting, size):
    choose = batching.chooser(policy, [16, 1, 4, 8], 20, PERIOD)
    assert choose(batching.Waiting(waiting, 0, True)) == size


def test_where_the_smallest_size_is_more_than_what_waits_it_is_filled_up():
    assert batching.chooser("greedy", [8, 16], 20, PERIOD)(batching.Waiting(3, 0, True)) == 8


def test_a_tick_waits_for_a_frame_of_each_stream_and_no_longer_than_a_period():
    choose = batching.chooser("tick", [1, 4, 8], 4, PERIOD)
    assert choose(batching.Waiting(3, 5, True)) is None
    assert choose(batching.Waiting(4, 5, True)) == 4
    assert choose(batching.Waiting(3, int(PERIOD) + 1, True)) == 4
    assert choose(batching.Waiting(2, 5, False)) == 4
    table = arrivals.draw("periodic", 4, FPS, 20, 6)
    done = served(table, {1: 1.0, 4: 2.0}, "tick", patience_ns=PERIOD)
    assert (done.finished_ns != loop.DROPPED).all()
    assert done.calls[:, 3].mean() > 3


def test_the_cheaper_of_two_policies_follows_from_the_times_of_calls():
    assert batching.cheaper({1: 1.0, 8: 1.5}, 16) == "padded"
    assert batching.cheaper({1: 1.0, 8: 8.0}, 16) == "greedy"


def test_two_in_flight_keep_a_device_busy_and_results_are_stamped_when_they_are_there():
    table = arrivals.draw("periodic", 10, FPS, 60, 3)
    one, two = (served(table, {1: 3.0}, in_flight=number) for number in (1, 2))
    assert (one.finished_ns == two.finished_ns).all()
    assert figures.busy_ns(two) <= two.elapsed_ns
    assert figures.figures(table, two, PERIOD).utilisation == pytest.approx(0.9, abs=0.02)


class Launching(replay.PretendedServer):
    """A server whose device takes calls one after another, each of which the host launches for a while before."""

    def __init__(self, clock, launch_ms, service_ms):
        super().__init__(clock, {1: round(service_ms * MS)})
        self.launch_ns = round(launch_ms * MS)

    def submit(self, size, frames):
        self.clock.wait_until(self.clock.now() + self.launch_ns)
        return super().submit(size, frames)


def launched(in_flight, streams, kind="periodic"):
    """Return (table, fate of its frames) where a call takes the host 1 ms and then the device 3 ms."""
    table, clock = arrivals.draw(kind, streams, FPS, 60, 3), replay.PretendedClock()
    plan = loop.Plan(lambda waiting: 1, in_flight=in_flight, backlog=streams * 10)
    return table, loop.serve(table, Launching(clock, 1.0, 3.0), plan, clock)


def test_with_two_in_flight_the_device_does_not_wait_for_the_host():
    """Ten cameras of 30 FPS leave 3.33 ms a frame: more than the device takes, less than both take in turn."""
    assert launched(1, 10)[1].diverged
    table, two = launched(2, 10)
    assert not two.diverged
    assert (two.finished_ns != loop.DROPPED).all()
    assert (np.diff(two.finished_ns) >= 3 * MS).all()
    found = figures.figures(table, two, PERIOD)
    assert found.utilisation <= 1
    assert figures.busy_ns(two) + two.idle_ns == pytest.approx(two.elapsed_ns, rel=1e-6)


def test_with_two_in_flight_a_frame_begins_while_another_one_is_served():
    """Also where nothing waited when that one began; never more than two are begun."""
    table, two = launched(2, 8)
    begins, ends = two.calls[:, 0], two.calls[:, 1]
    assert (begins[1:] < ends[:-1]).any()
    assert (begins[2:] >= ends[:-2]).all()
    _table, one = launched(1, 8)
    assert (one.calls[1:, 0] >= one.calls[:-1, 1]).all()
    # A launch takes 1 ms, in which nothing else begins; but for that a frame waits for no more than one of two calls.
    flying = np.array([((begins < moment) & (ends > moment)).sum() for moment in table.planned_ns])
    wait = two.started_ns - table.planned_ns
    assert (wait[flying == 0] == 0).all()
    first = np.flatnonzero((flying == 1) & (np.diff(table.planned_ns, prepend=-PERIOD) > 2 * MS))
    assert len(first) > 100
    assert (wait[first] <= 1 * MS).all()


def test_figures_are_those_by_hand():
    table = arrivals.Arrivals(
        "periodic",
        2,
        10.0,
        1,
        400 * MS,
        np.array([0, 0, 100, 100, 200, 200]) * MS,
        np.array([0, 1] * 3),
        np.zeros(6, int),
    )
    done = loop.Served(
        np.array([0, 10, 100, 110, 200, -1]) * MS,
        np.array([10, 250, 110, 260, 210, -1]) * MS,
        np.array([[0, 10, 1, 1, 2], [10, 250, 1, 1, 1], [250, 260, 1, 1, 3]]) * MS,
        np.array([1, 2, 3]) * MS,
        30 * MS,
        400 * MS,
    )
    done.finished_ns[5] = done.started_ns[5] = loop.DROPPED
    found = figures.figures(table, done, 100 * MS)
    assert found.dropped == 1
    assert found.miss_rate == pytest.approx(3 / 6)
    assert found.worst_stream == 1.0
    assert found.longest_gap == 3
    assert found.offered_fps == 15.0
    assert found.served_fps == pytest.approx(5 / 0.4)
    assert found.utilisation == pytest.approx(260 / 400)
    assert figures.doubts(done, 1000 * MS)[0].startswith("110.0 of 400.0 ms were neither a call nor waiting")
    assert figures.doubts(done, 100 * MS)[0].startswith("the loop noticed a frame up to 2.98 ms late")


def blocks_of(rates, streams=20, frames=200):
    return verdict.Blocks(np.full(len(rates), frames), np.asarray(rates, int), streams)


def test_no_miss_at_all_says_no_more_than_the_rule_of_three_on_effective_frames():
    found = verdict.judge(blocks_of(np.zeros(30), streams=6))
    assert found.effective == 60
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 60))
    assert found.word == "undecided"
    assert verdict.judge(blocks_of(np.zeros(150), streams=6)).word == "passes"


def test_a_rate_above_the_limit_fails_and_one_near_it_is_undecided():
    random = np.random.default_rng(1)
    assert verdict.judge(blocks_of(random.binomial(200, 0.05, 100))).word == "fails"
    assert verdict.judge(blocks_of(random.binomial(200, 0.01, 20))).word == "undecided"


def test_bounds_of_a_miss_rate_hold_in_nineteen_of_twenty_runs():
    """Of clusters as uneven as draws of phases make them: most blocks miss nothing, a few miss much."""
    random, below, above, runs = np.random.default_rng(3), 0, 0, 150
    for run in range(runs):
        bad = random.random(300) < 0.1
        misses = np.where(bad, random.binomial(200, 0.1, 300), 0)
        found = verdict.judge(blocks_of(misses), seed=run)
        below += found.high < 0.01
        above += found.low > 0.01
    assert below / runs < 0.09
    assert above / runs < 0.09


def test_the_search_finds_what_the_queue_carries():
    service = {1: 2 * MS, 4: 5 * MS}
    target = search.Target(FPS, PERIOD)
    choose = batching.chooser("greedy", list(service), 100, PERIOD)
    plan = loop.Plan(choose, backlog=400)

    def probe(streams, blocks, seed):
        table = arrivals.draw("periodic", streams, FPS, blocks + 1, seed)
        return verdict.by_block(table, replay.replay(table, service, plan), PERIOD)

    most = replay.capacity(service, FPS)
    assert most == 26
    expected = search.predicted(service, target, plan, 11)
    found = search.search(probe, service, target, plan, 5)
    assert abs(found.streams - expected) <= 1
    assert 1 <= len(found.steps) <= 7
    assert {streams for streams, _ in found.steps} >= {found.streams, found.streams + 1} or found.streams >= most
    # A machine that is half as fast under load than one call after another: found all the same.
    slow = {size: 2 * ns for size, ns in service.items()}

    def slower(streams, blocks, seed):
        table = arrivals.draw("periodic", streams, FPS, blocks + 1, seed)
        return verdict.by_block(table, replay.replay(table, slow, plan), PERIOD)

    assert abs(search.search(slower, service, target, plan, 5).streams - search.predicted(slow, target, plan, 11)) <= 1


def test_where_not_even_one_stream_passes_none_is_found():
    service = {1: 40 * MS}
    plan = loop.Plan(lambda waiting: 1, backlog=40)

    def probe(streams, blocks, seed):
        table = arrivals.draw("periodic", streams, FPS, blocks + 1, seed)
        return verdict.by_block(table, replay.replay(table, service, plan), PERIOD)

    assert search.search(probe, service, search.Target(FPS, PERIOD), plan, 1).streams == 0
