"""windvane cockpit: the page for the books of a broker."""

import sys
from typing import Annotated

import typer

from windvane.infra.cli import options


def cockpit(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need the token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port, 0 for a free one.")] = 8780,
) -> None:
    """Serve one page that shows every book and has the buttons halt, flatten, reduce-only and resume, until Ctrl-C.

    The buttons need a token: WINDVANE_TOKEN, or the file that WINDVANE_TOKEN_FILE names, or one that is made and
    printed. Controls are signed with WINDVANE_CONTROL_KEY; without it the page only shows. Example:\n
      windvane cockpit --bootstrap 127.0.0.1:9092 --port 8780
    """
    import asyncio

    from windvane.infra.cockpit.greeting import greeting
    from windvane.infra.cockpit.kafka_source import KafkaSource
    from windvane.infra.cockpit.security import token_of
    from windvane.infra.cockpit.server import Cockpit
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.runs.progress import interruptible, say
    from windvane.metamodel.base.config import check

    check(host.strip() != "", "--host is empty: give an address of this machine, such as 127.0.0.1")
    settings = KafkaSettings.load(bootstrap, prefix)
    token, made = token_of()

    async def serve() -> None:
        with interruptible() as asked:
            async with (
                KafkaSource(settings) as source,
                Cockpit(source, token, host=host, port=port) as served,
            ):
                sys.stdout.write(f"cockpit at {served.url}\n")
                sys.stdout.flush()
                for line in greeting(served, token if made else None):
                    say(line)
                if source.no_control:
                    say(source.no_control)
                while not asked():
                    await asyncio.sleep(0.1)

    asyncio.run(serve())
