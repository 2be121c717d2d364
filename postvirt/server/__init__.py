"""The processes: launcher, watchdog process, workers, the service, companions."""
