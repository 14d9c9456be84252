"""What a gradient keeps, by the number of layers: through stored steps, and through steps that are undone.

    python -m examples.reversible.memory

The blocks of `revnet.dyn`, more of them, on one batch of the digits' size. "Kept" is what autograd holds from the way
there to the way back, the weights aside, counted tensor by tensor; "resident" how much the process grew over both ways,
each in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower import lower
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.solvers import training_solver
from isocline_dsl import Source, parse

FILE = Path(__file__).with_name("revnet.dyn")
BATCH = 64
DEPTHS = (10, 100, 1000)
GRADIENTS = ("backprop", "reversible")


def measured(steps: int, gradient: str) -> dict[str, Any]:
    """Of one gradient: the bytes kept, those by which the process grew, the seconds, and the norm of the gradient."""
    text = FILE.read_text(encoding="utf-8").replace("coupling(steps=4)", f"coupling(steps={steps})")
    source = Source(text, FILE.name)
    model = lower(parse(source), source)
    assert model.training is not None
    plan = replace(model.training, gradient=gradient)
    solver = training_solver(plan)
    graph, _ = solver.unrolled(plan.losses)
    program = TorchProgram(optimise(graph, CLEANING))
    draw = np.random.default_rng(0)
    weights = {name: torch.tensor(array, dtype=torch.float32, requires_grad=True)
               for name, array in initial_weights(model.weights, 0).items()}  # fmt: skip
    batch = {"image": torch.tensor(draw.uniform(0, 16, (BATCH, 1, 8, 8)), dtype=torch.float32),
             "label": torch.tensor(draw.integers(0, 10, BATCH))}  # fmt: skip
    own = {x.untyped_storage().data_ptr() for x in weights.values()}
    kept: dict[int, torch.Tensor] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        if x.untyped_storage().data_ptr() not in own:
            kept[x.untyped_storage().data_ptr()] = x
        return x

    before, began = _resident(), time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        found = program.evaluate({**weights, **batch}, training=True, integrator=solver.integrator)
        loss = found.outputs["loss"].mean()
    held = sum(x.untyped_storage().nbytes() for x in kept.values())
    kept.clear()
    loss.backward()
    seconds = time.perf_counter() - began
    norm = float(torch.cat([x.grad.flatten() for x in weights.values() if x.grad is not None]).norm())
    return {"kept": held, "resident": _resident() - before, "seconds": seconds, "norm": norm}


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    if len(sys.argv) > 1:
        measured(4, sys.argv[2])  # what is loaded at the first use is in memory then
        print(json.dumps(measured(int(sys.argv[1]), sys.argv[2])))
        return
    print("| layers | gradient | kept, MB | resident, MB | seconds | norm of the gradient |")
    print("| --- | --- | --- | --- | --- | --- |")
    for steps in DEPTHS:
        for gradient in GRADIENTS:
            command = [sys.executable, "-m", "examples.reversible.memory", str(steps), gradient]
            item = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            sizes = f"{item['kept'] / 1e6:.2f} | {item['resident'] / 1e6:.0f}"
            print(f"| {steps} | {gradient} | {sizes} | {item['seconds']:.2f} | {item['norm']:.6g} |")


if __name__ == "__main__":
    main()
