# Everything runs in .venv, which the first target makes. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
SEED ?= 1

.PHONY: demo test lint warm-up slow bench bench-kafka soak soak-live chaos mutants clean

$(BIN)/windvane: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/dev: $(BIN)/windvane
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

## demo: simulate a market, run the whole pipeline on it, write a report; without retraining, which needs torch
demo: $(BIN)/windvane
	$(BIN)/windvane simulate --market standard --ticks 200000 --seed 7 --out $(DEMO)/market.parquet
	$(BIN)/windvane backtest $(DEMO)/market.parquet --book demo --out $(DEMO) --retraining off

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

warm-up: $(VENV)/dev
	$(BIN)/python -m windvane.infra.runs.warmup

## test: every check that CI runs; kernels are compiled on one core while the other reads the sources
test: $(VENV)/dev
	$(MAKE) --jobs=2 lint warm-up
	$(BIN)/pytest -n 4 --dist loadgroup -m 'not slow'

## slow: the long suites, about half an hour
slow: $(VENV)/dev
	$(BIN)/pytest -m slow

.PHONY: docs
$(VENV)/docs: $(BIN)/windvane
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

## docs: the pages and the reference as a site in site/; a link or a name that leads nowhere is an error
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

## bench: speed, latency, memory and start-up, printed as a table
bench: $(VENV)/dev
	$(BIN)/python -m windvane.infra.dev.bench

.PHONY: bench-learning
## bench-learning: speed of environments, of training and of a decision; PEER=PYTHON of a venv with Stable-Baselines3 compares
bench-learning: $(VENV)/dev
	$(BIN)/python -m windvane.infra.dev.bench_learning
	$(if $(PEER),$(BIN)/python tests/agents/learned/cartpole_speed.py $(PEER))

## bench-kafka: throughput, one hop beside others (QUIX=PYTHON of a venv that has quixstreams) and latency on a real broker
bench-kafka: $(VENV)/dev
	$(BIN)/python tests/bench_kafka throughput
	$(BIN)/python tests/bench_kafka hop $(if $(QUIX),--quix $(QUIX))
	$(BIN)/python tests/bench_kafka latency

## soak: 30 minutes at 500 ticks/s, and whether memory or lag grow
soak: $(VENV)/dev
	$(BIN)/python tests/bench_kafka soak --binding aiokafka --minutes $(or $(MINUTES),30)

## soak-live: live sessions on captured markets: two hours at 10x with faults, a quarter of an hour; then what one costs
soak-live: $(VENV)/dev
	PYTHONPATH=tests $(BIN)/python -m soak_live faults --speed $(or $(SPEED),10)
	PYTHONPATH=tests $(BIN)/python -m soak_live processor

## chaos: kill all that can be killed on a real Kafka (KAFKA_HOME) and compare, a quarter of an hour; SEED chooses the kills
chaos: $(VENV)/dev
	PYTHONPATH=tests:tests/kafka $(BIN)/python -m chaos --seed $(SEED)

## mutants: faults put into a copy of the code one by one, and whether a test notices each; ONLY=WORD chooses some
mutants: $(VENV)/dev
	PYTHONPATH=tests $(BIN)/python -m mutants $(ONLY)

clean:
	rm -rf $(VENV) runs site
