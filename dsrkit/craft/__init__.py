"""Build the exact frames of every mode, at every hop: a small network of machines that follow the rewrite tables.

packets/   single packets, octet by octet: builders, a frame that can be rewritten in place, words about one
rewrite, encapsulate   do to a packet what a table says; profiles/ decides what the tables leave open
machines/  hosts, routers, load balancers, servers, and the network between them
options, preset, complete   what a user asks for, as a complete spec
modes/     set-up and traffic of each mode; faults/ breaks one thing at a time
volume/    many connections from few
api, forward   the two calls; scenario and frame hold what the taps saw; output/ writes it

Nothing of the decoders is used: what craft writes is checked by others.
"""
