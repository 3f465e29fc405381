# Which timings there are and in which order, round by round, and which cells get a further round.
from itertools import chain

from speedgrid.launcher import rounds
from speedgrid.launcher.reading import read_json

CERTAIN, ROUNDS = rounds.certain_rounds(config["timing"]), rounds.most_rounds(config["timing"])
WHOLE = grid.measuring_order(CELLS, CONTROL, config["model"]["seed"], ROUNDS)
# What is certain to be measured, and what each decision on a further round may add to it.
STAGES = [list(chain(*WHOLE[:CERTAIN])), *WHOLE[CERTAIN:]]
# What was there when this run began: the rest is a session of measuring of its own.
DONE = {path.stem for path in Path("artifacts/timings").glob("*.json")}
DECISION = "artifacts/decisions/after-round{round}.json"
# The cells of each further round, as far as that is decided.
DECIDED = []


def decided(stages):
    """Return the cells of each further round up to a number of stages, none after a round that has none.

    Snakemake calls an input function again when a decision is there that it could not look at.
    """
    found = []
    while len(found) + 1 < stages and (not found or found[-1]):
        path = checkpoints.decide_rounds.get(round=len(found) + 1).output.decision
        found.append(frozenset(read_json(path, dict)["cells"]))
    DECIDED[:] = found if len(found) >= len(DECIDED) else DECIDED
    return tuple(found)


@cache
def order(cells):
    """Return the names of all timings in their order, stage by stage. cells: as of `decided`.

    Snakemake knows what is forced once it has read the rules.
    """
    forced, done = workflow.dag_settings.forcerun, DONE
    if workflow.dag_settings.forceall or "time_cell" in forced:
        done = set()
    done = {name for name in done if f"artifacts/timings/{name}.json" not in forced}
    stages = [STAGES[0], *map(rounds.for_cells, STAGES[1:], cells)]
    return grid.plan(stages, CELLS, CONTROL, config["report"]["reference"], config["model"]["seed"], done)


@cache
def priorities(cells):
    """Return the priority of each timing.

    All below 0, so that a job without a priority (0: exports) comes before any timing; higher ones start earlier.
    """
    return {timing: -position for position, timing in enumerate(chain(*order(cells)), start=1)}


def timings(wildcards):
    """Return the records of all timings."""
    return records(chain(*order(decided(len(STAGES)))))


def earlier_rounds(wildcards):
    """Return the records that tell which cells get a round more than there are."""
    done = int(wildcards.round)
    return records(rounds.up_to(chain(*order(decided(done))), done))


def records(names):
    """Return the files of timings, sorted."""
    return sorted(f"artifacts/timings/{timing}.json" for timing in names)


def to_be_timed():
    """Return the records that are still to be written, as far as Snakemake knows by now."""
    return [job.output[0] for job in list(workflow.dag.needrun_jobs()) if job.rule.name == "time_cell"]


def open_rounds():
    """Return the clause of the progress line on what the round is for; of a fixed number of rounds there is none."""
    if len(STAGES) == 1 or (DECIDED and not DECIDED[-1]):
        return ""
    if not DECIDED:
        return "; another round follows where an answer is open"
    asked = read_json(DECISION.format(round=len(DECIDED)), dict)["open"]
    return f"; round {len(DECIDED) + 1} of at most {ROUNDS}, for {', '.join(asked)}"


def timings_so_far():
    """Return the records of the timings that are decided on by now.

    The controls of a session, which no decision is made from, wait for none.
    """
    return records(chain(*order(tuple(DECIDED))))


def asked_of_decisions():
    """Return the part of the configuration that decisions on further rounds are made by."""
    shown = {name: config["report"][name] for name in ("reference", "resolution", "batch_size")}
    named = ("budget", "minimum_fps", "minimum_top1", "minimum_top1_agreement")
    return {"axes": AXES, "report": shown, "rounds": ROUNDS} | {name: config[name] for name in named}


@per_job
def timing_priority(wildcards):
    """Return the job priority that puts the cells of a round in random order."""
    return priorities(tuple(DECIDED)).get(f"{grid.Cell.PATTERN.format(**wildcards)}-{wildcards.turn}", 0)


# After each round that every cell, or some, have had: which of them get another one, and what the answers are so far.
checkpoint decide_rounds:
    input:
        timings=earlier_rounds,
        weights=expand(
            "artifacts/weights/{model}-r{resolution}.json", model=AXES["model"], resolution=AXES["resolution"]
        ),
        # A demand on it alone needs accuracy before the last round.
        accuracy=expand("artifacts/accuracy/{cell}.json", cell=EVALUATED if config["minimum_top1"] is not None else []),
        flops="artifacts/flops.json",
        peaks="artifacts/peaks.json",
        hardware=own("config/hardware.yaml"),
    output:
        decision=DECISION,
        report="report/provisional/after-round{round}.md",
    log:
        "logs/decide_rounds/after-round{round}.log",
    localrule: True
    params:
        *code("decide_rounds", "measure/probes"),
        asked=digest(asked_of_decisions()),
    message:
        "Deciding which cells get another round than {wildcards.round}; {output.report} has the answers so far"
    shell:
        "scripts/cold scripts.decide_rounds --after {wildcards.round} --config artifacts/config.json --timings artifacts/timings"
        " --weights {input.weights} --accuracy {input.accuracy} --flops {input.flops} --peaks {input.peaks}"
        " --decision {output.decision} --report {output.report} > {log} 2>&1"
