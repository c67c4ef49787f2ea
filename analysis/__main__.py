"""`python -m analysis STUDY_DIR`: write the study's report and print its path."""

import argparse
import sys
from pathlib import Path

from analysis.drawing.figure_process import FigureProcess
from analysis.tables.contract import TableError


def main(arguments: list[str] | None = None) -> int:
    """Write the report; the exit status is 0, or 2 with one message on stderr."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Write the report of a study.")
    parser.add_argument(
        "study_dir",
        type=Path,
        help="folder with trials, tasks and perhaps scores as .parquet or .csv, here or in tables/",
    )
    options = parser.parse_args(arguments)
    try:
        with FigureProcess() as figures:
            from analysis.report import write_report
            from analysis.tables.loading import load_tables

            page = write_report(load_tables(options.study_dir), options.study_dir / "report", figures=figures)
    except (TableError, OSError) as error:
        sys.stderr.write(f"analysis: {error}\n")
        return 2
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
