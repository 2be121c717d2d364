"""Tables without a library: constants, text files, system accounts."""
