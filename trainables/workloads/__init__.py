"""Models with their data: the `Workload` protocol, and the workloads that a study can name (`catalogue`)."""
