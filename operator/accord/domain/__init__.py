"""What Accord decides, as pure functions: no cluster, clock, network or chance.

`plan` is what a decision is, `conditions` how it is told; one folder for each kind makes the decisions.
"""
