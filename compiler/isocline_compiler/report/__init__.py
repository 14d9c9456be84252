"""The report: one page that shows a person what was compiled, what was proved of it, and how it behaves."""

from isocline_compiler.report.material import ReportMaterial
from isocline_compiler.report.page import write_report

__all__ = ["ReportMaterial", "write_report"]
