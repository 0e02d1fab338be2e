# Freehold is built by GNU make alone. `make help` lists the targets.
#
# Variants live in their own folders: `make SAN=address,undefined test`, `make SAN=thread test`,
# `make CC=clang`. Sources are found by wildcard: a new file needs no edit here.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

CC ?= gcc
CXX ?= g++
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
comma := ,
SAN ?=
B := build
ifneq ($(SAN),)
B := build/san-$(subst $(comma),-,$(SAN))
endif
ifneq ($(CC),gcc)
B := $(B)-$(notdir $(CC))
endif

WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wpointer-arith -Wcast-qual -Wwrite-strings \
        -Wundef -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Werror
CWARN := -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
OPT ?= -O2
CPPFLAGS := -Isrc -I$(B)/gen -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -include kernel/base/banned.h
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -fno-common \
          -fno-strict-aliasing
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifneq ($(SAN),)
OPT := -O1 -fno-omit-frame-pointer
SANFLAGS := -fsanitize=$(SAN)
CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS)) -DFREEHOLD_CHECKED=1
ifneq ($(findstring undefined,$(SAN)),)
SANFLAGS += -fno-sanitize-recover=all
endif
endif
CFLAGS := -std=c17 -g $(OPT) $(WARN) $(CWARN) $(HARDEN) $(SANFLAGS)
CXXFLAGS := -std=c++17 -g $(OPT) -fno-exceptions -fno-rtti $(HARDEN) $(SANFLAGS)
LDLIBS := -lmicrohttpd -lcurl -lwslay -lsqlite3 -lpq -lhiredis -lsecp256k1 -lcrypto -linih -lsimdjson -lz -lstdc++ -lm -lpthread
LDFLAGS := $(LDHARDEN) $(SANFLAGS)

SRC_C := $(sort $(shell find src -name '*.c'))
SRC_CXX := $(sort $(shell find src -name '*.cc'))
OBJ := $(SRC_C:src/%.c=$(B)/obj/%.o) $(SRC_CXX:src/%.cc=$(B)/obj/%.o)
LIBOBJ := $(filter-out $(B)/obj/app/main.o,$(OBJ))
LIB := $(B)/libfreehold.a

.PHONY: all help
all: $(B)/freehold

help:
	@sed -n 's/^## //p' Makefile

## make demo        install what is missing, build, run the leasing lifecycle end to end
## make test        everything headless: unit, vectors, differential, contracts, API, crash, reorg
## make unit-postgres  the unit tests of what is stored, on a PostgreSQL of their own
## make soak-ledger random sequences on the ledger for long, on both databases
## make api-postgres   the black-box tests on one; make api runs them on SQLite
## make sim         follower and relay in a made-up world: SEEDS=200, or SEED=n TRACE=1
## make soak-sim    the same for long, SEEDS=5000
## make soak-jobs   100,000 jobs while processes and the database are killed: each done once
## make bench-jobs  the job queue beside BullMQ, pg-boss and graphile-worker
## make bench-index a chain's events into rows, beside Ponder and a viem loop
## make run         the daemon on a development chain (Ctrl-C stops both)
## make check       format, layers, headers, banned calls, generated files, clang-tidy, cppcheck
## make bench       figures beside the peers (docs/performance.md)
## make bench-ledger   transfers a second on both databases, beside a two-column table
## make bench-relay    transactions a second beside ethers' and viem's nonce managers
## make bench-x402     payments a second beside the official packages, on one chain
## make bench-live     from a block's announcement to its committed events
## make bench-http     the two that follow: what the server does beside answering requests
## make bench-documents  memory and time of large uploads at once
## make bench-stream   from a change to 5,000 subscribers of it
## make bench-store    rows a second through the statement layer, beside libpq and SQLite
## make bench-channels  vouchers a second of payment channels, verified and durable
## make bench-engine   the matching engine on its flows, with balances, its journal, its rows
## make soak-engine    the engine and its journal under random commands and faults, for long
## make fuzz        every decoder of outside bytes, FUZZ_SECONDS=30 each
## make contracts   compile the Solidity sources again
## make gen         regenerate bindings, statements and references
## make setup       install Debian and npm packages
## Variants: SAN=address,undefined  SAN=thread  CC=clang-14

$(B)/freehold: $(B)/obj/app/main.o $(LIB)
	@echo "  LD      $@"
	@$(CC) $(LDFLAGS) -o $@ $(B)/obj/app/main.o $(LIB) $(LDLIBS)

