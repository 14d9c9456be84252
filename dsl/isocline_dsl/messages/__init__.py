"""Every message of the compiler: one function each, by area; its docstring is what `isocline explain CODE` prints.

The areas that every stage may need are exported here: `messages.matmul_mismatch(...)`. The messages about
calls, operations and data stand in `messages.calls`, `messages.operations` and `messages.data`.
"""
# ruff: noqa: F403 - each area exports its messages; the names are checked to be distinct by the tests

from isocline_dsl.messages.attribution import *
from isocline_dsl.messages.comparing import *
from isocline_dsl.messages.compiling import *
from isocline_dsl.messages.declarations import *
from isocline_dsl.messages.defaults import *
from isocline_dsl.messages.delays import *
from isocline_dsl.messages.derivatives import *
from isocline_dsl.messages.driven import *
from isocline_dsl.messages.dynamics import *
from isocline_dsl.messages.ensemble import *
from isocline_dsl.messages.folders import *
from isocline_dsl.messages.fractional import *
from isocline_dsl.messages.jumps import *
from isocline_dsl.messages.learned import *
from isocline_dsl.messages.names import *
from isocline_dsl.messages.noise import *
from isocline_dsl.messages.panels import *
from isocline_dsl.messages.proofs import *
from isocline_dsl.messages.regularizers import *
from isocline_dsl.messages.scans import *
from isocline_dsl.messages.schemes import *
from isocline_dsl.messages.shapes import *
from isocline_dsl.messages.sharing import *
from isocline_dsl.messages.streaming import *
from isocline_dsl.messages.syntax import *
from isocline_dsl.messages.training import *
from isocline_dsl.messages.unsolved import *
