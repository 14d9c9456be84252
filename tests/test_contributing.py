"""The recipes of CONTRIBUTING.md, each followed with a toy in a copy of the sources on which the tests are run.

A recipe is the edits it takes, and the commands that prove that nothing else is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPS = "compiler/isocline_compiler/ops/elementwise.py"
LAYERS = "compiler/isocline_compiler/vocabulary/functions/dense.py"
SCHEMES = "compiler/isocline_compiler/solvers/schemes/explicit.py"
REGULARIZERS = "compiler/isocline_compiler/vocabulary/regularizers"
PASSES = "compiler/isocline_compiler/passes"
MESSAGES = "dsl/isocline_dsl/messages/shapes.py"


@dataclass(frozen=True)
class Edit:
    """In `file`, `old` becomes `new`; a file that is not there is made, with `new` in it."""

    file: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        path = root / self.file
        if not self.old:
            path.write_text(self.new)
            return
        text = path.read_text()
        assert text.count(self.old) == 1, f"{self.file} has no single {self.old!r}"
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Recipe:
    """`edits` to follow, existing `tests` (files) that must then try the toy of that name, and programs that use it.

    `explained` is a word and a part of its explanation, `shown` a program and an operation of its optimised graph.
    """

    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()
    explained: tuple[str, str] | None = None
    program: str | None = None
    shown: tuple[str, str] | None = None


CUBE = """CUBE = Op(
    "cube", same, lambda torch, x: x**3, lambda emitter, node, x: emitter.node("Mul", emitter.node("Mul", x, x), x),
    lambda g, y, x: (g * x * x * 3.0,), "x^3.", examples=_on(),
    enclose=increasing(lambda x: x**3),
)

