"""What do the table, the audit and the report of very many records cost, and does each grow no faster than they do?

    python -m benchmarks.many_records [RECORDS ...]

Makes up so many records (12,500, 25,000, 50,000 and 100,000 where nothing is given) of one model in three rounds each,
writes and reads them as a run does, and prints the processor seconds of each part, the largest memory so far, and what
lies on the disk. Each number of records has a process of its own. Nothing is measured: the machine may be busy.
"""

import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SIZES = (12_500, 25_000, 50_000, 100_000)
BACKENDS = ("pytorch", "pytorch_tuned", "onnxruntime", "openvino", "inductor")
PRECISIONS = ("fp32", "tf32")
BATCHES, ROUNDS = tuple(range(1, 33)), 3


@contextmanager
def timed(part: str):
    """Print the processor seconds that a part took, and the largest memory of this process up to its end."""
    before = time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  {part:<34}{time.process_time() - before:8.1f} s of a processor, at most {peak:.2f} GB", flush=True)


def axes(count: int) -> dict[str, list]:
    """Return the axes of a grid with about a number of timings: more resolutions for more."""
    sizes = max(1, round(count / (len(BACKENDS) * len(PRECISIONS) * len(BATCHES) * ROUNDS)))
    return {
        "model": ["resnet18"],
        "backend": list(BACKENDS),
        "precision": list(PRECISIONS),
        "resolution": [32 + 4 * number for number in range(sizes)],
        "batch_size": list(BATCHES),
    }


def arithmetic(resolutions: list[int]) -> dict:
    """Return a model's arithmetic at each resolution, in proportion to its pixels."""
    from builders import ARITHMETIC

    found, at_64 = {}, ARITHMETIC["resnet18"]["64"]
    for size in resolutions:
        flop = round(at_64["flop"] * size**2 / 64**2)
        layers = [at_64["layers"][0] | {"flop": flop}]
        found[str(size)] = at_64 | {"flop": flop, "onnx_flop": flop, "input_elements": 3 * size**2, "layers": layers}
    return {"resnet18": found}


def write_records(folder: Path, cells: list, known: dict) -> None:
    """Write the records of all rounds of cells, each with samples of its own about what the cell costs."""
    from builders import make_record, scattered

    from speedgrid.record import write

    random = np.random.default_rng(0)
    for number, cell in enumerate(cells):
        flop = known["resnet18"][str(cell.resolution)]["flop"] * cell.batch_size
        middle = 1.0 + flop / 1e9 * (1.0 if cell.precision == "fp32" else 0.6) + 0.01 * BACKENDS.index(cell.backend)
        for turn in range(1, ROUNDS + 1):
            # Samples that are those of another record times something cannot be true.
            level = middle * np.exp(random.normal(0, 0.002))
            samples = scattered(level, ROUNDS * number + turn, 0.003)
            one = make_record(str(cell), samples, turn=f"round{turn}")
            write(folder / f"{one.name}.json", one)


def measure(count: int) -> None:
    """Print what each part costs for one number of records."""
    sys.path.insert(0, str(ROOT / "tests"))
    from builders import MEASURED

    from speedgrid import grid, settings
    from speedgrid.launcher.outputs import write_json, write_text
    from speedgrid.report import markdown, plots, redraw
    from speedgrid.report.plots.material import Material as Drawn
    from speedgrid.table import audit, saved
    from speedgrid.table.description import Description, Material, finish

    own = axes(count)
    cells, known = grid.cells(own), arithmetic(own["resolution"])
    names = {key: one for key, one in own.items() if key != "model"}
    asked = {"device": "cpu", "models": own["model"], "data": {"images": "random"}, "published": []}
    config = settings.complete(asked | {"report": {"resolution": 64, "batch_size": 8}})
    config["grid"]["cpu"] = names
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch, "timings"), Path(scratch, "out")
        folder.mkdir()
        (out / "plots").mkdir(parents=True)
        print(f"{len(cells) * ROUNDS:,} records of {len(cells):,} cells", flush=True)
        with timed("making them up"):
            write_records(folder, cells, known)
        size = sum(one.stat().st_size for one in folder.iterdir())
        print(f"  {'on the disk':<34}{size / 1e6:8.0f} MB in {len(list(folder.iterdir())):,} files")
        write_json(Path(scratch, "flops.json"), known)
        write_json(Path(scratch, "peaks.json"), {**MEASURED, "reason": ""})
        with timed("reading them"):
            paths = (Path(scratch, "flops.json"), Path(scratch, "peaks.json"))
            material = Material.read(sorted(folder.iterdir()), [], *paths)
        with timed("table"):
            found = finish(cells, material, config["report"]["reference"], config["accuracy"]["max_top1_loss"])
        with timed("writing it"):
            found.write(out / "results.csv", out / "rounds.csv", out / "run.json", out / "results.parquet")
        run = Description(**found.summary, config=config)
        del material
        with timed("audit"):
            table = saved.read(out / "results.parquet")
            audit.require(table, run["arithmetic"], run["peaks"], config["report"]["reference"])
        with timed("report"):
            write_text(out / "report.md", markdown.markdown(table, run, redraw.TEMPLATES / "report.md.j2"))
        with timed("plots"):
            drawn = Drawn(table, saved.read_rounds(out / "rounds.csv"), run, known)
            plots.draw_all(drawn.of("resnet18"), out / "plots")
        with timed("pages"):
            redraw.draw_pages(table, run, out)
        print(f"  statuses: {run['statuses']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]))
    else:
        for wanted in map(int, sys.argv[1:] or SIZES):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.many_records", "--one", str(wanted)], check=True, cwd=ROOT
            )
