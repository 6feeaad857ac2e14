"""Networks of other people as judges of actions: modules of torch, and models of Stable-Baselines3.

Like the learners, this file is imported only where somebody hands one over, so that nothing else needs torch.
"""

from typing import Any

import numpy as np
import torch

from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Singles
from windvane.agents.learned.valued import Judge


def judge_of_module(module: torch.nn.Module) -> Judge:
    """A judge that asks a module, (B, D) to (B, 3), which is put into evaluation mode."""
    module.eval()
    first = next(module.parameters(), torch.zeros(0))

    def judge(state: Singles) -> Any:
        with torch.inference_mode():
            said = module(torch.from_numpy(state).to(first.device, first.dtype))
        if not isinstance(said, torch.Tensor):
            raise LearnedError(f"the module returns {type(said).__name__}: return a tensor (B, 3)")
        return said.cpu().numpy()

    return judge


def judge_of_model(model: Any, name: str) -> Judge:
    """A judge that asks a model of Stable-Baselines3: what its Q network says, or the logits of its policy.

    Raises LearnedError for a model of other actions than three.
    """
    if getattr(model.action_space, "n", None) != 3:
        raise LearnedError(
            f"model {name} acts in {model.action_space}: give one of 3 actions, sell, hold and buy"
        )
    policy = model.policy
    policy.set_training_mode(False)
    if hasattr(policy, "q_net"):
        return judge_of_module(policy.q_net)

    def judge(state: Singles) -> Any:
        with torch.inference_mode():
            said = policy.get_distribution(torch.from_numpy(state).to(policy.device))
        return np.asarray(said.distribution.logits.cpu())

    if not hasattr(policy, "get_distribution"):
        raise LearnedError(
            f"model {name} has a {type(policy).__name__}, which has neither a Q network nor a distribution of actions: "
            "give a model of DQN, PPO or A2C"
        )
    return judge
