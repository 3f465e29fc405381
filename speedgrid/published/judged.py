"""Every check that can be made of a row, and why others could not be made."""

from speedgrid.published import bounds, checks, relative
from speedgrid.published.checks import Check, short
from speedgrid.published.names import models
from speedgrid.published.rows import Row

# Why a row could not be checked: a reason, and the figures of its sentence.
Reason = tuple[str, dict[str, str]]


def check(row: Row) -> list[Check]:
    """Return every check that can be made of a row."""
    found = list(checks.positive(row))
    # Nothing follows from a figure that cannot be.
    if any(not one.holds for one in found):
        return found
    return [*found, *checks.equalities(row), *relative.speedup(row), *bounds.bounds(row)]


def missing(row: Row) -> list[str]:
    """Return the facts that are missing to hold a row against its own device, its own model and its own precision."""
    reasons = []
    if not row.device:
        reasons.append("device")
    elif not row.limits.known:
        reasons.append("data_sheet")
    if not row.precision:
        reasons.append("precision_unsaid")
    elif row.limits.known and not row.peak:
        reasons.append("precision")
    if not bounds.at_least(row) and not row.get("tflops"):
        reasons.append("speed")
    elif not checks.flop(row) and not row.get("tflops"):
        reasons.append(_of_model(row))
    if not row.batch_size and not row.every("ms_per_image"):
        reasons.append("batch_size")
    return reasons


def _of_model(row: Row) -> str:
    if not row.model:
        return "model"
    if not models.resolve(row.model):
        return "flop"
    return "square" if row.shape else "flop" if row.resolution else "resolution"


def unmade(row: Row, made: list[Check]) -> list[Reason]:
    """Return the checks that the figures of a row ask for and that could not be made, each with its reason."""
    names = {one.name for one in made}
    found: list[Reason] = []
    if relative.stated(row) and "speedup" not in names and (implied := relative.implied(row)):
        found.append(("speedup", implied))
    rates, latencies = row.every("fps"), row.every("latency_ms")
    if rates and latencies and not row.batch_size:
        images = (rates[0] * latencies[0]).middle / 1000
        found.append(
            (
                "call_rate",
                {"fps": short(rates[0].middle), "latency": short(latencies[0].middle), "images": short(images)},
            )
        )
    several = row.every("throughput_fps") or row.every("throughput_calls_per_s")
    if several and (latencies or row.every("ms_per_image")) and "calls" not in names:
        found.append(("throughput", {"rate": short(several[0].middle)}))
    if row.limits.known and not row.limits.bandwidth_gb_s and row.cost and row.batch_size and bounds.at_least(row):
        found.append(("traffic", {"device": row.device or ""}))
    if row.get("gflops"):
        found.append(("gflops", {"value": row.figures["gflops"].text}))
    return found
