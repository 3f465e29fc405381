"""Who may import whom: each layer imports only what lies above it, and no modules import each other in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
# From what knows nothing of the others to what knows all of them.
LAYERS = (
    ("__init__", "grid", "precision", "record", "statistics", "data", "launcher"),
    ("machine",),
    ("model",),
    ("backends", "evidence"),
    ("builders", "cluster", "serving", "settings", "text"),
    ("measure",),
    ("table",),
    ("published", "comparison"),
    ("report",),
    # Of what the report recommends: apart from it, because a folder is no page, and no page needs one.
    ("handover", "fleet"),
)
DEPTH = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}


def modules():
    """Return each module of the library by its dotted name."""
    files = (ROOT / "speedgrid").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports(path, known):
    """Return the library's modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found & known


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


KNOWN = modules()
ARROWS = {name: imports(path, set(KNOWN)) - {name} for name, path in KNOWN.items()}


def test_every_room_has_a_layer_and_every_layer_its_rooms():
    rooms = {
        path.stem for path in (ROOT / "speedgrid").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms == set(DEPTH)
    packages = {one for one in rooms if (ROOT / "speedgrid" / one).is_dir()}
    # Thirteen of the stages that a cell goes through; serving and cluster, which have none; what is handed over; and
    # the machines of a fleet beside each other, which needs the recommendations of their reports.
    assert len(packages) <= 17
    assert len(rooms - packages) <= 6


def test_no_room_imports_from_a_later_layer_or_from_beside_it():
    wrong = [
        f"{one} imports {other}"
        for one, others in ARROWS.items()
        for other in others
        if room(one) != room(other)
        and not DEPTH[room(other)] < DEPTH[room(one)]
        and room(other) != "__init__"
        and not DEPTH[room(one)] == DEPTH[room(other)] == 0
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle():
    try:
        tuple(TopologicalSorter(ARROWS).static_order())
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None
