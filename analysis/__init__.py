"""analysis: from a study's tables to its accumulation-retention frontier, findings and report.

Reads tables only and knows nothing of how they came about, so it also serves results that retune did not make.
`python -m analysis STUDY_DIR` writes the report; `report.write_report` does the same from Python.

`tables` (with `reading`) are read into the configs of a `frontier`. What is said of it: `plane` and `decision` say what
lies where and what to choose, `tasks` what happens on the way there, `importance` and `recommend` (with `response`)
what axes do and what to run next, `findings` (with `claims`) what holds that was published. `evaluation` is all of that
as one value; `report` writes it, with the `figures` and the page of `drawing`.
"""
