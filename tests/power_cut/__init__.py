"""Cut the power between any two block writes, and look for the mail.

recorder    a disk that keeps every write and flush, in order
devices     file systems, loop devices and mounts, in a mount namespace of their own
mail        messages, and what a mail folder must hold after a power cut
traffic     clients that have a delivery agent deliver them
recording   one scenario on one file system, as a recording
cuts        the disks that a power cut may leave, and what is wrong with them
"""
