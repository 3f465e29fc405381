"""The columns of camera streams under load: how many a setting serves in time, and what was seen of that many."""

from speedgrid.text.column import HIGHER, INTEGER, LOWER, MB, MS, NONE, NUMBER, PERCENT, Column
from speedgrid.text.language import N_

FRAMES = N_("frames/s")
CLAIMS = (
    Column(
        "streams",
        INTEGER,
        NONE,
        HIGHER,
        N_("cameras in time"),
        "Cameras that were shown to be served in time, their frames periodic with random phases, by the batch sizes of "
        "the setting together: the same number in the row of each.",
    ),
    Column(
        "streams_synchronised",
        INTEGER,
        NONE,
        HIGHER,
        N_("synchronised cameras in time"),
        "The same of cameras with a common trigger, whose frames come at once.",
    ),
    Column(
        "streams_poisson",
        INTEGER,
        NONE,
        HIGHER,
        N_("cameras in time, Poisson arrivals"),
        "The same of frames that come independently of each other, at the rate of so many cameras.",
    ),
    Column(
        "streams_late",
        INTEGER,
        NONE,
        HIGHER,
        N_("cameras within twice the deadline"),
        "The same of periodic cameras with twice the deadline.",
    ),
    Column(
        "streams_missed_percent",
        NUMBER,
        PERCENT,
        LOWER,
        N_("frames missed"),
        "Frames of so many periodic cameras that were late or dropped; its ends are bounds, each at the confidence "
        "that is configured.",
        interval=True,
    ),
)
LOAD = (
    Column("streams_offered", NUMBER, FRAMES, None, N_("frames offered"), "Frames that so many cameras sent."),
    Column("streams_served", NUMBER, FRAMES, HIGHER, N_("frames served"), "Frames of them that had a result."),
    Column("streams_good", NUMBER, FRAMES, HIGHER, N_("frames in time"), "Frames of them with a result in time."),
    Column(
        "streams_dropped",
        INTEGER,
        NONE,
        LOWER,
        N_("frames dropped"),
        "Frames of one run that a newer one of their camera replaced; each is missed.",
    ),
    Column(
        "streams_p50_ms",
        NUMBER,
        MS,
        LOWER,
        N_("median latency under load"),
        "Median time from a frame's planned arrival to its result.",
    ),
    Column(
        "streams_p99_ms",
        NUMBER,
        MS,
        LOWER,
        N_("p99 of latency under load"),
        "99th percentile of that time.",
    ),
    Column(
        "streams_p99_9_ms",
        NUMBER,
        MS,
        LOWER,
        N_("p99.9 of latency under load"),
        "99.9th percentile of that time.",
    ),
    Column("streams_max_ms", NUMBER, MS, LOWER, N_("longest latency under load"), "Longest of those times."),
    Column(
        "streams_wait_p99_ms",
        NUMBER,
        MS,
        LOWER,
        N_("p99 of the wait under load"),
        "99th percentile of the time from a frame's planned arrival until its call begins.",
    ),
    Column(
        "streams_service_p99_ms",
        NUMBER,
        MS,
        LOWER,
        N_("p99 of the call under load"),
        "99th percentile of the time from when a frame's call begins to its result.",
    ),
    Column(
        "streams_busy_percent",
        NUMBER,
        PERCENT,
        None,
        N_("time in calls under load"),
        "Share of the time in which a call was going on.",
    ),
    Column("streams_mean_batch", NUMBER, NONE, None, N_("frames of a call under load"), "Mean number of them."),
    Column(
        "streams_worst_percent",
        NUMBER,
        PERCENT,
        LOWER,
        N_("frames missed of the worst camera"),
        "Missed frames of the camera that missed most, in one run.",
    ),
    Column(
        "streams_longest_gap",
        INTEGER,
        NONE,
        LOWER,
        N_("frames missed in a row"),
        "Most frames of one camera that were missed one after another, in one run.",
    ),
    Column(
        "streams_lag_p99_ms",
        NUMBER,
        MS,
        LOWER,
        N_("p99 of the loop's own lag"),
        "99th percentile of how late the loop that serves noticed a frame; more than 2 % of the deadline is in doubt.",
    ),
    Column(
        "streams_memory_mb",
        NUMBER,
        MB,
        LOWER,
        N_("memory under load"),
        "Memory of the process in which all batch sizes are loaded, less what it had before.",
    ),
)
STREAMS = (*CLAIMS, *LOAD)
