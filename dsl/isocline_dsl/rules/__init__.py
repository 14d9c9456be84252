"""From what the parser reduces to nodes of the tree: one method for each rule of the grammar.

Mistakes that the grammar lets through become `Fault` nodes, which the parser collects when it is done; the methods run
inside the parser and must not raise.
"""

from isocline_dsl.rules.builder import Builder
from isocline_dsl.rules.pieces import Bare, Beside, Fault, Model, Version

__all__ = ["Bare", "Beside", "Builder", "Fault", "Model", "Version"]
