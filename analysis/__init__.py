"""analysis: from a study's tables to its accumulation-retention frontier, findings and report.

Reads tables only and knows nothing of how they came about, so it also serves results that retune did not make.
`python -m analysis STUDY_DIR` writes the report; `report.write_report` does the same from Python.
"""
