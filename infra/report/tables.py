"""The table decisions.parquet, written block by block."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.report.tally import gates_of
from windvane.metamodel.base.regimes import REGIMES
from windvane.streams.events import Decisions


class DecisionsTable:
    """Writes decisions.parquet with one row group for each block; a context manager that closes the file at its end.

    agents, members: names of the columns of weights, in order. timed: the rows say which agents took part;
    regimes: the rows have regime probabilities and a label.
    """

    def __init__(
        self,
        path: Path,
        agents: tuple[str, ...],
        members: tuple[str, ...],
        *,
        timed: bool = False,
        regimes: bool = False,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._members, self._timed, self._regimes = members, timed, regimes
        real, whole = pa.float64(), pa.int64()
        self._schema = pa.schema(
            [
                ("seq", whole),
                ("ts", whole),
                ("flags", pa.int8()),
                *((name, real) for name in ("mid", "wanted", "target", "position", "equity")),
                *((f"weight_{name}", real) for name in agents),
                *((f"member_{name}", real) for name in members),
                *((f"awake_{name}", pa.int8()) for name in agents if timed),
                ("learner_version", whole),
                ("verdict", pa.dictionary(pa.int32(), pa.string())),
                *((f"p_{name}", real) for name in REGIMES if regimes),
                *(("regime", pa.dictionary(pa.int32(), pa.string())) for _ in range(regimes)),
            ]
        )
        # Dictionaries of float columns would cost time and save no bytes; differences of times are small numbers.
        # pyarrow opens names in UTF-8 alone, so a file of any other name is opened here.
        self._file = path.open("wb") if str(path).encode(errors="ignore").decode() != str(path) else None
        self._writer = pq.ParquetWriter(
            self._file or path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["flags", "verdict", "learner_version", "regime"],
            column_encoding={"seq": "DELTA_BINARY_PACKED", "ts": "DELTA_BINARY_PACKED"},
        )

    def add(self, block: Decisions, label: Ints) -> None:
        """Write a block of n decisions as one row group.

        label: (n,) index of the regime shown, read only where the table has regimes. Raises ValueError where the
        block has another number of members than the table, or lacks the regimes that the table has.
        """
        import pyarrow as pa

        if block.members.shape[1] != len(self._members):
            raise ValueError(
                f"rounds weigh {block.members.shape[1]} members, {len(self._members)} names were given"
            )
        values, which = np.unique(block.verdicts, return_inverse=True)
        names = pa.array([gates_of(v) for v in values.tolist()], pa.string())
        columns: list[Any] = [block.seq, block.ts, block.flags.astype(np.int8)]
        columns += [block.mid, block.wanted, block.target, block.position, block.equity]
        columns += [np.ascontiguousarray(column) for column in block.weights.T]
        columns += [np.ascontiguousarray(column) for column in block.members.T]
        if self._timed:
            awake = np.ones_like(block.weights) if block.awake is None else block.awake
            columns += [np.ascontiguousarray(column) for column in awake.astype(np.int8).T]
        columns += [block.learner, pa.DictionaryArray.from_arrays(which.astype(np.int32), names)]
        if self._regimes:
            columns += self._of_regimes(block, label)
        arrays = [pa.array(column) if isinstance(column, np.ndarray) else column for column in columns]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def _of_regimes(self, block: Decisions, label: Ints) -> list[Any]:
        """The columns of regimes: the probability of each, and the label shown."""
        import pyarrow as pa

        if block.regime is None:
            raise ValueError(f"row {block.first} has no regime, rows before have: give rows of one run")
        names = pa.DictionaryArray.from_arrays(label.astype(np.int32), pa.array(REGIMES, pa.string()))
        return [*(np.ascontiguousarray(column) for column in block.regime.T), names]

    def __enter__(self) -> DecisionsTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if self._file is not None:
            self._file.close()
