"""The processes: launcher, watchdog process, workers, the service and its companions."""
