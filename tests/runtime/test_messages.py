"""The catalogue holds every message under its own code, each with a long form."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from isocline_runtime import messages_artifact, messages_input, messages_run, messages_stream, messages_table
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.messages import CATALOGUE

MODULES = (messages_artifact, messages_input, messages_run, messages_stream, messages_table)


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_message_makes_its_own_code_and_explains_itself(code: str) -> None:
    function = CATALOGUE[code]
    assert re.findall(r'"(E\d{3})"', inspect.getsource(function)) == [code]
    assert len(inspect.getdoc(function) or "") > 50 or code in ("E750", "E757")


def test_no_message_is_left_out() -> None:
    listed = set(CATALOGUE.values())
    for module in MODULES:
        written = {item for item in vars(module).values() if inspect.isfunction(item)}
        assert written <= listed


def test_a_fault_prints_like_a_diagnostic_and_survives_a_process() -> None:
    fault = messages_run.no_onnxruntime()
    assert str(fault).splitlines()[0] == "error[E770]: onnxruntime is not available"
    assert str(fault).splitlines()[1].startswith("  hint: pip install")
    copy = pickle.loads(pickle.dumps(fault))
    assert isinstance(copy, RuntimeFault)
    assert (copy.code, str(copy)) == (fault.code, str(fault))
