"""The gate between the table and the report: a figure that contradicts another, or physics, stops the report.

Every check returns what it found in words, with the row and the arithmetic. The table is read as anybody would read
it: nothing here knows how a column was computed.
"""

import itertools
import math
from collections.abc import Iterator

from speedgrid import InputError
from speedgrid.machine.data_sheet import Peaks
from speedgrid.measure import probes
from speedgrid.model.described import Arithmetic, Counted
from speedgrid.precision import BYTES
from speedgrid.table.across import cell_of
from speedgrid.table.columns import BY_NAME, COLUMNS, PROVEN
from speedgrid.table.run import Reference, Row, Table
from speedgrid.text.status import SHOWN, TRUE_TO_LABEL

# Figures are float64 that follow from each other by one or two operations.
ROUNDING = 1e-6
# A direct convolution does so many times more multiplications than Winograd's F(2 x 2, 3 x 3), which libraries use
# (Lavin and Gray, https://arxiv.org/abs/1509.09308): arithmetic is counted as direct, so rates may exceed the peak.
WINOGRAD = 2.25
# A measured matrix product or copy is no upper bound: on a shared machine it is a rate at one moment, and a copy that
# reads what it is about to overwrite (write-allocate) moves 1.5 times the bytes that are counted.
MEASURED_PEAK = 1.5
INTERVALS = tuple((f"{one.name}_low", one.name, f"{one.name}_high") for one in COLUMNS if one.interval)
# Pairs of columns of streams under load, of which the first is never more than the second.
NOT_MORE = (
    ("streams_good", "streams_served"),
    ("streams_served", "streams_offered"),
    ("streams_p50_ms", "streams_p99_ms"),
    ("streams_p99_ms", "streams_p99_9_ms"),
    ("streams_p99_9_ms", "streams_max_ms"),
    ("streams_wait_p99_ms", "streams_p99_ms"),
    ("streams_service_p99_ms", "streams_p99_ms"),
)
PERCENTILES = ("latency_p90_ms", "latency_p95_ms", "latency_p99_ms")


class AuditError(InputError):
    """A table that cannot be true; the message has the first rows that say so, a line for each, and the arithmetic."""


def require(table: Table, arithmetic: Arithmetic, peaks: Peaks, reference: Reference) -> int:
    """Return how many rows with a speed were checked. Raises AuditError if any check fails.

    table: as of speedgrid.table.cells.tabulate. arithmetic: as of speedgrid.model.flops.count_all; layers are not
    looked at. peaks: `data_sheet_tflops` by precision, empty where the device is not known, `data_sheet_gb_s`,
    `copy_gb_s` and `cache_mb`, each of which may be None. reference: the `backend` and `precision` that speed-ups are
    relative to.
    """
    found = violations(table, arithmetic, peaks, reference)
    if found:
        shown = (f"  {one}" for one in found[:10])
        raise AuditError(f"the table contradicts itself or physics in {len(found)} places:", *shown)
    return int(table.latency_ms.notna().sum())


def violations(table: Table, arithmetic: Arithmetic, peaks: Peaks, reference: Reference) -> list[str]:
    """Return the contradictions in a table, one sentence each; see `require`."""
    found, lines = [], table.to_dict("records")
    for line in lines:
        checks = list(withheld(line))
        if not math.isnan(line["latency_ms"]):
            counted = arithmetic[line["model"]][str(line["resolution"])]
            checks += [*rates(line, counted["flop"]), *order(line)]
            checks += [one for probe in probes.all_probes().values() for one in probe.checks(line)]
            checks += [*physics(line, peaks["data_sheet_tflops"]), *traffic(line, counted, peaks)]
            checks += under_load(line)
        found += [f"{name(line)}: {one}" for one in checks]
    return [*found, *speedups(lines, reference), *duplicates(table), *overloaded(table)]


def name(line: Row) -> str:
    """Return the name of a row's cell."""
    return str(cell_of(line))


def differ(left: float, right: float) -> bool:
    """Say whether two figures that should be one are two; a missing figure differs from nothing."""
    return not (math.isnan(left) or math.isnan(right) or math.isclose(left, right, rel_tol=ROUNDING))


