"""Controls and models are signed by who has the key: what is changed, or meant for elsewhere, is not believed."""

import hmac
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import guard, sign, verified
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import Control, Model

KEY = b"the key of the tests, not a secret"

texts = st.text(st.characters(exclude_categories=["Cs"]))
controls = st.builds(
    Control,
    book=texts,
    number=st.integers(1, 2**40),
    action=st.sampled_from(["halt", "resume"]),
    effective_from=st.integers(0, 2**62),
    reason=texts,
    model=texts,
)
models = st.builds(Model, book=texts, number=st.integers(1, 2**40), sha256=texts, weights=st.just(""))
said = st.one_of(controls, models)


@given(said, texts)
def test_what_is_signed_is_believed_after_its_way_over_the_wire(
    control: Control | Model, prefix: str
) -> None:
    signed = sign(control, KEY, prefix)
    read = from_json(to_json(signed))
    assert isinstance(read, Control | Model)
    assert verified(read, KEY, prefix)
    assert msgspec.structs.replace(signed, signature="") == control


@given(said, texts, st.data())
def test_whatever_is_changed_is_not_believed(
    control: Control | Model, prefix: str, data: st.DataObject
) -> None:
    signed = sign(control, KEY, prefix)
    other = data.draw(controls if isinstance(control, Control) else models)
    unsigned = ("signature", "weights")  # the weights are those of the SHA-256, or left out
    name = data.draw(st.sampled_from([n for n in control.__struct_fields__ if n not in unsigned]))
    forged = msgspec.structs.replace(signed, **{name: getattr(other, name)})
    assert verified(forged, KEY, prefix) == (forged == signed)
    assert not verified(signed, KEY, f"{prefix}x")
    assert not verified(signed, KEY + b"x", prefix)
    assert not verified(control, KEY, prefix)


def test_fields_cannot_flow_into_each_other() -> None:
    one = Control(book="a", number=1, action="halt", effective_from=0, reason='x","z":"')
    two = Control(book='a","number":1', number=1, action="halt", effective_from=0)
    assert len({sign(c, KEY, p).signature for c in (one, two) for p in ("", "p", 'p","reason":"x')}) == 6


def test_others_can_sign_by_what_is_written() -> None:
    said = {"action": "halt", "book": "b", "effective_from": 0, "number": 1, "prefix": "p", "reason": "nötig"}
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    control = Control(book="b", number=1, action="halt", effective_from=0, reason="nötig")
    assert sign(control, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()
    swap = msgspec.structs.replace(control, action="swap", model="ab")
    text = text.replace(b'"halt"', b'"swap"').replace(b'"number"', b'"model":"ab","number"')
    assert sign(swap, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()
    model = Model(book="b", number=1, sha256="ab", weights="")
    text = b'{"book":"b","number":1,"prefix":"p","sha256":"ab"}'
    assert sign(model, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()


def test_what_is_hostile_is_not_believed_and_breaks_nothing() -> None:
    event = from_json(
        b'{"type":"Control","book":"b","number":1,"action":"halt","effective_from":0,"signature":"\\u00e4\\u0000"}'
    )
    assert isinstance(event, Control)
    assert not verified(event, KEY, "p")
    with pytest.raises(WireError, match="64-bit"):
        from_json(
            b'{"type":"Control","book":"b","number":99999999999999999999999,"action":"halt","effective_from":0}'
        )


@given(said)
def test_workers_believe_both_keys_while_the_key_is_changed(control: Control | Model) -> None:
    keys = [f"key {n} of the tests, no secret" for n in range(3)]
    believed = guard(KafkaSettings(prefix="p", control_key=keys[1], control_key_old=keys[0]))
    assert [believed(sign(control, key.encode(), "p")) for key in keys] == [True, True, False]
    assert not believed(sign(control, keys[0].encode(), "q"))
    assert not guard(KafkaSettings(prefix="p"))(sign(control, b"None", "p"))
