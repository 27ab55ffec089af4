"""Known ways to see that a series has changed for the worse, on the same recorded runs as the operator's own.

| module | method | on |
| --- | --- | --- |
| `accord_rules` | the operator's code: `Adaptive` at each sensitivity, and `Ratio` | returns and losses |
| `page_hinkley` | Page-Hinkley (`river`) | returns |
| `adwin` | ADWIN (`river`) | returns |
| `cusum` | CUSUM | returns |
| `change_points` | Bayesian online change point detection | returns |
| `skip_step` | OLMo's rule for skipping an update | losses |
| `recorded` | the runs of the corpus, and what became of each | |
| `standard` | a series in standard deviations of its own past | |
| `settings` | the methods by name, and the settings that each is chosen among | |
| `score` | false ones, caught ones, lags | |
| `report`, `picture` | the tables and the plot | |
| `looks` | the log of looks at the half that nobody built on | |

A method is a function `alarms(run, **setting)`, which yields alarms in order. Only the first one of a run counts.
"""
