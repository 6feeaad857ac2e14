"""Times DQN and PPO of Stable-Baselines3 on CartPole-v1: a program for an interpreter that has it.

It needs no Windvane. Its argument is the `Workload` of `cartpole_speed.py` as JSON; it prints the
version, and of each algorithm the steps a second of CPU time and the updates, as JSON.
"""

import json
import sys
import time
from typing import Any

import gymnasium
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv


def models(work: dict[str, Any]) -> dict[str, Any]:
    """The models, set so that they update as often and as much as the learners of Windvane on the same workload."""
    n, network = work["environments"], {"net_arch": work["hidden"], "activation_fn": torch.nn.ReLU}

    def envs() -> DummyVecEnv:
        return DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * n)

    dqn = stable_baselines3.DQN(
        "MlpPolicy",
        envs(),
        learning_starts=work["before"],
        batch_size=work["batch"],
        train_freq=1,  # a step of all environments
        gradient_steps=n // work["every"],
        tau=work["follow"],
        target_update_interval=n,  # the least that it can: a step of all environments
        exploration_initial_eps=work["epsilon"],
        exploration_final_eps=work["epsilon"],
        policy_kwargs=network,
        device="cpu",
        seed=0,
    )
    ppo = stable_baselines3.PPO(
        "MlpPolicy",
        envs(),
        n_steps=work["rollout"],
        batch_size=work["rollout"] * n // work["batches"],
        n_epochs=work["epochs"],
        policy_kwargs=network,
        device="cpu",
        seed=0,
    )
    return {"dqn": dqn, "ppo": ppo}


def updates(model: Any) -> int:
    """Steps that the optimiser has taken."""
    state = next(iter(model.policy.optimizer.state.values()), {"step": 0})
    return int(state["step"])


def timed(model: Any, work: dict[str, Any]) -> dict[str, float]:
    """Steps of environments a second of CPU time, and updates, after the steps that warm up."""
    model.learn(work["warm_up"])
    done, began = updates(model), time.process_time()
    model.learn(work["steps"], reset_num_timesteps=False)
    return {"rate": work["steps"] / (time.process_time() - began), "updates": updates(model) - done}


def main() -> None:
    """Time both and print it."""
    torch.set_num_threads(1)
    work = json.loads(sys.argv[1])
    rates = {name: timed(model, work) for name, model in models(work).items()}
    json.dump({"version": stable_baselines3.__version__, **rates}, sys.stdout)


if __name__ == "__main__":
    main()
