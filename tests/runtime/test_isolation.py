"""In a fresh process: what running an artifact imports, and what importing the package does not."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("torch", "lark", "networkx", "onnx", "isocline_compiler", "isocline_dsl")


def loaded_modules(program: str, *arguments: str) -> set[str]:
    program += "\nimport sys\nprint('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("LOADED")[1].split())


def test_running_an_artifact_loads_nothing_of_the_compiler(write_artifact) -> None:
    program = (
        "import sys, isocline_runtime as r\n"
        "s = r.load(sys.argv[1])\n"
        "assert s.run(first=[1, 2])['forecast'].tolist() == [7, 10]\n"
        "r.measure_latency(s, repeats=3)\n"
    )
    loaded = loaded_modules(program, str(write_artifact()))
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint((*FORBIDDEN, "pyarrow"))


def test_importing_the_package_loads_no_provider() -> None:
    loaded = loaded_modules("import isocline_runtime; isocline_runtime.load; isocline_runtime.read_inputs")
    assert "isocline_runtime" in loaded
    assert loaded.isdisjoint((*FORBIDDEN, "onnxruntime", "pyarrow"))


def test_every_public_name_resolves() -> None:
    import isocline_runtime

    for name in isocline_runtime.__all__:
        assert getattr(isocline_runtime, name) is not None
    assert set(isocline_runtime.__all__) <= set(dir(isocline_runtime))
