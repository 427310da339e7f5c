"""Build the exact frames of every mode, at every hop: a small network of machines that follow the rewrite tables.

`packets/` makes single packets, `rewrite` and `encapsulate` do to a packet what a table says, `network`, `host` and the
node modules let packets travel and machines answer, `faults` breaks one thing at a time, and `scenario` holds what the
taps saw. Nothing of the decoders is used: what craft writes is checked by others.
"""