def withheld(line: Row) -> Iterator[str]:
    """A row that is not shown, or proved nothing, has no speed; one that is has one, of the precision that it says."""
    status, label, observed = (line[name] for name in ("status", "precision", "observed_precision"))
    if status in SHOWN and math.isnan(line["latency_ms"]):
        yield f"its status is {status}, but it shows no latency"
    if status in TRUE_TO_LABEL and observed != label:
        ran = observed if isinstance(observed, str) else "nothing that was observed"
        yield f"its status is {status}, but it is labelled {label} and ran {ran}"
    if status == "wrong_precision" and observed == label:
        yield f"its status is {status}, but it ran {observed}, as its label says"
    for column in PROVEN:
        if line["status"] not in SHOWN and not math.isnan(line[column]):
            yield f"its status is {line['status']}, but it shows {column} = {line[column]:.6g}"


def rates(line: Row, flop: int | None) -> Iterator[str]:
    """Rates follow from the latency."""
    batch, latency, fps = line["batch_size"], line["latency_ms"], line["fps"]
    if not latency > 0:
        yield f"its latency is {latency} ms"
        return
    if differ(fps * latency, 1000 * batch):
        product = f"{fps:.6g} x {latency:.6g} ms = {fps * latency:.6g}"
        yield f"FPS x latency = {product}, not 1000 x batch size = {1000 * batch}"
    if differ(line["ms_per_image"] * batch, latency):
        yield f"ms/image x batch size = {line['ms_per_image']:.6g} x {batch}, not the latency of {latency:.6g} ms"
    if flop is not None and differ(line["tflops"], flop * fps / 1e12):
        yield f"TFLOPS = {line['tflops']:.6g}, but FLOP x FPS = {flop:.6g} x {fps:.6g} = {flop * fps / 1e12:.6g} TFLOPS"
    for share, peak in (("utilisation_percent", "tflops_peak"), ("utilisation_of_gemm_percent", "gemm_tflops")):
        if differ(line[share] * line[peak] / 100, line["tflops"]):
            yield f"{share} = {line[share]:.6g} % of {line[peak]:.6g} TFLOPS is not {line['tflops']:.6g} TFLOPS"


def order(line: Row) -> Iterator[str]:
    """A median lies in its interval, and percentiles rise."""
    for columns in (*INTERVALS, PERCENTILES):
        values = [(column, line[column]) for column in columns if not math.isnan(line[column])]
        for (lower, small), (upper, large) in itertools.pairwise(values):
            if small > large * (1 + ROUNDING):
                yield f"{lower} = {small:.6g} is more than {upper} = {large:.6g}"


def physics(line: Row, data_sheet: dict[str, float]) -> Iterator[str]:
    """No row computes faster than its device can in the precision that it ran."""
    precision = line["observed_precision"]
    if precision in data_sheet:
        peak, most, source = data_sheet[precision], WINOGRAD, "the data sheet's peak"
    else:
        peak, most, source = line["gemm_tflops"], WINOGRAD * MEASURED_PEAK, "a measured matrix product"
    flop = line["tflops"] / line["fps"]  # in units of 1e12
    for column in ("fps", "throughput_fps"):
        rate = line[column] * flop
        if rate > most * peak:
            yield (
                f"{column} = {line[column]:.6g} is {rate:.4g} TFLOPS in {precision}, {rate / peak:.2f} times {source} "
                f"of {peak:.4g}; at most {most:g} times is possible"
            )


def traffic(line: Row, counted: Counted, peaks: Peaks) -> Iterator[str]:
    """No call is faster than its weights, input and output pass between the device and its memory.

    What the last-level cache holds from the call before need not pass. Nothing is known without its size.
    """
    weights, read, written = (counted["weight_elements"], counted["input_elements"], counted["output_elements"])
    cache = peaks["cache_mb"]
    if weights is None or read is None or written is None or cache is None:
        return
    if sheet := peaks["data_sheet_gb_s"]:
        bandwidth, source = sheet, "the data sheet's bandwidth"
    elif copied := peaks["copy_gb_s"]:
        bandwidth, source = MEASURED_PEAK * copied, f"{MEASURED_PEAK:g} times the bandwidth of a measured copy"
    else:
        return
    # Of the label and of what ran the smaller: weights may be stored as either.
    size = min(BYTES[precision] for precision in (line["precision"], line["observed_precision"]) if precision in BYTES)
    images = line["batch_size"] * (read + written)
    megabytes = max(0.0, size * (weights + images) / 1e6 - cache)
    floor = megabytes / bandwidth  # MB by GB/s is ms
    for column in ("fps", "throughput_fps"):
        rate = line[column]
        if rate * floor > 1000 * line["batch_size"] * (1 + ROUNDING):
            yield (
                f"{column} = {rate:.6g} is {1000 * line['batch_size'] / rate:.4g} ms a call, but {megabytes:.4g} MB of "
                f"weights, input and output beyond the cache's {cache:.4g} MB take {floor:.4g} ms at "
                f"{source}, {bandwidth:.4g} GB/s"
            )


