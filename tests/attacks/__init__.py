"""The attacks, one module for each who makes them; ``docs/threat-model.md`` counts them.

Each test states an attack and what is to come of it. One parametrised case is one attack. What is attacked is set up
once for a module, since a refused attack changes nothing, which every module makes sure of at its end.
"""
