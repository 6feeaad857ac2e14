"""The examples of the original guide, read from examples.md, with the modules that its imports are replaced by."""

import re
from pathlib import Path

HOMES = {
    "task1_ensemble_meta_learning": "windvane",
    "meta_learning_config": "windvane",
    "meta_learning_evaluation": "windvane",
    "test_meta_learning_integration": "windvane.testing",
    "test_meta_learning_framework": "windvane.testing",
}
SIGNATURES = (
    *("MetaLearningEnsembleTrainer", "MetaLearningEvaluator", "MetaLearningConfig"),
    *("Configuration", "Agent Wrappers", "Evaluation"),
)


def blocks() -> dict[str, str]:
    """Return the code of every example in examples.md, by the title above it."""
    text = Path(__file__).with_name("examples.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## (.+?)\n\n```python\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL))


BLOCKS = blocks()


def imported(code: str) -> str:
    """Return the code of an example with its imports replaced by those of this project, and nothing else changed."""
    lines = code.splitlines()
    for at, line in enumerate(lines):
        match = re.fullmatch(r"from (\w+) import (.+)", line)
        if match and match[1] in HOMES:
            lines[at] = f"from {HOMES[match[1]]} import {match[2]}"
    return "\n".join(lines)
