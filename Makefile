# SPDX-License-Identifier: MIT
# A thin wrapper around meson. CI=true turns warnings into errors.

BUILD      ?= build
ASAN       ?= build-asan
CLANG      ?= build-clang
FUZZ       ?= build-fuzz
PREFIX     ?= /usr/local
DESTDIR    ?=
FUZZ_TIME  ?= 60
WERROR     := $(if $(filter true 1,$(CI)),-Dwerror=true)

.PHONY: all build demo check bench fuzz install deps clean

all: build

build: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(PREFIX) $(WERROR) >/dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 1; }

demo: build
	@scripts/demo $(BUILD)

check: build
	@[ -f $(ASAN)/build.ninja ] || meson setup $(ASAN) $(WERROR) -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C $(ASAN) --quiet
	@[ -f $(CLANG)/build.ninja ] || CC=clang meson setup $(CLANG) -Dwerror=true -Dbuildtype=plain >/dev/null
	@ninja -C $(CLANG) --quiet
	@tests/run $(BUILD) $(ASAN)

bench: build
	@bench/run $(BUILD)

fuzz: deps
	@[ -f $(FUZZ)/build.ninja ] || CC=clang meson setup $(FUZZ) -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C $(FUZZ) --quiet tests/command_fuzz
	@mkdir -p $(FUZZ)/corpus
	$(FUZZ)/tests/command_fuzz -max_total_time=$(FUZZ_TIME) $(FUZZ)/corpus tests/fuzz/corpus/command

install: build
	@meson configure $(BUILD) --prefix=$(PREFIX) && ninja -C $(BUILD) --quiet
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet

deps:
	@scripts/deps

clean:
	rm -rf $(BUILD) $(ASAN) $(CLANG) $(FUZZ) build-peer
