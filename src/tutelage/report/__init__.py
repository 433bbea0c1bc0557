"""What came of it: pages that convince or say plainly that they do not, and the numbers behind them as JSON."""

from tutelage.report.proving_ground import ProvingGroundReport
from tutelage.report.real_text import RealTextReport
from tutelage.report.runs import write_run_report
from tutelage.report.table import print_summary

__all__ = ["ProvingGroundReport", "RealTextReport", "print_summary", "write_run_report"]
