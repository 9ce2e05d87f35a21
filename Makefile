# SPDX-License-Identifier: MIT
# A thin wrapper around meson. CI=true turns warnings into errors.

BUILD      ?= build
ASAN       ?= build-asan
CLANG      ?= build-clang
TSAN       ?= build-tsan
FUZZ       ?= build-fuzz
PREFIX     ?= /usr/local
DESTDIR    ?=
FUZZ_TIME  ?= 60
# Only mutations with this text in their name or file.
FILTER     ?=
# Each of the eight targets gets its share, and never 0, which would be for ever.
FUZZ_SHARE  = $(shell expr $(FUZZ_TIME) / 8 + 1)
# Long inputs from the start: a program of one step finds little.
FUZZ_FLAGS  = -max_total_time=$(FUZZ_SHARE) -len_control=0
WERROR     := $(if $(filter true 1,$(CI)),-Dwerror=true)

.PHONY: all build demo check tsan bench fuzz mutate install deps clean

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

tsan: deps
	@[ -f $(TSAN)/build.ninja ] || meson setup $(TSAN) -Db_sanitize=thread -Db_lundef=false >/dev/null
	@ninja -C $(TSAN) --quiet
	@tests/run --tsan $(TSAN)

bench: build
	@bench/run $(BUILD)
	@$(BUILD)/bench/dma

fuzz: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
fuzz: deps
	@[ -f $(FUZZ)/build.ninja ] || CC=clang meson setup $(FUZZ) -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C $(FUZZ) --quiet tests/blocks_fuzz tests/bounce_fuzz tests/command_fuzz \
		tests/dma_fuzz tests/iova_fuzz tests/p2p_fuzz tests/yaml_fuzz tests/model/pt_fuzz
	@cd $(FUZZ) && mkdir -p $(addprefix corpus/,blocks bounce command dma iova p2p pt yaml)
	$(FUZZ)/tests/blocks_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/blocks tests/fuzz/corpus/blocks
	$(FUZZ)/tests/bounce_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/bounce tests/fuzz/corpus/bounce
	$(FUZZ)/tests/command_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/command tests/fuzz/corpus/command
	$(FUZZ)/tests/dma_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/dma tests/fuzz/corpus/dma
	$(FUZZ)/tests/iova_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/iova tests/fuzz/corpus/iova
	$(FUZZ)/tests/p2p_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/p2p tests/fuzz/corpus/p2p
	$(FUZZ)/tests/yaml_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/yaml examples/machines
	$(FUZZ)/tests/model/pt_fuzz $(FUZZ_FLAGS) $(FUZZ)/corpus/pt tests/fuzz/corpus/pt

mutate: deps
	@tools/mutate -k '$(FILTER)'

install: build
	@meson configure $(BUILD) --prefix=$(PREFIX) && ninja -C $(BUILD) --quiet
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet

deps:
	@scripts/deps

clean:
	rm -rf $(BUILD) $(ASAN) $(CLANG) $(TSAN) $(FUZZ) build-peer
