"""System calls that fail, one at a time, while a real delivery agent delivers mail.

strace(1) makes one call of the worker fail with one error. Whatever call and error that
is, the promise must be kept:

    nothing is reported as delivered that is not in the mailbox, complete and committed;
    nothing bounces, unless the error means a quota or a size limit;
    no other client is cut off, and the worker serves the next one;
    no mailbox is damaged, and no message is there more often than it was tried;
    the next attempt delivers what this one did not.

On a volume of a network file system, it is a request to the server that fails, or the
answer to it is lost, and all after it fail until the server is well again.

`scripts/faults` tries all that there is for as long as it is told to, and the tests of
this package a part of it.
"""
