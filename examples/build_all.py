"""Build the examples into build/: fetch their data, train, compile, certify; two at a time, each in its own process.

Those that take minutes are built with `--all`, or by name. A build that lets a warning of another package through to
the screen has failed: what Isocline has to say it says in its own words.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
WARNING = re.compile(r"^\S.*:\d+: \w*Warning\b|^\w*Warning: |\[W:onnxruntime|^\[W\d{4} ", re.MULTILINE)
"""How the warnings of Python, of onnxruntime and of torch's own C++ begin their lines."""


@dataclass(frozen=True)
class Example:
    """`fetch` gets the data, None where they are beside the file. The folder is `name` unless `folder` says another."""

    name: str
    fetch: str | None = None
    folder: str | None = None
    long: bool = False

    @property
    def file(self) -> Path:
        return FOLDER / (self.folder or self.name) / f"{self.name}.dyn"

    def commands(self) -> list[list[str]]:
        places = ["-o", f"build/{self.name}", "--run", f"runs/{self.name}"]
        build = [sys.executable, "-m", "isocline", "build", str(self.file), *places]
        return ([[sys.executable, "-m", self.fetch]] if self.fetch else []) + [build]


EXAMPLES = (
    Example("river", fetch="examples.river.fetch", long=True),
    Example("mechanism", fetch="examples.river.fetch", folder="river", long=True),
    Example("network", fetch="examples.river.fetch", folder="river", long=True),
    Example("hare_lynx"),
    Example("load_forecast", fetch="examples.load_forecast.fetch"),
    Example("live_load", fetch="examples.streaming.fetch", folder="streaming"),
    Example("digits", fetch="examples.digits.fetch"),
    Example("resnet", fetch="examples.digits.fetch"),
    Example("pendulum", fetch="examples.pendulum.simulate"),
    Example("stiff", fetch="examples.stiff.simulate"),
    Example("doses", fetch="examples.doses.fetch", long=True),
    Example("market", fetch="examples.market.fetch", long=True),
    Example("latent_sde", fetch="examples.latent_sde.fetch", long=True),
    Example("latent_ode", fetch="examples.latent_ode.fetch", long=True),
    Example("vowels", fetch="examples.cde.fetch", folder="cde", long=True),
    Example("sde_net", fetch="examples.sde_net.fetch", long=True),
    Example("mixture", fetch="examples.diffusion.draws", folder="diffusion"),
    Example("handwriting", fetch="examples.digits.fetch", folder="diffusion", long=True),
    Example("moons", fetch="examples.flow.draws", folder="flow", long=True),
    Example("matching", fetch="examples.flow.draws", folder="flow", long=True),
    Example("ot_flow", fetch="examples.flow.draws", folder="flow", long=True),
    Example("taynode", fetch="examples.flow.draws", folder="flow", long=True),
    Example("pixels", fetch="examples.flow.dequantise", folder="flow", long=True),
    Example("revnet", fetch="examples.digits.fetch", folder="reversible"),
    Example("momentum", fetch="examples.digits.fetch", folder="reversible", long=True),
    Example("unconstrained", fetch="examples.pendulum.simulate", folder="pendulum"),
)


def foreign_warnings(printed: str) -> list[str]:
    """The lines of what a command printed that are warnings of other packages."""
    return [line for line in printed.splitlines() if WARNING.search(line)]


def build(example: Example) -> bool:
    """Whether every command of the example succeeded, and printed no warning of another package."""
    started = time.perf_counter()
    for command in example.commands():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"FAILED  {example.name}: {' '.join(command)}\n{done.stdout}{done.stderr}", flush=True)
            return False
        if warned := foreign_warnings(done.stdout + done.stderr):
            print(f"FAILED  {example.name}: warnings of other packages\n" + "\n".join(warned), flush=True)
            return False
    print(f"ok      {example.name}  ({time.perf_counter() - started:.0f} s)", flush=True)
    return True


def main(names: list[str]) -> int:
    everything = "--all" in names
    asked = [name for name in names if name != "--all"]
    chosen = [item for item in EXAMPLES if everything or item.name in asked or not (asked or item.long)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return 0 if all(list(pool.map(build, chosen))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
