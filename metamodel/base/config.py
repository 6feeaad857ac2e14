"""The settings of a run: frozen, validated when they are built, and stored in the log beside its events."""

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from windvane.agents.errors import WindvaneError
from windvane.agents.naming import FOREIGN, LONGEST_VERSION, REMOTE, is_plain
from windvane.metamodel.base.limits import RiskLimits

SECOND = 1_000_000_000
CLOSINGS = ("lockstep", "timed")
FILLS = ("paper",)
ON_HALT = ("stop", "next-day", "resume-after")
MOST_TRAINED = 12
"""Agents whose predictors' weights go into one record."""

_MOST_NS = 2**61  # a time and a span of time together fit 64 bits


class ConfigError(WindvaneError):
    """A setting is invalid; the message is one sentence that names it and says what would be valid."""


def check(condition: bool, sentence: str) -> None:
    """Raise ConfigError with `sentence` where `condition` is false."""
    if not condition:
        raise ConfigError(sentence)


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trading costs, and when a decision is filled; raises ConfigError for a value out of range."""

    fee_bp: Annotated[float, Meta(description="of the notional, either side")] = 1.0
    slippage_bp: Annotated[float, Meta(description="of the price, beyond the quote")] = 0.0
    half_spread_bp: Annotated[float, Meta(description="where the data have no quotes")] = 0.0
    delay: Annotated[
        int, Meta(description="good rows from decision to fill; 0 fills at the price decided on")
    ] = 1
    participation: Annotated[
        float, Meta(description="largest share of a row's volume that a fill may take; 0: no limit")
    ] = 0.0

    def __post_init__(self) -> None:
        check(0 <= self.fee_bp <= 1000, f"fee_bp is {self.fee_bp}: give basis points from 0 to 1000")
        check(
            0 <= self.slippage_bp <= 1000, f"slippage_bp is {self.slippage_bp}: give 0 to 1000 basis points"
        )
        check(
            0 <= self.half_spread_bp <= 1000,
            f"half_spread_bp is {self.half_spread_bp}: give 0 to 1000 basis points",
        )
        check(0 <= self.delay <= 64, f"delay is {self.delay}: give 0 to 64 ticks")
        check(
            0 <= self.participation <= 1, f"participation is {self.participation}: give a share from 0 to 1"
        )


class WeighingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the ensemble weighs its agents and learns to; raises ConfigError for a value out of range."""

    max_agent_weight: Annotated[float, Meta(description="cap of one agent's weight")] = 0.6
    min_diversification_agents: Annotated[int, Meta(description="so many agents have 5 % or more")] = 3
    weight_temperature: Annotated[
        float, Meta(description="aversion to variance; .5 expects the best Sharpe ratio, lower is bolder")
    ] = 0.5
    no_trade_band: Annotated[
        float, Meta(description="standard deviations of the agents' targets that are not traded for")
    ] = 0.15
    prior: Annotated[tuple[float, ...], Meta(description="of MEMBERS, in their order; normalised")] = (
        0.05,
        0.02,
        0.15,
        0.65,
        0.05,
        0.08,
    )
    share_rate: Annotated[
        float, Meta(description="Fixed-Share: chance a tick that the best member changes")
    ] = 3e-5
    learning_rate: Annotated[float, Meta(description="Fixed-Share: eta")] = 0.02
    meta_training_frequency: Annotated[
        int, Meta(description="samples, one every 32 good rows, between two learner versions")
    ] = 50
    learner_lag: Annotated[int, Meta(description="rows from training to effect")] = 32
    retraining: Annotated[
        bool, Meta(description="whether the predictor is a member, trained anew for every learner version")
    ] = False
    meta_lookback: Annotated[int, Meta(description="newest samples that a version is trained on")] = 1000
    meta_batch_size: Annotated[int, Meta(description="samples a step of the training")] = 32
    meta_epochs: Annotated[
        int, Meta(description="so many times a sample is trained on while it is in the lookback, on average")
    ] = 10
    cash_expert: Annotated[
        bool, Meta(description="whether cash competes with the mixture; what it wins is not invested")
    ] = False
    agent_history_features: Annotated[
        int, Meta(description="how long the predictor remembers scores, in means of 32 good rows")
    ] = 20
    features: Annotated[
        int,
        Meta(
            description="that contextual member and predictor read: `windvane.metamodel.features.selection`"
        ),
    ] = 50

    def __post_init__(self) -> None:
        check(
            0 < self.max_agent_weight <= 1,
            f"max_agent_weight is {self.max_agent_weight}: give above 0, up to 1",
        )
        check(
            0 <= self.min_diversification_agents <= 20,
            f"min_diversification_agents is {self.min_diversification_agents}: give 0 to 20",
        )
        check(
            0 < self.weight_temperature <= 100,
            f"weight_temperature is {self.weight_temperature}: give above 0, up to 100",
        )
        check(0 <= self.no_trade_band <= 1, f"no_trade_band is {self.no_trade_band}: give 0 to 1")
        check(
            min(self.prior, default=-1) >= 0 and sum(self.prior) > 0,
            "prior needs a weight of 0 or more for each member, and one above 0",
        )
        check(0 < self.share_rate < 1, f"share_rate is {self.share_rate}: give a chance between 0 and 1")
        check(0 < self.learning_rate <= 1, f"learning_rate is {self.learning_rate}: give above 0, up to 1")
        check(
            self.meta_training_frequency >= 1,
            f"meta_training_frequency is {self.meta_training_frequency}: give 1 or more samples",
        )
        check(self.learner_lag >= 1, f"learner_lag is {self.learner_lag}: give 1 or more rows")
        check(
            8 <= self.meta_lookback <= 20_000,
            f"meta_lookback is {self.meta_lookback}: give 8 to 20000 samples",
        )
        check(
            1 <= self.meta_batch_size <= 4096,
            f"meta_batch_size is {self.meta_batch_size}: give 1 to 4096 samples",
        )
        check(1 <= self.meta_epochs <= 1000, f"meta_epochs is {self.meta_epochs}: give 1 to 1000")
        check(
            1 <= self.agent_history_features <= 1000,
            f"agent_history_features is {self.agent_history_features}: give 1 to 1000",
        )
        check(1 <= self.features <= 75, f"features is {self.features}: give 1 to 75")


class TradingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings that decide what the stages of one book compute; raises ConfigError for a value out of range.

    A book is one symbol traded by one ensemble with these settings, from its first row to its last.
    """

    symbol: str = "BTCUSD"
    fills: Annotated[str, Meta(description="on the rows that follow; a venue's fills are not read yet")] = (
        "paper"
    )
    closing: str = "lockstep"
    round_timeout: Annotated[
        int, Meta(description="timed: ns after which a round closes with the agents that have answered")
    ] = SECOND // 2
    quorum_lag: Annotated[
        int, Meta(description="timed: so many rows further, it closes with them at once")
    ] = 512
    interval: Annotated[int, Meta(description="ns a row covers, 0 for ticks")] = 0
    stale_after: Annotated[int, Meta(description="ns without a good row after which the book is stale")] = (
        60 * SECOND
    )
    most_ahead: Annotated[
        int,
        Meta(description="timed: ns by which a row may be dated ahead of the broker's time of its record"),
    ] = 60 * SECOND
    agents: Annotated[tuple[str, ...], Meta(description="their ids: letters, digits, _ . -")] = ()
    kinds: Annotated[
        tuple[str, ...],
        Meta(
            description="of each agent: name of a built-in or an installed one, class, policy or remote; none: each id "
            "is the built-in of that name"
        ),
    ] = ()
    versions: Annotated[
        tuple[str, ...], Meta(description="of each agent where the book was opened, which no stage compares")
    ] = ()
    seats: Annotated[
        tuple[str, ...],
        Meta(description="agents that are not there yet: each takes no part until a control wakes it"),
    ] = ()
    seat_rows: Annotated[int, Meta(description="rows from which on an agent that was woken is weighed")] = 256
    keyed: Annotated[
        bool,
        Meta(description="whether proposals count only where the key of each of their agents signs them"),
    ] = False
    shadows: Annotated[
        tuple[str, ...],
        Meta(description="ids of agents that have accounts of their own, and no part in anything else"),
    ] = ()
    shadow_kinds: Annotated[tuple[str, ...], Meta(description="of each shadow, as kinds")] = ()
    shadow_versions: Annotated[tuple[str, ...], Meta(description="of each shadow, as versions")] = ()
    capital: Annotated[float, Meta(description="currency, fixed: no compounding")] = 1_000_000.0
    lot: Annotated[float, Meta(description="base currency")] = 1e-8
    min_order: Annotated[float, Meta(description="of capital")] = 1e-3
    seed: int = 0
    on_halt: str = "next-day"
    resume_after: Annotated[int, Meta(description='good rows, for on_halt "resume-after"')] = 0
    costs: Costs = msgspec.field(default_factory=Costs)
    limits: RiskLimits = msgspec.field(default_factory=RiskLimits)
    weighing: WeighingConfig = msgspec.field(default_factory=WeighingConfig)

    def __post_init__(self) -> None:
        check(
            self.fills != "venue",
            "fills is 'venue': no stage reads a venue's fills yet, so give paper, or leave it out",
        )
        check(self.fills in FILLS, f"fills is {self.fills!r}: give {', '.join(FILLS)}")
        check(self.closing in CLOSINGS, f"closing is {self.closing!r}: give one of {', '.join(CLOSINGS)}")
        check(
            0 < self.round_timeout <= 3600 * SECOND,
            f"round_timeout is {self.round_timeout}: give ns above 0, up to an hour",
        )
        check(1 <= self.quorum_lag <= 16_384, f"quorum_lag is {self.quorum_lag}: give 1 to 16384 rows")
        check(0 <= self.seed < 2**63, f"seed is {self.seed}: give 0 to 2^63 - 1")
        check(0 <= self.resume_after < 2**62, f"resume-after is {self.resume_after}: give fewer ticks")
        check(self.on_halt in ON_HALT, f"on_halt is {self.on_halt!r}: give one of {', '.join(ON_HALT)}")
        check(
            self.on_halt != "resume-after" or self.resume_after >= 1,
            "resume-after needs a number of ticks, 1 or more",
        )
        check(0 <= self.interval < _MOST_NS, f"interval is {self.interval}: give ns, or 0 for ticks")
        check(0 < self.stale_after < _MOST_NS, f"stale_after is {self.stale_after}: give ns above 0")
        check(0 <= self.most_ahead < _MOST_NS, f"most_ahead is {self.most_ahead}: give ns, 0 or more")
        check(0 < len(self.agents) <= 64, "agents names no agent: give one to 64 of them")
        check(len(set(self.agents)) == len(self.agents), "agents names one agent twice: give each once")
        strangers = [name for name in self.seats if name not in self.agents]
        check(not strangers, f"seats names {', '.join(strangers)}: name agents of the book")
        check(len(set(self.seats)) == len(self.seats), "seats names one agent twice: give each once")
        check(
            len(self.seats) < len(self.agents),
            "seats names every agent: one has to be there from the first row",
        )
        check(0 <= self.seat_rows <= 1 << 20, f"seat_rows is {self.seat_rows}: give 0 to 1048576 rows")
        _check_names("agents", self.agents, self.kinds, self.versions)
        _check_names("shadows", self.shadows, self.shadow_kinds, self.shadow_versions)
        check(len(self.shadows) <= 64, f"shadows names {len(self.shadows)} agents: give 64 at most")
        check(
            len({*self.agents, *self.shadows}) == len(self.agents) + len(self.shadows),
            "shadows names one agent twice, or one of agents: give each another id",
        )
        check(
            not self.weighing.retraining or len(self.agents) <= MOST_TRAINED,
            f"{len(self.agents)} agents are too many to retrain: give {MOST_TRAINED} at most, or retraining off",
        )
        check(1 <= self.capital <= 1e12, f"capital is {self.capital}: give 1 to 1e12")
        check(
            1e-12 <= self.lot <= 1 and abs(1 / self.lot - round(1 / self.lot)) * self.lot <= 1e-9,
            f"lot is {self.lot}: give 1 over a whole number, from 1e-12 to 1",
        )
        check(0 <= self.min_order < 1, f"min_order is {self.min_order}: give a share of capital below 1")

    @property
    def kinds_of_agents(self) -> tuple[str, ...]:
        """The kind of each agent."""
        return self.kinds or self.agents

    @property
    def remote_agents(self) -> tuple[str, ...]:
        """The agents that only write to the proposals topic."""
        kinds = zip(self.agents, self.kinds_of_agents, strict=True)
        return tuple(name for name, kind in kinds if kind == REMOTE)

    @property
    def known_as(self) -> tuple[str, ...]:
        """What the members that were fitted before take each agent for: its kind; of one that is not built in, its id.

        So a rule is weighed the same under its own id wherever it is computed, by a class or in another language.
        """
        return tuple(
            name if kind in FOREIGN else kind
            for name, kind in zip(self.agents, self.kinds_of_agents, strict=True)
        )

    @property
    def kinds_of_shadows(self) -> tuple[str, ...]:
        """The kind of each shadow."""
        return self.shadow_kinds or self.shadows


def _check_names(
    who: str, agents: tuple[str, ...], kinds: tuple[str, ...], versions: tuple[str, ...]
) -> None:
    """Raise ConfigError for ids, kinds or versions that cannot be: no book's settings may hold code or a path."""
    for name in (*agents, *kinds):
        check(is_plain(name), f"{name!r} is no name of an agent or kind: give 1 to 64 letters, digits, _ . -")
    for what, values in (("kinds", kinds), ("versions", versions)):
        check(
            len(values) in (0, len(agents)),
            f"{what} of {who} has {len(values)} entries: give one for each of the {len(agents)}, or none",
        )
    for version in versions:
        check(
            version.isprintable() and len(version) <= LONGEST_VERSION,
            f"versions of {who} has {version[:LONGEST_VERSION]!r}: give at most {LONGEST_VERSION} printable letters",
        )


