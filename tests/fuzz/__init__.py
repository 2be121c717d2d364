"""Hostile inputs for everything that reads bytes of others, guided by coverage.

A target is a function that is called with bytes (`target`). Whatever the bytes are, it
returns, soon; an exception that the module under test does not document is a mistake,
and so are a crash of a C library and an input that takes too long. Where two ways lead
to one value, targets compare them.

    scripts/fuzz                      every target, 20,000 inputs each
    scripts/fuzz -n 1000000 records   one of them, more thoroughly
    scripts/fuzz --repeated           long inputs of one piece (`repeated`)

atheris (libFuzzer) chooses the inputs: it keeps and changes those that execute code of
postvirt that none before has executed.
"""
