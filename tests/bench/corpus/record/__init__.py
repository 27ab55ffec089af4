"""Records the corpus: PPO runs of several trainers, healthy and with a fault put in on purpose.

| module | what it is for |
| --- | --- |
| `planned` | what one run is: its environment, trainer, hyperparameters and fault |
| `plan` | which runs there are, in the order they are recorded |
| `events` | what a run reports while it goes on, as CSV |
| `environments` | the environments, and the faults that sit in them |
| `newcomers` | environments of our own, of the runs that were recorded last |
| `fleet` | several environments side by side, for the loops of our own |
| `numpy_networks`, `numpy_ppo` | a PPO in NumPy alone |
| `cleanrl_ppo` | a PPO in PyTorch after CleanRL's documented details |
| `sb3_ppo` | stable-baselines3's PPO and the relatives of it in sb3-contrib |
| `rllib_ppo` | RLlib's PPO |
| `torch_faults` | the faults that sit in a policy or its optimizer, for all that use PyTorch |
| `__main__` | records what is not there yet |
"""
