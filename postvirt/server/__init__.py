"""The processes: launcher, watchdog process, worker, and what drives a delivery."""
