"""A learned policy as a folder of data: `policy.json` and `weights.safetensors`. Nothing in it is code, or run.

Whatever is unexpected is refused in one sentence: another layout, a checksum that differs, numbers that are none.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from windvane.agents.errors import WindvaneError
from windvane.agents.learned.policy import FORMAT, LearnedPolicy, PolicyForm, tensors_of
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Layers
from windvane.agents.policies import NoFolderError
from windvane.infra.runs.files import replace_file
from windvane.metamodel.base import weights
from windvane.metamodel.features.columns import NAMES

FORM, WEIGHTS = "policy.json", "weights.safetensors"
MOST_FORM, MOST_WEIGHTS = 2**20, 2**26
"""Bytes; the largest policy that the checks allow is smaller."""

_PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".zip", ".bin", ".npy", ".npz"}


class Packed(NamedTuple):
    """A policy as its two files hold it; the first names the sha256 of the second."""

    form: bytes  # policy.json
    weights: bytes  # weights.safetensors


def load_policy(folder: Path) -> LearnedPolicy:
    """Read a policy; returns an agent that has seen no row, named after its algorithm.

    Raises a sentence that names the folder: LearnedError where anything in it is not as `write_policy` writes it,
    NoFolderError where there is none.
    """
    if not folder.is_dir():
        raise NoFolderError(f"policy {folder}: {_no_folder(folder)}")
    try:
        return _load(folder)
    except LearnedError as error:
        raise LearnedError(f"policy {folder}: {error}") from error


def _load(folder: Path) -> LearnedPolicy:
    _refuse_pickles(folder)
    return unpacked(read_packed(folder))


def read_packed(folder: Path) -> Packed:
    """Read the two files of a policy; raises LearnedError where one is missing or larger than any policy's."""
    return Packed(_read(folder / FORM, MOST_FORM), _read(folder / WEIGHTS, MOST_WEIGHTS))


def unpacked(policy: Packed) -> LearnedPolicy:
    """Return a new agent of a policy; raises LearnedError where anything in it is not as `packed` makes it."""
    form, raw = form_of(policy.form), policy.weights
    if weights.digest(raw) != form.weights_sha256:
        raise LearnedError(
            f"{WEIGHTS} has another checksum than {FORM} says: copy both again, or train the policy again"
        )
    try:
        stored = weights.from_bytes(raw)
    except weights.WeightsError as error:
        raise LearnedError(f"{WEIGHTS} cannot be read ({error}): train the policy again") from error
    return LearnedPolicy(form, stored.tensors, NAMES)


def _no_folder(path: Path) -> str:
    """What is wrong with a path that is no folder."""
    if path.suffix.lower() in _PICKLES:
        return (
            "it is a file that may hold a pickle, which runs code when it is read, so it is never read: give a folder "
            f"with {FORM} and {WEIGHTS}, which `windvane agents convert` makes of a zip of Stable-Baselines3"
        )
    return "it is no folder: give one that `windvane train dqn|ppo|rainbow --out` or `windvane agents convert` wrote"


def form_of(raw: bytes) -> PolicyForm:
    """Read what `policy.json` says; raises LearnedError for what it does not hold in this release."""
    try:
        whole = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LearnedError(f"{FORM} is no JSON ({error}): train the policy again") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("format"), int):
        raise LearnedError(f"{FORM} names no format: give one that `windvane train` wrote")
    if whole["format"] != FORMAT:
        raise LearnedError(
            f"{FORM} has format {whole['format']}, and this release reads {FORMAT}: use the release that wrote it"
        )
    try:
        return msgspec.convert(whole, PolicyForm)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        said = str(cause) if isinstance(cause, WindvaneError) else f"{error}: use the release that wrote it"
        raise LearnedError(f"{FORM}: {said}") from error


def _refuse_pickles(folder: Path) -> None:
    """Raises LearnedError where a folder holds a model in a format that runs code, or might, when it is read."""
    if (folder / WEIGHTS).is_file():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICKLES:
            raise LearnedError(
                f"{path.name} may be a pickle, which runs code when it is read, so it is never read: "
                f"give a folder with {FORM} and {WEIGHTS}"
            )


def _read(path: Path, most: int) -> bytes:
    """The bytes of a file; raises LearnedError where there is none or it is larger than any policy."""
    if not path.is_file():
        raise LearnedError(f"{path.name} is missing: give a folder that `windvane train` has finished")
    size = path.stat().st_size
    if size > most:
        raise LearnedError(
            f"{path.name} has {size:,} bytes, more than the {most:,} of any policy: it is another file"
        )
    return path.read_bytes()


def packed(layers: Layers, form: dict[str, Any]) -> Packed:
    """Return layers as a policy; form: all of `PolicyForm` but `format` and `weights_sha256`."""
    raw = weights.to_bytes(tensors_of(layers), {"model": "policy"})
    whole = {"format": FORMAT, **form, "weights_sha256": weights.digest(raw)}
    return Packed(_text(msgspec.convert(whole, PolicyForm)), raw)


def write_policy(folder: Path, layers: Layers, form: dict[str, Any]) -> None:
    """Write layers as a policy; form: as `packed` takes it."""
    write_packed(folder, packed(layers, form))


def write_packed(folder: Path, policy: Packed) -> None:
    """Write a policy.

    The weights are written first: whoever reads in between finds a checksum that differs, never a wrong policy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS, policy.weights)
    replace_file(folder / FORM, policy.form)


def write_form(folder: Path, form: PolicyForm) -> None:
    """Write what `policy.json` says of the weights that lie in a folder already."""
    replace_file(folder / FORM, _text(form))


def _text(form: PolicyForm) -> bytes:
    """What `policy.json` holds."""
    return json.dumps(msgspec.to_builtins(form), indent=2).encode() + b"\n"
