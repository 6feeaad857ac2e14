"""One account, slowly: fractions for money, whole lots, a list of what is in flight, names for verdicts."""

import math
from fractions import Fraction

from reference_rows import DAY, Fill, Row, Scaling, Seen, exact, near, nearest, reduction

from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.rows import GAP, HEARTBEAT, LEVEL, REPEATED, WARMUP
from windvane.metamodel.trading.control import FLATTEN, HALT, RESTRICT, RESUME
from windvane.metamodel.trading.risk import ACTIVE, HALTED, REDUCE_ONLY


class Reference:
    """The account, the gates and the fills of one book, row by row."""

    def __init__(self, config: TradingConfig) -> None:
        self.config, self.limits, self.costs = config, config.limits, config.costs
        self.capital, self.lot = exact(config.capital), exact(config.lot)
        self.cash, self.lots, self.equity = self.capital, 0, self.capital
        self.flying: list[tuple[int, int, int]] = []  # good row of the fill, lots, seq
        self.urgent: tuple[int, int] | None = None  # lots of the order sent at a heartbeat, and its seq
        self.state, self.halter, self.halted_at, self.halts = ACTIVE, "", 0, 0
        self.flatten = ""  # who wants the position closed: "person", "limit", or nobody
        self.peak = self.day_start = self.day_turnover = Fraction(0)
        self.sent: list[int] = []
        self.mids: list[float] = []
        self.times: list[int] = []
        self.wanted: dict[int, float] = {}
        self.streak, self.day, self.mean, self.square, self.variance, self.gap = 0, -1, 0.0, 0.0, 0.0, 0.0
        self.turnover = self.fees = self.high = self.drawdown = Fraction(0)
        self.fills, self.warm, self.exposure = 0, 0, 0.0
        self.scaling = Scaling()
        self.aim, self.restricted = 0, ""  # why it only reduces: "person", or "level"
        self.away, self.resumed, self.since = False, False, 0  # since: good rows since the price went away
        self.statements: list[list[float]] = []
        self.last: tuple[int, int] = (0, 0)

    @property
    def pnl(self) -> Fraction:
        return self.equity - self.capital

    @property
    def held(self) -> int:
        return self._held_at(len(self.mids) + self.costs.delay)

    def _held_at(self, good: int) -> int:
        """The position once all is filled that is due up to a good row."""
        urgent = self.urgent[0] if self.urgent else 0
        return self.lots + urgent + sum(lots for due, lots, _ in self.flying if due <= good)

    def row(self, row: Row) -> Seen:
        if self.mids or not row.flag & REPEATED:
            self._calendar(row)
        self._control(row.control)
        said: set[str] = set()
        order, fills = 0, list[Fill]()
        if row.flag & REPEATED:
            self.streak = 0 if row.flag & GAP else self.streak
            if row.flag & REPEATED == HEARTBEAT:
                order, said = self._at_heartbeat(row)
        elif not self._believed(row):
            self.away, self.streak, said = True, 0, {"collar"}
            self.since = max(self.since, 1)
            self._restrict("level")
        else:
            good = len(self.mids)
            before = self.mids[-1] if good else row.mid
            level = not near(row.mid, before) and (self.away or not row.flag & LEVEL)
            confirmed = self.resumed and not near(row.mid, before)
            fills = self._fill_due(row, good)
            self._mark(row.mid)
            if confirmed and self.state != HALTED:
                self._resume()
            self.away, self.resumed = False, False
            if not self._collared(row, before):
                self.peak = max(self.peak, self.pnl)
            if (
                self.config.on_halt == "resume-after"
                and self.halter == "limit"
                and good >= self.halted_at + self.config.resume_after
            ):
                self._resume()
            self._estimate(row, good, row.mid if level else before)
            self.streak += 1
            if not row.flag & WARMUP:
                self.warm += 1
                halted = self.state == HALTED
                scaled = self.scaling.of(row) if self.limits.confidence_scaling else row
                self._judge(scaled, good, row.mid if level else before)
                order, said = self._decide(scaled, good, before)
                if scaled.wanted != row.wanted and not halted:
                    said |= {"confidence"}
                self.aim = self.held
                if self.costs.delay == 0:
                    fills += self._fill_due(row, good)
                    self._mark(row.mid)
                self.exposure += abs(float(self.lots * self.lot) * row.mid) / float(self.capital)
        return Seen(
            frozenset(said),
            self.state,
            order,
            fills,
            self.aim,
            self.lots,
            self.equity,
            self.mids[-1] if self.mids else 0.0,
        )

    def statement(self) -> list[float]:
        mid = exact(self.mids[-1]) if self.mids else Fraction(0)
        position = self.lots * self.lot * mid / self.capital
        numbers = (self.pnl, position, self.turnover, self.fees, self.fills, self.exposure)
        values = [float(v) for v in (*numbers, self.warm, self.drawdown, self.halts)]
        return [*self.last, self.day, *values]

    def _calendar(self, row: Row) -> None:
        day = (row.ts - 1) // DAY
        if self.day >= 0 and day > self.day:
            self.statements.append(self.statement())
            self.day_turnover, self.day_start = Fraction(0), self.pnl
            if self.config.on_halt == "next-day" and self.halter == "limit":
                self._resume()
            if self.config.on_halt == "next-day" and self.since:
                self._lift()
        self.day, self.last = day, (row.seq, row.ts)

    def _control(self, code: int) -> None:
        if code == RESTRICT:
            self._restrict("person")
        elif code == RESUME:
            self.restricted = ""
            self._lift()
            if self.state != ACTIVE:
                self._resume()
        elif code in (HALT, FLATTEN):
            self.halts += self.state != HALTED
            self.state, self.halter = HALTED, "person"
            self.flatten = "person" if code == FLATTEN else self.flatten

    def _believed(self, row: Row) -> bool:
        """Whether a good row's level is the last one, vouched for, confirmed, or of no consequence yet."""
        self.since += self.since > 0
        if self.config.on_halt == "resume-after" and self.since > self.config.resume_after:
            self._lift()
        known = not self.mids or near(row.mid, self.mids[-1])
        return known or bool(row.flag & LEVEL) or self.resumed or not self.warm

    def _restrict(self, why: str) -> None:
        self.restricted = why if why == "person" or not self.restricted else self.restricted
        self.state = HALTED if self.state == HALTED else REDUCE_ONLY

    def _lift(self) -> None:
        """Resume after the price went to another level."""
        self.resumed, self.since = self.resumed or self.away, 0
        if self.restricted == "level":
            self.restricted = ""
            self.state = ACTIVE if self.state == REDUCE_ONLY else self.state

    def _resume(self) -> None:
        self.state, self.halter, self.flatten = REDUCE_ONLY if self.restricted else ACTIVE, "", ""
        self.peak = self.day_start = self.pnl

    def _collared(self, row: Row, before: float) -> bool:
        collar = self.limits.price_collar
        return collar is not None and abs(math.log(row.mid / before)) > collar

    def _mark(self, mid: float) -> None:
        self.equity = self.cash + self.lots * self.lot * exact(mid)
        self.high = max(self.high, self.pnl)
        self.drawdown = max(self.drawdown, (self.high - self.pnl) / self.capital)

    def _fill_due(self, row: Row, good: int) -> list[Fill]:
        """What was ordered for this good row, then what was ordered at a heartbeat."""
        due = [(lots, seq) for at, lots, seq in self.flying if at == good]
        self.flying = [order for order in self.flying if order[0] != good]
        due += [self.urgent] if self.urgent else []
        self.urgent = None
        return [fill for lots, seq in due if (fill := self._fill(row, lots, seq)) is not None]

    def _fill(self, row: Row, lots: int, seq: int) -> Fill | None:
        if self.costs.participation:
            most = math.floor(exact(self.costs.participation) * exact(row.size or 0.0) / self.lot)
            lots = max(-most, min(most, lots))
        if lots == 0:
            return None
        side = 1 if lots > 0 else -1
        quote = row.ask if side > 0 else row.bid
        price = exact(row.mid) * (1 + side * exact(self.costs.half_spread_bp) / 10_000)
        price = exact(quote) if quote is not None else price
        price *= 1 + side * exact(self.costs.slippage_bp) / 10_000
        amount = lots * self.lot * price
        fee = abs(amount) * exact(self.costs.fee_bp) / 10_000
        self.cash -= amount + fee
        self.lots += lots
        self.fees += fee
        self.turnover += abs(amount) / self.capital
        self.fills += 1
        return seq, lots, price, fee

    def _estimate(self, row: Row, good: int, before: float) -> None:
        if good:
            square = math.log(row.mid / before) ** 2
            if good > 1:
                square = min(square, 36 * max(self.variance, 1e-12))
            self.variance += max(2 / 129, 1 / good) * (square - self.variance)
            self.gap += max(0.01, 1 / good) * (row.ts - self.times[-1] - self.gap)
        self.mids.append(row.mid)
        self.times.append(row.ts)

    def _judge(self, row: Row, good: int, before: float) -> None:
        earned = self.wanted.get(good - 1 - self.costs.delay, 0.0) * math.log(row.mid / before)
        rate = 1 - 0.5 ** (1 / 4000)
        self.mean += rate * (earned - self.mean)
        self.square += rate * (earned**2 - self.square)
        self.wanted[good] = row.wanted

    def _decide(self, row: Row, good: int, before: float) -> tuple[int, set[str]]:
        limits, said, held, mid = self.limits, set(), self.held, exact(row.mid)
        per_capital = self.capital / mid / self.lot
        want = math.trunc(exact(row.wanted) * per_capital)
        if self.lots == 0 and not self.flying:
            self.flatten = ""

        def narrow(gate: str, to: int) -> None:
            nonlocal want
            if to != want:
                said.add(gate)
                want = to

        def within(limit: Fraction | int, around: int = 0) -> int:
            return around + max(-math.floor(limit), min(math.floor(limit), want - around))

        halted = self.state == HALTED
        if halted:
            narrow("state", 0 if self.flatten else held)
        elif self.state == REDUCE_ONLY:
            narrow("state", reduction(want, held))
        if self.streak <= 3:
            narrow("data", reduction(want, held))
        if row.bid is None or row.ask is None:
            spread = 2 * self.costs.half_spread_bp
        else:
            spread = (row.ask - row.bid) / row.mid * 10_000
        if limits.max_spread_bp is not None and spread > limits.max_spread_bp:
            narrow("spread", reduction(want, held))
        collared = self._collared(row, before)
        if collared and want != held:
            said.add("collar")
        if not halted:
            narrow("long_only", max(want, 0) if limits.long_only else want)
            narrow("position", within(exact(limits.max_position) * per_capital))
            if limits.max_notional is not None:
                narrow("notional", within(exact(limits.max_notional) / mid / self.lot))
        if limits.max_order_qty is not None:
            narrow("order_qty", within(exact(limits.max_order_qty) / self.lot, held))
        if limits.max_orders is not None:
            recent = [ts for ts in self.sent if ts > row.ts - limits.orders_interval]
            if len(recent) >= limits.max_orders:
                narrow("order_rate", reduction(want, held))
        less = reduction(want, held)
        if limits.max_turnover is not None and want != less:
            most = exact(limits.max_turnover) * self.capital
            room = most - self.day_turnover - abs(less - held) * self.lot * mid
            narrow("turnover", within(max(room, Fraction(0)) / mid / self.lot, less))
        if not halted:
            judged = not collared
            for gate, fall, limit in (
                ("daily_loss", self.day_start - self.pnl, limits.daily_loss),
                ("drawdown", self.peak - self.pnl, limits.max_drawdown),
            ):
                if judged and limit is not None and fall >= exact(limit) * self.capital:
                    said.add(gate)
                    self.state, self.halter, self.halted_at = HALTED, "limit", good
            if self.state == HALTED:
                self.halts += 1
                self.flatten = "limit" if limits.flatten_on_halt else ""
                want = 0 if self.flatten else held
            else:
                want = within(exact(self._size(row, said)) * per_capital)
        if limits.max_order_qty is not None:
            narrow("order_qty", within(exact(limits.max_order_qty) / self.lot, held))
        narrow("min_order", self._unless_small(want, held, mid))
        said |= {"collar"} if collared and want != held else set()
        busy = self.costs.participation > 0 and bool(self.flying)
        said |= {"in_flight"} if busy and not collared and want != held else set()
        order = 0 if collared or busy else want - held
        if order:
            self.flying.append((good + self.costs.delay, order, row.seq))
            self._sent(order, row, mid)
        return order, said

    def _at_heartbeat(self, row: Row) -> tuple[int, set[str]]:
        """What is sent where only a person's flatten sends anything: no more than is held until all is filled."""
        good, said, held = len(self.mids), set[str](), self.held
        want = held - nearest([self._held_at(good + later) for later in range(self.costs.delay + 1)])
        if self.flatten != "person" or want == held:
            return 0, said
        said, mid = {"state"}, exact(self.mids[-1])
        if self.limits.max_order_qty is not None:
            most = math.floor(exact(self.limits.max_order_qty) / self.lot)
            cut = max(held - most, min(held + most, want))
            said |= {"order_qty"} if cut != want else set()
            want = cut
        if (enough := self._unless_small(want, held, mid)) != want:
            return 0, said | {"min_order"}
        if want == held or self.away:
            return 0, said | ({"collar"} if want != held else set())
        if self.urgent or (self.costs.participation and self.flying):
            return 0, said | {"in_flight"}
        self.urgent = enough - held, row.seq
        self._sent(enough - held, row, mid)
        self.aim = enough
        return enough - held, said

    def _unless_small(self, want: int, held: int, mid: Fraction) -> int:
        """The wanted position unless the order is below the least, and neither closes nor is a slice of more."""
        limits, least = self.limits, exact(self.config.min_order) * self.capital
        sliced = limits.max_order_qty is not None and abs(want - held) == math.floor(
            exact(limits.max_order_qty) / self.lot
        )
        if sliced and reduction(want, held) == want:
            least = Fraction(0)
        small = want not in (0, held) and abs(want - held) * self.lot * mid < least
        return held if small else want

    def _sent(self, order: int, row: Row, mid: Fraction) -> None:
        self.sent.append(row.ts)
        self.day_turnover += abs(order) * self.lot * mid

    def _size(self, row: Row, said: set[str]) -> float:
        """What value at risk, volatility and Kelly leave of the wanted size."""
        limits, wanted = self.limits, max(row.wanted, 0.0) if self.limits.long_only else abs(row.wanted)
        size = min(wanted, limits.max_position)
        size = min(size, (limits.max_notional or math.inf) / float(self.capital))
        day = math.sqrt(max(self.variance, 1e-12)) * math.sqrt(DAY / max(self.gap, 1.0))
        factors = {
            "var": limits.var_95 / (1.6448536269514722 * day * size) if limits.var_95 and size else math.inf,
            "volatility": (limits.volatility_target or math.inf) / (day * math.sqrt(365)),
            "kelly": math.inf,
        }
        if limits.kelly_fraction is not None and self.square > 0:
            factors["kelly"] = max(limits.kelly_fraction * self.mean / self.square, 0.0)
        for gate, factor in factors.items():
            said |= {gate} if factor < 1 and size > 0 else set()
            size *= min(factor, 1.0)
        return size