ELEMENTWISE = (
    CUBE,"""

SCALED = '''def scaled(x: Value, *, scope: Scope) -> Node:
    """Each entry of the last axis times a trained factor.

    Example: x |> scaled
    """
    size = known_size("scaled", x.shape[-1])
    return as_real(x) * scope.weight("weight", (size,), normal_with(1.0))


DENSE = functions("layer", scaled, '''

HEUN3 = """HEUN3 = Tableau(
    name="heun3", order=3,
    a=((), (Q(1, 3),), (0, Q(2, 3))), b=(Q(1, 4), 0, Q(3, 4)), c=(0, Q(1, 3), Q(2, 3)),
    reference="Heun (1900), Z. Math. Phys. 45, 23-38",
)

EXPLICIT = (
    HEUN3,"""

LASSO = '''"""Few weights."""

from __future__ import annotations

from isocline_compiler.graph import Node, constant
from isocline_compiler.ops import OPS
from isocline_compiler.vocabulary.regularizers.record import Context, Regularizer, LossTerm


def lasso() -> LossTerm:
    """The sum of the magnitudes of all weights.

    Example: 1e-4 * lasso()
    """

    def term(context: Context) -> Node:
        total = constant(0.0)
        for weight in context.weights:
            axes = tuple(range(weight.type.rank))
            total = total + OPS["reduce_sum"](OPS["abs"](weight), axes=axes, keepdims=False)
        return total

    return term


LASSO = Regularizer(lasso)
'''

TOO_SQUARE = '''

@message("E499")
def too_square(span: Span | None, name: str) -> Draft:
    """A matrix is square where it must not be.

    Nobody knows why.
    """
    return Draft(span, f"`{name}` is square")


@message("E233")
'''

DOUBLE = '''"""x + x -> 2 x."""

from __future__ import annotations

from isocline_compiler.graph import Graph, Node
from isocline_compiler.passes.rewrite import rewrite


def double(graph: Graph) -> Graph:
    """x + x -> 2 x."""
    return rewrite(graph, _doubled)


def _doubled(node: Node, inputs: tuple[Node, ...]) -> Node:
    if node.op.name == "add" and inputs[0] is inputs[1]:
        return inputs[0] * 2.0
    return node.rebuilt(inputs)
'''

DOUBLE_PROGRAM = """dyn 1
model toy
input x: real[3]
output y = x + x
"""

LAYER_PROGRAM = """dyn 1
model toy
input x: real[3]
output y = x |> scaled
"""

SCHEME_PROGRAM = """dyn 1
model toy
input x0: real[3]
field f(t, x: real[3]) { x' = -x }
x = solve f from x = x0 over 0..1 with heun3(steps=4)
output y = x
"""

REGULARIZER_PROGRAM = """dyn 1
model toy
input x: real[3]
target y: real
output z = x |> dense(1)
train { loss mse(z[0], y); regularize 0.1*lasso() }
"""

RECIPES = {
    "an op": Recipe(
        edits=(Edit(OPS, "ELEMENTWISE = (", CUBE),),
        tests=("tests/compiler/test_ops.py", "tests/compiler/test_enclosure.py", "cube"),
    ),
    "a layer": Recipe(
        edits=(Edit(LAYERS, 'DENSE = functions("layer", ', SCALED),),
        tests=("tests/compiler/test_functions.py", "scaled"),
        explained=("scaled", "a trained factor"),
        program=LAYER_PROGRAM,
    ),
    "a scheme": Recipe(
        edits=(Edit(SCHEMES, "EXPLICIT = (", HEUN3),),
        tests=("tests/compiler/test_schemes.py", "heun3"),
        explained=("heun3", "order 3; 3 evaluations"),
        program=SCHEME_PROGRAM,
    ),
    "a regularizer": Recipe(
        edits=(
            Edit(f"{REGULARIZERS}/lasso.py", "", LASSO),
            Edit(
                f"{REGULARIZERS}/__init__.py",
                "from isocline_compiler.vocabulary.regularizers.record import Regularizer\n",
                "from isocline_compiler.vocabulary.regularizers.lasso import LASSO\n"
                "from isocline_compiler.vocabulary.regularizers.record import Regularizer\n",
            ),
            Edit(f"{REGULARIZERS}/__init__.py", "by_name(", "by_name(LASSO, "),
        ),
        explained=("lasso", "magnitudes"),
        program=REGULARIZER_PROGRAM,
    ),
    "a pass": Recipe(
        edits=(
            Edit(f"{PASSES}/double.py", "", DOUBLE),
            Edit(
                f"{PASSES}/__init__.py",
                "from isocline_compiler.passes.fold import fold\n",
                "from isocline_compiler.passes.double import double\nfrom isocline_compiler.passes.fold import fold\n",
            ),
            Edit(f"{PASSES}/__init__.py", "    simplify,  #", "    double,  # before simplify\n    simplify,  #"),
        ),
        shown=(DOUBLE_PROGRAM, "mul"),
    ),
    "a message": Recipe(
        edits=(Edit(MESSAGES, '\n\n@message("E233")\n', TOO_SQUARE),),
        explained=("E499", "Nobody knows why"),
    ),
}

Execute = Callable[..., str]


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    """Runs a command on the copy of the sources, which comes before the installed ones."""
    for source in ("compiler", "dsl"):
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join(str(tmp_path / source) for source in ("compiler", "dsl"))

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name: str, execute: Execute, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    for edit in recipe.edits:
        edit.apply(tmp_path)
    if recipe.tests:
        *files, toy = recipe.tests
        assert " passed" in execute("pytest", "-q", "-p", "no:cacheprovider", *files, "-k", toy)
    if recipe.explained:
        word, text = recipe.explained
        assert text in execute("isocline", "explain", word)
    if recipe.program:
        program = tmp_path / "toy.dyn"
        program.write_text(recipe.program)
        execute("isocline", "check", str(program))
    if recipe.shown:
        program = tmp_path / "toy.dyn"
        program.write_text(recipe.shown[0])
        assert recipe.shown[1] in execute("isocline", "show", str(program), "--stage", "optimised")


FAMILIES = {
    "two_step": ("before: float = -1 / 2", "before: float = -0.4"),
    "partitioned": ("width: float = 1.0", "width: float = 0.9"),
    "implicit": ("width: float = 1.0", "width: float = 1.1"),
    "stochastic": ("noise: float = 1.0", "noise: float = 0.8"),
}
"""A toy of each family of schemes, and a coefficient of it made wrong."""


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_scheme_of_another_family_is_a_file_and_a_name(
    family: str, wrong: bool, execute: Execute, tmp_path: Path
) -> None:
    """The tests that stand already measure its order, and refuse a wrong coefficient."""
    source = (ROOT / "tests" / "toys" / f"{family}.py").read_text()
    schemes = tmp_path / "compiler" / "isocline_compiler" / "solvers" / "schemes"
    before, after = FAMILIES[family]
    assert source.count(before) == 1
    (schemes / f"toy_{family}.py").write_text(source.replace(before, after) if wrong else source)
    table = schemes / "__init__.py"
    imported = f"from isocline_compiler.solvers.schemes.toy_{family} import TOYS\n"
    text = table.read_text().replace("import EXPLICIT\n", f"import EXPLICIT\n{imported}")
    table.write_text(text.replace("by_name(\n    *EXPLICIT,", "by_name(\n    *EXPLICIT,\n    *TOYS,"))
    name = re.search(r'name(?:: str)? ?= ?"(\w+)"', source)
    assert name is not None
    tests = ("tests/compiler/test_scheme_families.py", "-k", f"(observed or everything) and {name[1]}")
    if wrong:
        with pytest.raises(AssertionError, match="test_the_observed_order_is_the_declared_one"):
            execute("pytest", "-q", "-p", "no:cacheprovider", *tests)
    else:
        assert " passed" in execute("pytest", "-q", "-p", "no:cacheprovider", *tests)


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_names_the_files_it_takes(name: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"## Add {name}\n")[2].partition("\n## ")[0]
    assert section, f"CONTRIBUTING.md has no recipe for {name}"
    for edit in RECIPES[name].edits:
        assert Path(edit.file).name in section or not edit.old, edit.file
