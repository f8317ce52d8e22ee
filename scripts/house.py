"""Print the rooms of the house: their size, their floor, and which rooms each imports.

python scripts/house.py    exit status 1 if an import runs up, to a room on a higher floor

A room is a package or module directly in `lenet`; `experiments` is above all of them. The layers of
the import contract in pyproject.toml are the floors. grimp, the library of import-linter, finds the
imports.
"""

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
TOP = "experiments"


def floors() -> dict[str, int]:
    """Return the floor of each room, 0 at the bottom, from the import contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    height = len(layers)
    found = {
        room.strip(): height - 1 - place
        for place, layer in enumerate(layers)
        for room in layer.split("|")
    }
    return found | {TOP: height}


def arrows() -> dict[str, set[str]]:
    """Return the other rooms that each room imports."""
    graph = grimp.build_graph("lenet", TOP, exclude_type_checking_imports=True, cache_dir=None)
    rooms = {TOP, *graph.find_children("lenet")}
    for room in rooms:
        graph.squash_module(room)
    found = {room: graph.find_modules_directly_imported_by(room) & rooms for room in rooms}
    return {
        room.removeprefix("lenet."): {name.removeprefix("lenet.") for name in others - {room}}
        for room, others in found.items()
    }


def sources(name: str) -> list[Path]:
    """Return the Python files of a room."""
    place = ROOT / name if name == TOP else ROOT / "lenet" / name
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def main() -> None:
    """Print the house, and fail if an import runs up."""
    heights, reached = floors(), arrows()
    up = []
    for name in sorted(heights, key=lambda name: (-heights[name], name)):
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources(name))
        below = sorted(reached[name], key=lambda other: (-heights[other], other))
        size = f"{len(sources(name)):3} files {lines:6,} lines"
        print(f"floor {heights[name]:2}  {name:12} {size}  -> {', '.join(below) or 'none'}")
        up += [f"{name} -> {other}" for other in below if heights[other] >= heights[name]]
    count = sum(map(len, reached.values()))
    print(f"{len(heights)} rooms, {count} arrows, upwards: {', '.join(up) or 'none'}")
    sys.exit(bool(up))


if __name__ == "__main__":
    main()
