"""What a person asks of a session that another process runs, over its socket."""

from __future__ import annotations

import base64
import getpass
import secrets
import socket
from pathlib import Path
from typing import Any

import msgspec

from windvane.infra.live.controls import ControlError
from windvane.infra.live.socket import NAME, Request, address_of
from windvane.infra.training_sessions.checkpoints import read


def order(
    out: Path, action: str, reason: str, model: Path | None, seconds: float, agent: str = ""
) -> dict[str, Any]:
    """Send a control under the name of who runs this; returns the fields of its `Outcome`.

    out: the folder of the session; model: of a swap, what has the weights; agent: of wake and retire. Raises
    ControlError where no session obeys or answers within `seconds`, WeightsError where the model cannot be read.
    """
    weights = "" if model is None else base64.b64encode(read(model).raw).decode()
    return ask(
        out, Request(action, getpass.getuser(), reason, secrets.token_hex(16), weights, agent), seconds
    )


def ask(out: Path, request: Request, seconds: float) -> dict[str, Any]:
    """Send a request to the session of a folder and return its answer; raises ControlError where there is none."""
    if not (out / NAME).exists():
        raise ControlError(
            f"no session runs in {out}: name the --out of a `windvane live` that runs, or use --book"
        )
    with socket.socket(socket.AF_UNIX) as client, address_of(out) as address:
        client.settimeout(seconds)
        try:
            client.connect(address)
            client.sendall(msgspec.json.encode(request) + b"\n")
            with client.makefile("rb") as stream:
                line = stream.readline()
        except TimeoutError as error:
            raise ControlError(
                f"the session in {out} has not answered for {seconds:g} s: whether it obeys is not known"
            ) from error
        except ConnectionRefusedError as error:
            raise ControlError(f"the session in {out} has ended: start it again, and send it then") from error
    if not line:
        raise ControlError(f"the session in {out} ended before it answered: whether it obeys is not known")
    answer: dict[str, Any] = msgspec.json.decode(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer
