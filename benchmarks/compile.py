"""What compiling takes: seconds of the processor and of the clock for `isocline compile`, in fresh processes.

    python benchmarks/compile.py [--rounds 3] [--out build/benchmarks]

Models take turns, so that other work on the machine falls on all of them; of each the best round counts. Python may
keep what it compiles of modules, as it does where a package is installed: the first round is for that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHAIN = " ".join(f"x{i}' = x{(i + 1) % 10} - x{i} - 0.1*x{i}^3;" for i in range(10))
MODELS = {
    "two states": """dyn 1
model two
input start: real[2] in (0.5, 1.5)
field f(t, x, y: real) { x' = x - x*y; y' = x*y - y }
s = solve f from x = start[0], y = start[1] at 0..5 step 1
output x = s.x
deploy { solver auto(error=1e-3) }
""",
    "ten states": f"""dyn 1
model ten
input start: real in (0.5, 1.5)
field f(t, {", ".join(f"x{i}" for i in range(10))}: real) {{ {CHAIN} }}
s = solve f from {", ".join(f"x{i} = start" if i == 0 else f"x{i} = 0" for i in range(10))} over 0..5
output x = s.x9
deploy {{ solver auto(error=1e-3) }}
""",
    "ten states, 200 steps laid out": f"""dyn 1
model laid
input start: real in (0.5, 1.5)
field f(t, {", ".join(f"x{i}" for i in range(10))}: real) {{ {CHAIN} }}
s = solve f from {", ".join(f"x{i} = start" if i == 0 else f"x{i} = 0" for i in range(10))} over 0..5
output x = s.x9
deploy {{ solver rk4(steps=200); unroll all }}
""",
    "300 states": """dyn 1
model many
input start: real[300] in (-1, 1)
field f(t, x: real[300]) { x' = tanh(3*x) - x }
x = solve f from x = start over 0..1
output x
deploy { solver auto(error=1e-3) }
""",
}


def measured(file: Path, out: Path) -> tuple[float, float]:
    """Seconds of the processor and of the clock for one compilation."""
    command = [sys.executable, "-m", "isocline", "compile", str(file), "-o", str(out), "-q"]
    before, begin = os.times(), time.monotonic()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, env={**kept, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    asked = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in MODELS}
    with tempfile.TemporaryDirectory() as place:
        for round_ in range(asked.rounds):
            for name, text in MODELS.items():
                file = Path(place) / f"{'_'.join(re.findall('[a-z0-9]+', name))}.dyn"
                file.write_text(text)
                found[name].append(measured(file, Path(place) / f"{name}{round_}"))
                print(f"{name}: {found[name][-1][0]:.1f} s of the processor, {found[name][-1][1]:.1f} s", flush=True)
    best = {name: {"processor_s": min(a for a, _ in x), "clock_s": min(b for _, b in x)} for name, x in found.items()}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "compile.json").write_text(json.dumps(best, indent=2) + "\n")
    for name, seconds in best.items():
        print(f"| {name} | {seconds['processor_s']:.1f} | {seconds['clock_s']:.1f} |")


if __name__ == "__main__":
    main()