$(LIB): $(LIBOBJ)
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $(LIBOBJ)

$(B)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: src/%.cc
	@mkdir -p $(@D)
	@echo "  CXX     $<"
	@$(CXX) -Isrc $(CXXFLAGS) -MMD -MP -c -o $@ $<

# --- unit tests: one cmocka program a file, mirroring src -------------------------------------
TEST_SRC := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
T ?=
ifneq ($(T),)
TEST_SRC := $(filter $(T:%=tests/unit/%.c),$(TEST_SRC))
endif
TEST_BIN := $(TEST_SRC:tests/unit/%.c=$(B)/unit/%)

$(B)/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  TEST    $<"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -Wno-unused-parameter -MMD -MP -MF $@.d -o $@ $< $(LIB) $(LDFLAGS) $(LDLIBS) -lcmocka -lgmp

.PHONY: unit-build unit
unit-build: $(TEST_BIN)
unit: $(TEST_BIN)
	@tools/run-units $(TEST_BIN)

# What stands on the database, on a server of its own instead of SQLite.
PG_TESTS := kernel/store/% kernel/chain/test_chain_prune kernel/chain/test_chain_expect kernel/backup/% kernel/audit/% kernel/inbox/% kernel/ledger/% kernel/jobs/% kernel/relay/% kernel/webhooks/% kernel/x402/test_x402_payments kernel/x402/test_x402_channels kernel/http/test_idempotency kernel/auth/test_auth_session domain/leasing/% domain/channels/% domain/trading/projections/% domain/trading/journal/test_journal_table domain/trading/venue/%
PG_TEST_BIN := $(filter $(PG_TESTS:%=$(B)/unit/%),$(TEST_BIN))
# Those that stop the server, or count what it does, run while nobody else uses it.
PG_ALONE = $(patsubst tests/unit/%.c,$(B)/unit/%,$(shell grep -lE '/server\.h"|"--do"' $(TEST_SRC)))
.PHONY: unit-postgres
unit-postgres: $(PG_TEST_BIN)
	@TEST_DATABASE=postgres tools/with-postgres tools/run-units $(filter-out $(PG_ALONE),$(PG_TEST_BIN)) \
	    --alone $(filter $(PG_ALONE),$(PG_TEST_BIN))

# Random sequences for long; SOAK_SEEDS and SOAK_ROUNDS say how long.
.PHONY: soak-ledger
soak-ledger:
	@$(MAKE) --no-print-directory unit-build T='kernel/ledger/test_ledger_random kernel/ledger/test_ledger_trading'
	@B='$(B)' tools/soak-ledger

# The black-box tests; API=tests/api/x.test.mjs runs one file.
API ?=
.PHONY: api api-postgres
api: all
	@BIN='$(B)/freehold' tools/run-api sqlite $(API)
api-postgres: all
	@BIN='$(B)/freehold' tools/run-api postgresql $(API)

# --- jobs under kill -9, on a server that is killed too; tests/soak/jobs.c names the settings ----
$(B)/soak/%: tests/soak/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  SOAK    $<"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIB) $(LDFLAGS) $(LDLIBS)

.PHONY: soak-jobs
soak-jobs: $(B)/soak/jobs
	@SOAK_RESTART='tools/with-postgres --do restart' \
		tools/with-postgres sh -c 'SOAK_URL=$$TEST_POSTGRES_URL exec $(B)/soak/jobs'

