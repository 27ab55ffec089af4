"""The reference trainer: stable-baselines3 PPO on any Gymnasium environment: `python -m accord_trainer.sb3 --env ID`.

| module | what it is for |
| --- | --- |
| `ratings` | a service whose users rate from 1 to 5: the numbers, without any framework |
| `scoring` | raw rewards into normalized ones and into the metrics |
| `state` | what a checkpoint holds beside the network |
| `policyfile` | a trained policy for a service that has NumPy only |
| `environments`, `ppo`, `chance`, `export` | the thin parts that know Gymnasium, stable-baselines3 and PyTorch |
| `callback`, `following` | any other PPO of stable-baselines3 under a TrainingRun |
| `training`, `__main__` | one attempt, from the contract to the exit code |
"""
