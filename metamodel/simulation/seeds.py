"""The seeds of simulated markets by their purpose; no two purposes share a seed.

A seed draws the same noise in every named market, so a seed that was trained on cannot be used for tests in any of
them.
"""

TRAINING = range(240)
"""Randomised markets that models are fitted on."""

CALIBRATION = range(1000, 1024)
"""Standard markets that the simulator's constants were chosen on; frozen since."""

VALIDATION = range(2000, 2024)
"""What choices between models are made on."""

REPORTED = range(4000, 4024)
"""What the published tables of the ensemble are measured on."""

TEST = range(5000, 5024)
"""What the figures of the regime classifier are measured on, once the choices are made."""

SCALER = range(10_000, 10_040)
"""Randomised markets that the feature scaler is fitted on."""

SESSIONS = range(20_000, 30_000)
"""Markets of the episodes that a training session learns on."""

CHOOSING = range(30_000, 30_100)
"""Markets that a training session chooses its best checkpoint on."""

GAINS = range(30_100, 30_200)
"""Markets on which a training session measures what it was worth, once nothing is left to choose."""

EPISODES = range(40_000, 50_000)
"""Markets of the episodes that a trained session is evaluated on."""

LEARNERS = range(50_000, 59_000)
"""Markets that DQN, PPO and Rainbow are trained on."""

STOPPING = range(59_000, 59_500)
"""Markets on which such a training chooses the weights that it keeps, and stops."""

UNSEEN = range(59_500, 60_000)
"""Markets on which a trained policy is measured, once nothing is left to choose."""

ALL = {
    "training": TRAINING,
    "calibration": CALIBRATION,
    "validation": VALIDATION,
    "reported": REPORTED,
    "test": TEST,
    "scaler": SCALER,
    "sessions": SESSIONS,
    "choosing": CHOOSING,
    "gains": GAINS,
    "episodes": EPISODES,
    "learners": LEARNERS,
    "stopping": STOPPING,
    "unseen": UNSEEN,
}
