"""`--for c`: the source of a model with a program that runs it, a Makefile, and a test on the certificate's samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import load
from isocline_runtime.artifact import Artifact, read_artifact, read_listed
from isocline_runtime.manifest import MODEL_FILE, SAMPLES_FILE
from isocline_runtime.named_arrays import read_npz
from isocline_runtime.native.checking import APART
from isocline_runtime.native.opening import program_of
from isocline_runtime.native_info import NativeArray, NativeInfo
from isocline_runtime.parts import kept

Array = NDArray[Any]
Files = dict[str, bytes]
TYPES = {"float32": "float", "float64": "double", "int64": "int64_t"}
MOST_NUMBERS = 200_000
"""Numbers that the test may hold: of a model with much noise it has fewer samples."""
MAKEFILE = """# make         the program: a line of numbers a sample in, a line out
# make check   the model against the samples of its certificate
CC     ?= cc
CFLAGS ?= -O3 -march=native
STRICT  = -std=c11 -Wall -Wextra -pedantic -fno-math-errno -fno-trapping-math -ffp-contract=@contract

.PHONY: all check clean
all: @name

@name: main.c model.c model.h
\t$(CC) $(STRICT) $(CFLAGS) -o $@ main.c model.c

check: test
\t./test

test: test.c model.c model.h
\t$(CC) $(STRICT) $(CFLAGS) -o $@ test.c model.c

clean:
\trm -f @name test
"""
MAIN = """/* Reads a sample a line: @said_in. Writes one a line: @said_out. */
#include <stdio.h>
#include <stdlib.h>
#include "model.h"

static @name_workspace workspace;
@declared
static int number(double *x) {
    return scanf("%lf", x) == 1;
}

int main(void) {
    for (long row = 1;; ++row) {
        double x;
        for (size_t i = 0; i < @count; ++i) {
            if (!number(&x)) {
                if (i == 0 && feof(stdin)) { return EXIT_SUCCESS; }
                fprintf(stderr, "line %ld: number %zu of @count is missing or none\\n", row, i + 1);
                return EXIT_FAILURE;
            }
@placed
        }
        @name_run(1, @arguments, &workspace);
@printed
        fputs("\\n", stdout);
        fflush(stdout);
    }
}
"""
ALONE = """/* Reads nothing. Writes a line: @said_out. */
#include <stdio.h>
#include "model.h"

static @name_workspace workspace;
@declared
int main(void) {
    @name_run(1, @arguments, &workspace);
@printed
    fputs("\\n", stdout);
    return 0;
}
"""
TEST = """/* @samples samples of the certificate, and what the model must answer, within @bound of the largest entry. */
#include <stdio.h>
#include "model.h"

static @name_workspace workspace;
@tables
@declared
static double size(double x) {
    return x < 0.0 ? -x : x;
}

