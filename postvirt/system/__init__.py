"""What the kernel and the file system do, one hazard per module."""
