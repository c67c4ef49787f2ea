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
    parser.add_argument(
        "--axes",
        type=Path,
        metavar="FILE",
        help="YAML or JSON: what the columns of the trials table are (retune analyse --help says how)",
    )
    options = parser.parse_args(arguments)
    try:
        with FigureProcess() as figures:
            from analysis.report import write_report
            from analysis.tables.loading import load_axes, load_tables

            axes = None if options.axes is None else load_axes(options.axes, options.study_dir)
            page = write_report(load_tables(options.study_dir, axes), options.study_dir / "report", figures=figures)
    except (TableError, OSError) as error:
        sys.stderr.write(f"analysis: {error}\n")
        return 2
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
