"""From symptoms to causes: the catalogue of faults, and the pictures that find them.

`evidence` collects `facts` while packets pass. `reason` then runs the `pictures` over a `case` (verdicts, facts, what
mechanisms found); each returns diagnoses that take the symptoms they explain. The words about a code live in its entry
(`catalogue`), nowhere else.
"""
