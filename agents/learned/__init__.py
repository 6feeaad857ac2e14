"""Agents that learn by trying, and how what they learned is stored and served: DQN, PPO and Rainbow."""
