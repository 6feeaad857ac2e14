"""Event files of TensorBoard: the bytes that its format says."""

import struct
from pathlib import Path

from windvane.infra.policies.events import EventFile, crc32c, record, scalars


def test_the_checksum_is_that_of_the_standard() -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_a_record_is_length_bytes_and_their_checksums() -> None:
    """The first record of every event file of version 2 with this time, as TensorBoard's own writer has it."""
    raw = b"\x09" + struct.pack("<d", 0.0) + b"\x1a\x0dbrain.Event:2"
    made = record(raw)
    assert made[:8] == struct.pack("<Q", len(raw))
    assert made[12:-4] == raw
    for part, masked in ((made[:8], made[8:12]), (raw, made[-4:])):
        unmasked = (struct.unpack("<I", masked)[0] - 0xA282EAD8) & 0xFFFFFFFF
        assert (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF == crc32c(part)


def test_scalars_are_a_summary_of_an_event() -> None:
    made = scalars(300, {"train/loss": 0.5}, 2.0)
    value = b"\x0a\x0atrain/loss\x15" + struct.pack("<f", 0.5)
    summary = b"\x0a" + bytes([len(value)]) + value
    assert (
        made == b"\x09" + struct.pack("<d", 2.0) + b"\x10\xac\x02" + b"\x2a" + bytes([len(summary)]) + summary
    )


def test_a_file_is_its_records(tmp_path: Path) -> None:
    with EventFile(tmp_path / "events") as file:
        file.write(7, {"a": 1.0})
        file.write(8, {"a": 2.0})
    (path,) = (tmp_path / "events").iterdir()
    assert "tfevents" in path.name
    raw, count = path.read_bytes(), 0
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        assert record(raw[12 : 12 + length]) == raw[: 16 + length]
        raw, count = raw[16 + length :], count + 1
    assert count == 3
