"""File systems, systemd, SELinux, the queue directory: codes PV6xx."""
