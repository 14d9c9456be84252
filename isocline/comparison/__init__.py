"""Several models on the same data with the same budget: trained, deployed and measured from several seeds."""

from __future__ import annotations

from isocline.comparison.runs import compare
from isocline.comparison.summary import Comparison

__all__ = ["Comparison", "compare"]
