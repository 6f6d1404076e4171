# The targets a newcomer and CI use. Each installs what it needs, or says loudly what it skips.

CARGO ?= cargo
ORDERS ?= data/orders.csv.gz
ECHO ?= 127.0.0.1:9001
SEEDS ?= 10000
FIRST ?= 0
SPAN ?= 20
export DRAFTWIRE_CACHE ?= $(HOME)/.cache/draftwire

.DEFAULT_GOAL := help
.PHONY: help demo replay test lint conformance simulate torture faults fuzz bench bench-full bench-counts build clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## An order pad on two devices, in your browser (LISTEN=0.0.0.0:3000 for real phones)
	@CARGO="$(CARGO)" LISTEN="$(LISTEN)" scripts/demo.sh

replay: ## Real orders on every device, checked; then two lines to try (ONCE=1 ends after the verdict)
	@CARGO="$(CARGO)" ORDERS="$(ORDERS)" ONCE="$(ONCE)" scripts/replay.sh

test: lint ## Everything, from nothing
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked
	DRAFTWIRE_BIN=target/debug/draftwire scripts/test-outside.sh
	DRAFTWIRE_BIN=target/debug/draftwire scripts/test-sdk.sh
	DRAFTWIRE_BIN=target/debug/draftwire scripts/test-examples.sh
	DRAFTWIRE_DEMO_BIN=target/debug/draftwire-demo scripts/test-demo.sh
	BIN=target/debug/draftwire ORDERS="$(ORDERS)" LIMIT=150 ONCE=1 scripts/replay.sh

lint: ## Formatting, lints, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

conformance: ## The official Autobahn suite (needs a Python 2.7; says so where there is none)
	$(CARGO) build --release --locked -p draftwire
	@ECHO="$(ECHO)" scripts/conformance/against-draftwire.sh

simulate: ## The whole server under a deterministic scheduler (SEEDS=10000 FIRST=0; TRACE=seed shows one)
	$(CARGO) build --profile checked --locked -p draftwire-torture --bin simulate
	target/checked/simulate $(if $(TRACE),--trace $(TRACE),$(SEEDS) $(FIRST))

torture: ## Real processes, and all that can go wrong, 20 seconds each (SPAN=20 NEMESIS="kill reset")
	$(CARGO) build --release --locked -p draftwire
	$(CARGO) build --profile checked --locked -p draftwire-torture --bin torture
	target/checked/torture --server target/release/draftwire --seconds $(SPAN) $(NEMESIS)

faults: ## Faults planted in a copy of the tree, each of which the simulation has to catch
	$(CARGO) run --locked -p draftwire-torture --bin faults -- $(FAULT)

fuzz: ## Arbitrary bytes wherever a stranger's bytes are read, 60 seconds each (TIME=60 TARGET=frames)
	@CARGO="$(CARGO)" TIME="$(TIME)" TARGET="$(TARGET)" scripts/fuzz.sh

bench: ## The benchmark against its peers in ten minutes; figures go to docs/benchmarks.md
	@scripts/bench.sh --rounds 3 --write

bench-full: ## The same with more rounds, as many connections as the machine opens, and the curves
	@scripts/bench.sh --rounds 5 --curves --write

bench-counts: ## Instructions of what everything is made of, against bench/counts.txt (UPDATE=1 writes it)
	@UPDATE="$(UPDATE)" scripts/bench-counts.sh

build: ## The release binary: target/release/draftwire
	$(CARGO) build --release --locked -p draftwire

clean: ## Remove what was built
	$(CARGO) clean