# --- follower and relay in a world that is made up; tests/sim/sim.h tells all about it -----------
SIM_OBJ := $(patsubst tests/sim/%.c,$(B)/sim/%.o,$(sort $(wildcard tests/sim/*.c)))
SEEDS ?= 200
SEED ?=
$(B)/sim/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	@echo "  SIM     $<"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/sim: $(SIM_OBJ) $(LIB)
	@$(CC) $(LDFLAGS) -o $@ $(SIM_OBJ) $(LIB) $(LDLIBS)

.PHONY: sim soak-sim
sim: $(B)/sim/sim
	@$(B)/sim/sim $(if $(SEED),$(SEED) 1,1 $(SEEDS))

# Other seeds each time, unless SEED says with which to begin.
soak-sim: $(B)/sim/sim
	@$(B)/sim/sim $(or $(SEED),$$(date +%s)00000) $(SEEDS) $$(nproc)

# One seed, killed at each of its points in turn.
.PHONY: sweep-sim
sweep-sim: $(B)/sim/sim
	@$(B)/sim/sim sweep $(or $(SEED),1) $$(nproc)

# --- what users call ---------------------------------------------------------------------------
SETUP := tools/setup

.PHONY: setup demo run test check bench fuzz contracts gen diff
setup:
	@$(SETUP) all

demo:
	@$(SETUP) build
	@$(MAKE) --no-print-directory all
	@$(B)/freehold demo complete

run: all
	@$(B)/freehold serve

test:
	@B='$(B)' SAN='$(SAN)' CC='$(CC)' CXX='$(CXX)' MAKE='$(MAKE)' tools/run-tests

check:
	@MAKE='$(MAKE)' tools/run-checks

bench: all
	@bench/run

# RECORD=--record writes the section of docs/performance.md.
RECORD ?=
.PHONY: bench-jobs
bench-jobs:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/jobs
	@bench/run --peers
	@tools/with-postgres node bench/jobs.mjs $(RECORD)

.PHONY: bench-index
bench-index:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/index
	@bench/run --ponder
	@tools/with-postgres node bench/index.mjs $(RECORD)

.PHONY: bench-ledger
bench-ledger:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/ledger
	@tools/with-postgres node bench/ledger.mjs $(RECORD)

.PHONY: bench-store
bench-store:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/store
	@tools/with-postgres node bench/store.mjs $(RECORD)

.PHONY: bench-channels
bench-channels:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/channels
	@tools/with-postgres node bench/channels.mjs $(RECORD)

.PHONY: bench-relay
bench-relay: all
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/relay
	@tools/with-postgres node bench/relay.mjs $(RECORD)

# Memory and time of eight uploads of 50 MiB at once.
.PHONY: bench-documents
bench-documents: all
	@node bench/documents.mjs $(RECORD)

.PHONY: bench-http
bench-http: bench-documents bench-stream

.PHONY: bench-x402
bench-x402: all
	@bench/run --peers
	@tools/with-postgres node bench/x402.mjs $(RECORD)

# From a block's announcement to its committed events, on both databases.
.PHONY: bench-live
bench-live:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/live
	@node bench/live.mjs $(RECORD)
	@TEST_DATABASE=postgres tools/with-postgres node bench/live.mjs $(RECORD)

.PHONY: bench-stream
bench-stream:
	@$(MAKE) --no-print-directory -f bench/bench.mk $(B)/bench/stream
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(B)/bench/stream "sqlite:$$dir/stream.db" 5000 30

.PHONY: bench-engine soak-engine
bench-engine:
	@bench/run-engine $(RECORD)

ENGINE_TEST := $(B)/unit/domain/trading
soak-engine: all unit-build
	@SEEDS=400 tests/orderflow/run.sh --long $(B)/freehold
	@ENGINE_SEEDS=300 tools/run-units $(ENGINE_TEST)/engine/test_engine_random
	@JOURNAL_POINTS=1000 tools/run-units $(ENGINE_TEST)/journal/test_journal $(ENGINE_TEST)/journal/test_journal_table
	@TEST_DATABASE=postgres JOURNAL_POINTS=100 tools/with-postgres \
		tools/run-units $(ENGINE_TEST)/journal/test_journal_table
	@PROJECTIONS_LIVES=400 tools/run-units $(ENGINE_TEST)/projections/test_projections
	@TEST_DATABASE=postgres PROJECTIONS_LIVES=400 tools/with-postgres \
		tools/run-units $(ENGINE_TEST)/projections/test_projections

FUZZ_SECONDS ?= 30
fuzz:
	@tools/run-fuzz $(FUZZ_SECONDS)

contracts:
	@node contracts/build.mjs
	@$(MAKE) --no-print-directory gen

gen:
	@tools/gen-abi
	@tools/gen-sql
	@$(MAKE) --no-print-directory all
	@tools/gen-docs

# --- differential tests against ethers and V8, contracts and API tests: called by tools/run-tests -
DIFF_BIN := $(B)/diff/canonical_driver $(B)/diff/evm_driver $(B)/diff/proof_driver
$(B)/diff/%: tests/diff/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  DIFF    $<"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -Wno-unused-parameter -MMD -MP -MF $@.d -o $@ $< $(LIB) $(LDFLAGS) $(LDLIBS)

diff: $(DIFF_BIN)

.PHONY: clean
clean:
	@rm -rf build build-*

-include $(OBJ:.o=.d) $(SIM_OBJ:.o=.d) $(B)/soak/jobs.d $(DIFF_BIN:=.d) $(TEST_BIN:=.d)
