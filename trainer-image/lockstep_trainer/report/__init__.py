"""What a training leaves for people: numbers as `report.json`, and a page that shows them."""

from lockstep_trainer.report.contents import describe_training
from lockstep_trainer.report.files import PAGE_FILE, REPORT_FILE, write_reports

__all__ = ["PAGE_FILE", "REPORT_FILE", "describe_training", "write_reports"]
