"""What is trained on what: the `Workload` protocol, and the workloads that a study can name (`catalogue`)."""
