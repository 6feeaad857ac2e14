"""Faults of environments, learners and policies."""

from mutants.mutation import Mutation

_LANES = ("tests/metamodel/simulation/test_lanes.py",)
_REPLAY = ("tests/agents/learned/test_replay.py",)
_POLICY = ("tests/agents/learned/test_policy.py",)
_FOLDER = ("tests/infra/policies/test_folder.py",)
_SESSIONS = ("tests/infra/training_sessions/test_sessions_of_learners.py",)
_CONVERSION = "tests/infra/policies/test_conversion.py"
_JUDGING = ("tests/infra/policies/test_policy_judging.py",)
_CONFIDENCE = ("tests/agents/test_confidence.py",)
_SCORED = ("tests/infra/report/test_report_confidence.py",)
_WRAPPERS = tuple(
    f"tests/agents/learned/test_learner_wrappers.py::{suite}" for suite in ("TestServing", "TestLearning")
)

LEARNING: tuple[Mutation, ...] = (
    Mutation(
        "learning: a stop loss is an amount of money",
        "metamodel/simulation/lanes.py",
        "_want",
        r"side \* \(mid / s\.entry - 1\.0\)",
        "side * (mid - s.entry)",
        _LANES,
    ),
    Mutation(
        "learning: a fill comes at the next row, whatever the delay",
        "metamodel/simulation/lanes.py",
        "_step",
        r"terms, t, lots\)",
        "terms, t + 1 - terms.delay, lots)",
        _LANES,
    ),
    Mutation(
        "learning: a state is of the row before its prices",
        "metamodel/simulation/lanes.py",
        "_step",
        r"x\[t, i\]",
        "x[t - 1, i]",
        _LANES,
    ),
    Mutation(
        "learning: an order may be below the least",
        "metamodel/simulation/lanes.py",
        "_lots",
        r" < rules\.min_order and want != 0",
        " < 0.0",
        _LANES,
    ),
    Mutation(
        "learning: returns of n steps cross the end of an episode",
        "agents/learned/replay.py",
        "_follow",
        r" and rows\.ended\[at, k\] == 0",
        "",
        _REPLAY,
    ),
    Mutation(
        "learning: what was cut off counts as terminated",
        "agents/learned/replay.py",
        "_follow",
        r"rows\.ended\[at, k\] == 2",
        "rows.ended[at, k] != 0",
        _REPLAY,
    ),
    Mutation(
        "learning: a policy does not see its position",
        "agents/learned/policy.py",
        "_evaluate",
        r"scratch\[0, features\] = position",
        "scratch[0, features] = 0.0",
        _POLICY,
    ),
    Mutation(
        "learning: a policy acts on rows that say nothing new",
        "agents/learned/policy.py",
        "_step",
        r"good\[t\] != 0",
        "True",
        _POLICY,
    ),
    Mutation(
        "learning: weights are not compared with their checksum",
        "infra/policies/folder.py",
        "unpacked",
        r"weights\.digest\(raw\) != form\.weights_sha256",
        "False",
        _FOLDER,
    ),
    Mutation(
        "learning: agents of a session trade on as they were at first",
        "infra/training_sessions/trainer.py",
        "MetaLearningEnsembleTrainer._played",
        r"self\.agents\.policies = learners\.policies\(\)",
        "pass",
        _SESSIONS,
    ),
    Mutation(
        "learning: an episode that is broken off was learned from",
        "infra/training_sessions/trainer.py",
        "MetaLearningEnsembleTrainer._played",
        r"learners\.restore\(agents\)",
        "pass",
        _SESSIONS,
    ),
    Mutation(
        "learning: an episode of a session goes on in the next market",
        "infra/training_sessions/learning.py",
        "SessionLearners._learned",
        r"step\.ended \| \(row == rows - 1\)",
        "step.ended",
        _SESSIONS,
    ),
    Mutation(
        "learning: a position goes on from one market into the next",
        "infra/policies/judging.py",
        "Rule.positions",
        r"^        said\[starts\] = .*$",
        "",
        _JUDGING,
    ),
    Mutation(
        "learning: a wrapper does what its learner knew at first",
        "agents/learned/wrappers.py",
        "LearnerWrapper._learn",
        r"self\._served\.refresh\(\)",
        "pass",
        _WRAPPERS,
    ),
    Mutation(
        "learning: an episode that was cut off goes on",
        "agents/learned/wrappers.py",
        "LearnerWrapper._learn",
        r"done or truncated",
        "done",
        _WRAPPERS,
    ),
    Mutation(
        "learning: a wrapper does not take up the position that a state says",
        "agents/learned/wrappers.py",
        "ValuedAgentWrapper._features",
        r"self\.agent\.restore\(.*\)$",
        "pass",
        _WRAPPERS,
    ),
    Mutation(
        "learning: what came of proposals is not looked at",
        "agents/confidence.py",
        "_learn",
        "",
        "pass",
        _CONFIDENCE,
    ),
    Mutation(
        "learning: a proposal is judged a row too late",
        "agents/confidence.py",
        "_step",
        r"count >= HORIZON",
        "count > HORIZON",
        _CONFIDENCE,
    ),
    Mutation(
        "learning: a forecast is judged without costs",
        "infra/report/confidence.py",
        "ConfidenceTally._judge",
        r"changed \* filled\[:, 2\]",
        "0.0 * changed",
        _SCORED,
    ),
    Mutation(
        "learning: hidden layers of tanh are served as relu",
        "agents/learned/policy.py",
        "_activate",
        r"if tanh:",
        "if False:",
        _POLICY,
    ),
    Mutation(
        "learning: a zip of somebody's is unpickled",
        "infra/policies/state_dict.py",
        "main",
        r"weights_only=True",
        "weights_only=False",
        ("tests/infra/policies/test_sb3_zip.py::test_no_pickle_is_ever_read",),
    ),
    Mutation(
        "learning: outputs of somebody's network keep their order, whatever they mean",
        "infra/policies/conversion.py",
        "_in_our_order",
        r"mapping\.index\(meaning\)",
        "meaning + 1",
        (f"{_CONVERSION}::test_outputs_may_have_another_order",),
    ),
    Mutation(
        "learning: raw features are scaled",
        "infra/policies/conversion.py",
        "_form",
        r"if meaning\.scaled else \(",
        "if True else (",
        (f"{_CONVERSION}::test_of_an_onnx_file",),
    ),
    Mutation(
        "learning: a layer of an ONNX file may read what another one read",
        "infra/policies/onnx_file.py",
        "_layers",
        r"at not in first or ",
        "",
        ("tests/infra/policies/test_onnx_file.py",),
    ),
)
