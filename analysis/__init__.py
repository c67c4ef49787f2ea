"""analysis: from a study's tables to its accumulation-retention frontier, findings and report.

The analysis reads tables only and knows nothing of how they came about, so it also serves results of other programs.
`python -m analysis STUDY_DIR` writes the report; `report.write_report` does the same from Python.

Rooms import downward only. From the ground up: `arrays`, `uncertainty`, `pareto`, `roles` and `configs` are values and
pure functions. `tables` reads a study, `plane` says what lies where, and `frontier` has both as one value. `surfaces`
are fitted through configs. On these stand `tasks` (what happens on the way), `importance` (what axes do), `findings`
(what holds that was published) and `advice` (what to choose and what to run next). `evaluation` is all of that as one
value; `writing` says it in words and JSON, `drawing` shows it, and `report` writes the files.
"""