_ALWAYS = {
    "": "symbol fills closing round_timeout quorum_lag interval stale_after agents capital lot min_order seed on_halt "
    "resume_after costs limits weighing",
    "costs": "fee_bp slippage_bp half_spread_bp delay participation",
    "limits": "max_spread_bp price_collar max_position max_notional max_order_qty max_orders orders_interval "
    "max_turnover daily_loss max_drawdown var_95 volatility_target kelly_fraction confidence_scaling flatten_on_halt",
    "weighing": "max_agent_weight min_diversification_agents weight_temperature no_trade_band prior share_rate "
    "learning_rate meta_training_frequency learner_lag retraining meta_lookback meta_batch_size meta_epochs "
    "cash_expert agent_history_features features",
}
"""The settings of release 0.1.0, which go into a digest even at their defaults. Nothing is ever added here."""

_TOLD = frozenset({"versions", "shadow_versions"})
"""What is recorded for people and decides nothing, so it is in no digest."""


def digest(config: Any) -> str:
    """Return the sha256 of a config in hex: equal for equal settings, whatever order they were given in.

    A setting that release 0.1.0 did not have is left out while it is at its default, so a book keeps its digest when
    a release adds a setting. Hence two rules for developers: the default of a new setting is the behaviour from before
    it existed, and the default of a setting that decides results never changes. Where new books should have another
    value, a preset sets it.
    """
    return hashlib.sha256(msgspec.json.encode(_digested(config, ""), order="sorted")).hexdigest()


def _digested(config: Any, path: str) -> dict[str, Any]:
    """The settings that go into the digest of `config`, which is the part of a TradingConfig named `path`."""
    always, digested = _ALWAYS.get(path, "").split(), {}
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        if field.name in _TOLD:
            continue
        by_factory = field.default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT
        if field.name not in always and value == (field.default_factory() if by_factory else field.default):
            continue
        digested[field.name] = _digested(value, field.name) if isinstance(value, msgspec.Struct) else value
    return digested


def default_stale_after(interval: int) -> int:
    """Return the default of `stale_after` for bars of `interval` ns: the larger of 10 bars and 60 s, in ns."""
    return max(10 * interval, 60 * SECOND)