def under_load(line: Row) -> Iterator[str]:
    """Camera streams are served no faster than they come, and each part of a time is no longer than the whole."""
    for smaller, larger in NOT_MORE:
        if line[smaller] > line[larger] * (1 + ROUNDING):
            yield f"{smaller} = {line[smaller]:.6g} is more than {larger} = {line[larger]:.6g}"
    if line["streams_busy_percent"] > 100 * (1 + ROUNDING):
        yield f"streams_busy_percent = {line['streams_busy_percent']:.6g}; calls take at most all of the time, 100 %"
    if line["streams_served"] > 0:
        late = 100 * (1 - line["streams_good"] / line["streams_served"])
        if line["streams_worst_percent"] < late - 100 * ROUNDING:
            yield f"streams_worst_percent = {line['streams_worst_percent']:.6g}, but {late:.6g} % of all were late"


def overloaded(table: Table) -> Iterator[str]:
    """No setting serves more frames than its batch sizes do back to back, as a busy machine may have measured them."""
    for _place, rows in table[table.streams_served.notna()].groupby(["model", "backend", "precision", "resolution"]):
        first, best = rows.iloc[0], float(rows[["fps", "throughput_fps"]].max(axis=None))
        if first.streams_served > MEASURED_PEAK * best:
            yield (
                f"{name(first.to_dict())}: streams_served = {first.streams_served:.6g} is "
                f"{first.streams_served / best:.2f} times the best rate of its batch sizes, {best:.6g} images/s; "
                f"at most {MEASURED_PEAK:g} times is possible"
            )
        if rows.streams.nunique() > 1:
            numbers = " and ".join(f"{one:g}" for one in sorted(rows.streams.unique()))
            yield f"{name(first.to_dict())}: the batch sizes of one setting serve {numbers} cameras together"


def speedups(lines: list[Row], reference: Reference) -> Iterator[str]:
    """A speed-up is a ratio of two latencies of the table, or over the reference as a row's own session has it."""
    place = ("model", "resolution", "batch_size")
    base = {
        tuple(line[axis] for axis in place): line
        for line in lines
        if all(line[axis] == reference[axis] for axis in ("backend", "precision"))
    }
    for line in lines:
        if math.isnan(line["speedup"]) or not line["latency_ms"] > 0:
            continue
        where = tuple(line[axis] for axis in place)
        over = base.get(where, {})
        one, own = over.get("latency_ms", math.nan), line.get("session")
        if isinstance(own, str) and over and over["session"] != own:
            one = line["reference_ms"]
        if math.isnan(one) or differ(line["speedup"], one / line["latency_ms"]):
            ratio = f"{one:.6g} / {line['latency_ms']:.6g} ms = {one / line['latency_ms']:.6g}"
            yield f"{name(line)}: its speed-up is {line['speedup']:.6g}, but reference over own latency is {ratio}"


def duplicates(table: Table) -> Iterator[str]:
    """Two cells never have the same latency and interval to the last digit: one was copied."""
    columns = list(BY_NAME["latency_ms"].names())
    measured = table[table.latency_ms.notna() & (table.latency_ms_low < table.latency_ms_high)]
    for values, group in measured[measured.duplicated(columns, keep=False)].groupby(columns):
        names = " and ".join(name(line) for line in group.to_dict("records"))
        yield f"{names} have the same latency and interval, {values[0]:.9g} ms ({values[1]:.9g} to {values[2]:.9g})"
