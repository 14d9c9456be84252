"""Data files to arrays by port, with the samples split and nothing filled or dropped silently."""

from isocline_compiler.data.dataset import Dataset, Split
from isocline_compiler.data.load import load_data
from isocline_compiler.data.table import Table, read_table

__all__ = ["Dataset", "Split", "Table", "load_data", "read_table"]
