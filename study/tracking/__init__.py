"""Experiment trackers: a study shown in TensorBoard, MLflow or Weights & Biases, through their own libraries.

They run in a process of their own beside the study, which reads what the study writes anyway: its plan, its store and
its log. Whatever a tracker's library does there (fail, hang, print, end the process), it cannot reach the study.
"""
