"""Mail while the machine is in trouble: disks, memory, the clock, a hostile owner.

Each trial has a stream of mail from several clients, lets something happen to the
machine in the middle, puts it right, and counts what became of the mail. The tests run
short forms with postvirt; scripts/adversity has long ones, also with virtual(8).
"""
