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
LDLIBS := -lmicrohttpd -lcurl -lsqlite3 -lsecp256k1 -lcrypto -linih -lsimdjson -lz -lstdc++ -lm -lpthread
LDFLAGS := $(LDHARDEN) $(SANFLAGS)

SRC_C := $(sort $(shell find src -name '*.c'))
SRC_CXX := $(sort $(shell find src -name '*.cc'))
OBJ := $(SRC_C:src/%.c=$(B)/obj/%.o) $(SRC_CXX:src/%.cc=$(B)/obj/%.o)
LIBOBJ := $(filter-out $(B)/obj/app/main.o,$(OBJ))
LIB := $(B)/libfreehold.a

.PHONY: all
all: $(B)/freehold

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

-include $(OBJ:.o=.d) $(TEST_BIN:=.d)
