"""What the Linux kernel tells in files, as far as it tells: containers have some of them empty, or none."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def lines(path: str | Path) -> list[str]:
    """Return the lines of a file of proc(5) or sysfs; none where there is no such file, or none that may be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
