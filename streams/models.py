"""Weights on their way to a book: a Model that carries them, and the Control that says when they are used.

The model is written first. A swap whose model has not come counts as unknown, so no row waits for a model.
"""

import base64

from windvane.metamodel.base.weights import WeightsError, digest
from windvane.streams.events import Control, Model


def swap_to(
    raw: bytes, *, book: str, number: int, effective_from: int = 0, reason: str = ""
) -> tuple[Model, Control]:
    """Return the events that swap a book to these safetensors, in the order in which they must be sent.

    number: that of the control, above all earlier ones of the book; effective_from: the first row, 0 for at once.
    """
    sha256 = digest(raw)
    return (
        Model(book=book, number=number, sha256=sha256, weights=base64.b64encode(raw).decode()),
        Control(
            book=book,
            number=number,
            action="swap",
            effective_from=effective_from,
            reason=reason,
            model=sha256,
        ),
    )


def bytes_of(model: Model) -> bytes:
    """Return the safetensors in a Model event; raises WeightsError where they do not have the sha256 that it names."""
    try:
        raw = base64.b64decode(model.weights, validate=True)
    except ValueError as error:
        raise WeightsError(f"not base64: {error}") from error
    if digest(raw) != model.sha256:
        raise WeightsError("its bytes have another SHA-256 than it says")
    return raw
