"""Has a training gone wrong? From what a trainer reports to Pass, Fail or Inconclusive, with the figures.

| module | what it is for |
| --- | --- |
| `series` | what was reported, as segments; and segments gathered into blocks of like size |
| `held`, `rows` | segments from values that are held between updates and episodes: a CSV, or gauges |
| `ratio`, `adaptive` | the two rules, each on one series |
| `trend` | where a baseline leads, and the chance of what follows |
| `t_distribution` | the tail of Student's t distribution |
| `signals` | the table of what is looked for, and in which series |
| `history` | all series of one life of a trainer, and the judgement of them |
| `scrapes` | what Prometheus holds of a trainer, as histories |
| `live` | the question to Prometheus and the reading of its answer |
| `replay` | the same over a recorded run, for `accord backtest` |
"""
