"""What the learner of a run has learned, as a file of the run's folder.

It is what checkpoints hold of a learner: members, their mixture, covariances, scores and predictor, and nothing of an
account. `windvane live --from-run` begins with it, and `windvane control swap --model FILE` takes it, too.
"""

from __future__ import annotations

from pathlib import Path

from windvane.agents.kernel import this_program
from windvane.infra.runs.files import replace_file
from windvane.metamodel.features.extractor import NAMES
from windvane.streams.embedded import EmbeddedRunner

LEARNED = "learned.safetensors"
FEATURES = ",".join(NAMES)
"""The features that are learned from, as the file names them."""


def write_learned(out: Path, runner: EmbeddedRunner, book: str) -> None:
    """Write what a book of a runner has learned into the folder of its run; of a closed one that was done before."""
    about = {"features": FEATURES, "program": str(this_program())}
    if raw := runner.learned(book, about):
        replace_file(out / LEARNED, raw)
