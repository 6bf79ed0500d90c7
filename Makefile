# The commands of this repository. `make` alone lists them.
SHELL = /bin/sh
.DEFAULT_GOAL = help
.PHONY: help build demo test bench faults fuzz dist lint fmt doc clean tools testtools

CARGO = cargo
# Words for the benchmark, for example: make bench BENCH='--quick --json bench.json'
BENCH =
# Words for the faults, for example: make faults FAULTS='--quick --case kill'
FAULTS =
# Seconds for each fuzz target, and which ones
SECONDS = 60
TARGETS = $(notdir $(basename $(filter-out %/edit.rs,$(wildcard fuzz/targets/*.rs))))

help: ## list these commands
	@sed -n 's/^\([a-z][a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

tools: ## install what build and tests need (as root), or say what is missing
	@tests/install-tools

testtools:
	@tests/install-tools test

build: ## build every program into target/debug
	$(CARGO) build --workspace --locked

demo: tools build ## show the main job in ./demo: publish, sync, run, change, tamper
	@tests/demo.sh

test: testtools build lint ## install what tests need, build, lint, run every test
	@tests/run-tests

bench: ## measure speed and bytes against rsync; words in BENCH='...'
	@tests/install-tools
	$(CARGO) build --workspace --bins --examples --release --locked
	@target/release/bench $(BENCH)

faults: ## make everything go wrong and count how it ends; words in FAULTS='...'
	@tests/install-tools
	$(CARGO) build --workspace --bins --release --locked
	@target/release/faults $(FAULTS)

fuzz: ## fuzz every reader of foreign bytes; SECONDS=60 TARGETS='...' (needs cargo-fuzz)
	@for target in $(TARGETS); do \
	  mkdir -p fuzz/corpus/$$target fuzz/data/$$target && \
	  RUSTC_BOOTSTRAP=1 CFLAGS=-fno-sanitize-address-use-after-scope \
	  $(CARGO) fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/data/$$target -- \
	    -max_total_time=$(SECONDS) -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 || exit 1; \
	done

dist: ## build what is shipped: .deb and .rpm of ldi and codesync-server in target/packages
	LIBZ_SYS_STATIC=1 $(CARGO) build --profile dist --locked --bins -p codesync -p ldi-daemon -p ssh_server \
	  --features codesync/vendored,ldi-daemon/vendored
	@dist/package

lint: ## check formatting, clippy, shell scripts, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	  $(CARGO) fetch --locked && $(CARGO) deny --offline --locked check bans licenses sources; \
	else \
	  echo 'cargo-deny is not installed: its checks are left out'; \
	fi

fmt: ## format the Rust code
	$(CARGO) fmt --all

doc: ## build the API documentation into target/doc
	$(CARGO) doc --workspace --no-deps --locked

clean: ## remove target and demo
	$(CARGO) clean
	rm -rf demo
