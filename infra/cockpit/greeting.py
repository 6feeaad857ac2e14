"""What is printed where a cockpit was started: its token, once, and how to reach it from elsewhere."""

from collections.abc import Iterator

from windvane.infra.cockpit.security import is_loopback
from windvane.infra.cockpit.server import Cockpit


def greeting(cockpit: Cockpit, made: str | None) -> Iterator[str]:
    """Lines for the person who started it; made: the token where nobody gave one."""
    if made is not None:
        yield f"token for the buttons: {made} (it is shown only here; set WINDVANE_TOKEN to keep one)"
    if not is_loopback(cockpit.host):
        port = cockpit.port
        yield (
            "anybody on the way can read the token and what it opens: listen on 127.0.0.1 instead, and on the other "
            f"machine run `ssh -N -L {port}:127.0.0.1:{port} THIS_MACHINE`, then open http://127.0.0.1:{port}/"
        )
