"""What turns watch events into passes, and passes into writes.

watches → index → queue → reconcile (gather → decide → act), under a Lease. `kinds` is the table of what is reconciled;
`sampler` measures beside the queue; `sweep` finds what a watch has missed.
"""