int main(void) {
    int wrong = 0;
    @name_run(@samples, @arguments, &workspace);
@compared
    puts(wrong ? "wrong" : "right");
    return wrong;
}
"""
COMPARED = """    for (size_t row = 0; row < @rows; ++row) {
        double apart = 0.0, largest = 0.0;
        for (size_t i = 0; i < @count; ++i) {
            const double found = (double)out_@name[row * @count + i], stated = (double)expected_@name[row * @count + i];
            apart = size(found - stated) > apart || found != found ? size(found - stated) : apart;
            largest = size(stated) > largest ? size(stated) : largest;
        }
        if (!(apart <= @bound * (largest > 0.0 ? largest : 1.0))) {
            printf("@name of sample %zu: %g of %g\\n", row, apart, largest);
            wrong = 1;
        }
    }"""


def files_in_c(path: str | Path) -> Files:
    """The files of the package by name. Raises RunError E760 where the artifact has no C, ArtifactError."""
    artifact = read_artifact(path)
    program = program_of(artifact, MODEL_FILE)
    info = program.info
    files = {info.source: program.source, info.header: program.header}
    for other in artifact.manifest.native if artifact.manifest else ():
        if other.model != MODEL_FILE:
            also = program_of(artifact, other.model)
            files |= {other.source: also.source, other.header: also.header}
    makefile = MAKEFILE.replace("@name", info.name).replace("@contract", "fast" if info.contracted else "off")
    return files | {"Makefile": makefile.encode(), "main.c": _main(info).encode()} | _test(artifact, info)


def _main(info: NativeInfo) -> str:
    """A program that takes the inputs of a sample one after another, in the order of their names in the header."""
    first, placed = 0, []
    for item in info.inputs:
        kind = TYPES[item.dtype]
        inside, place = (
            (f"i >= {first} && i < {first + item.count}", f"i - {first}") if first else (f"i < {item.count}", "i")
        )
        placed.append(f"            if ({inside}) {{ in_{item.name}[{place}] = ({kind})x; }}")
        first += item.count
    printed = [
        f'        for (size_t i = 0; i < {item.count}; ++i) {{ printf("{_shape(item)} ", {_shown(item)}); }}'
        for item in info.outputs
    ]
    declared = [f"static {TYPES[item.dtype]} in_{item.name}[{item.count}];" for item in info.inputs]
    declared += [f"static {TYPES[item.dtype]} {_out(item)}[{item.count}];" for item in info.outputs]
    return _filled(
        MAIN if first else ALONE, info, declared=_lines(declared), count=str(first), placed="\n".join(placed),
        printed="\n".join(printed),
        said_in=", ".join(f"{item.name} ({item.count})" for item in info.inputs),
        said_out=", ".join(f"{item.name} ({item.count})" for item in info.outputs),
    )  # fmt: skip


def _shape(item: NativeArray) -> str:
    return {"float32": "%.9g", "float64": "%.17g"}.get(item.dtype, "%lld")


def _shown(item: NativeArray) -> str:
    return f"(long long){_out(item)}[i]" if item.dtype == "int64" else f"(double){_out(item)}[i]"


def _out(item: NativeArray) -> str:
    return f"out_{item.name}"


def _test(artifact: Artifact, info: NativeInfo) -> Files:
    """The program that compares; none where the artifact carries no samples."""
    manifest, certificate = artifact.manifest, artifact.certificate
    if manifest is None or certificate is None or SAMPLES_FILE not in manifest.files:
        return {}
    stored = read_npz(
        artifact.path / SAMPLES_FILE, read_listed(artifact.path, SAMPLES_FILE, manifest.files[SAMPLES_FILE])
    )
    given, expected = kept("input", stored), kept("output", stored)
    count = max([len(given[item.name]) for item in info.inputs if item.batched and item.name in given], default=1)
    each = sum(item.count for item in (*info.inputs, *info.outputs))
    count = max(1, min(count, MOST_NUMBERS // max(each, 1)))
    if manifest.noises:
        given |= load(artifact.path).noise(np.resize(stored.get("rows", np.arange(count)), count))
    tables = [*_tables("in", info.inputs, given, count), *_tables("expected", info.outputs, expected, count)]
    rows = {item.name: count if item.batched else 1 for item in info.outputs}
    bound = f"{APART * float(certificate['parity_bound']):g}"
    compared = [
        COMPARED.replace("@rows", str(rows[item.name])).replace("@count", str(item.count)).replace("@name", item.name)
        for item in info.outputs
    ]
    declared = [f"static {TYPES[i.dtype]} {_out(i)}[{i.count * rows[i.name]}];" for i in info.outputs]
    text = _filled(
        TEST, info, tables="\n".join(tables), declared=_lines(declared), samples=str(count),
        compared="\n".join(compared).replace("@bound", bound), bound=bound,
    )  # fmt: skip
    return {"test.c": text.encode()}


def _tables(kind: str, items: Sequence[NativeArray], arrays: Mapping[str, Array], count: int) -> Iterator[str]:
    for item in items:
        array = arrays[item.name][:count] if item.batched else arrays[item.name]
        numbers = array.astype(item.dtype).ravel()
        digits = {"float32": "{:.9g}f", "float64": "{:.17g}"}.get(item.dtype, "{:d}")
        texts = [_literal(digits.format(x)) for x in numbers.tolist()]
        lines = [", ".join(texts[i : i + 8]) for i in range(0, len(texts), 8)]
        body = ",\n    ".join(lines)
        yield f"static const {TYPES[item.dtype]} {kind}_{item.name}[{max(len(texts), 1)}] = {{\n    {body or '0'}\n}};"


def _literal(text: str) -> str:
    """A number as C writes it: one with an f has a point."""
    return text[:-1] + ".0f" if text.endswith("f") and not set(text) & set(".e") else text


def _lines(items: Sequence[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _filled(text: str, info: NativeInfo, **parts: str) -> str:
    arguments = ", ".join([*(f"in_{item.name}" for item in info.inputs), *map(_out, info.outputs)])
    for name, part in {**parts, "arguments": arguments}.items():
        text = text.replace(f"@{name}", part)
    return text.replace("@name", info.name)


__all__ = ["files_in_c"]
