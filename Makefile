# SPDX-License-Identifier: Apache-2.0
#
# Everything that is built lies in $(BUILD), nothing is written elsewhere.
# Sources are found by pattern, here and in ./config; there is no list.

SHELL         := /bin/bash
.SHELLFLAGS   := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS     += --no-builtin-rules

BUILD         ?= build
NGINX_SRC     ?= /usr/share/nginx/src
CC             = gcc
CLANG         ?= clang
PYTHON        := /usr/bin/python3
JOBS          ?= $(shell nproc)
FUZZ_SECONDS  ?= 60
PYTEST_ARGS   ?=
DESTDIR       ?=
V             ?= 0

B             := $(abspath $(BUILD))
MODULE_NAME   := ngx_http_s3_cache_module

CTL_C         := $(wildcard src/ctl/*.c)
SRC_C         := $(filter-out $(CTL_C),$(wildcard src/*/*.c))
SRC_H         := $(filter-out src/ctl/%,$(wildcard src/*/*.h))
GLUE          := $(wildcard ngx_module/*.c ngx_module/*.h ngx_module/dashboard/*)
UNIT_C        := $(wildcard t/unit/*/*_test.c)
UNIT_SHARED_C := $(filter-out %_test.c,$(wildcard t/unit/*/*.c))
FUZZ_C        := $(wildcard t/fuzz/*_fuzz.c t/fuzz/*/*_fuzz.c)
MICRO_C       := $(wildcard bench/micro/*/*_bench.c)
SIM           := bench/sim/replay

.DEFAULT_GOAL := build

.PHONY: help
help:
	@echo 'Targets:'
	@echo '  deps        install the Debian packages that are missing (root or sudo)'
	@echo '  build       the module: $(BUILD)/$(MODULE_NAME).so; and $(BUILD)/s3cachectl'
	@echo '  install     copy it to $$(DESTDIR)$(MODULES_DIR), s3cachectl to $$(PREFIX)'
	@echo '  deb         a Debian package for this Debian: $(BUILD)/deb/*.deb'
	@echo '  deb-test    packages built, used and removed on fresh Debians, and the'
	@echo '              image of the container: DEB_SUITES="$(DEB_SUITES)"; root'
	@echo '  test        deps, build, unit, fuzz-smoke, pytest: what CI runs'
	@echo '  unit        unit tests of src/ under ASan and UBSan'
	@echo '  fuzz        every fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)) each'
	@echo '  fuzz-smoke  the same, 3 seconds each'
	@echo '  pytest      tests through nginx; PYTEST_ARGS="-k storm" picks some'
	@echo '  asan        nginx and the module with ASan, the module with UBSan too'
	@echo '  test-asan   pytest with that nginx'
	@echo '  nginx       the nginx binary of NGINX_SRC'
	@echo '  demo        a Ceph RGW, sample data and nginx, until Ctrl-C (DEMO_ONCE=1:'
	@echo '              ends by itself); ORIGIN=https://... ACCESS_KEY=... SECRET_KEY=...'
	@echo '              [REGION=...] [BUCKET=...] puts it before another S3'
	@echo '  bench       measurements; see docs/benchmarks.md'
	@echo '  replay      hit ratios of both policies over generated traces'
	@echo '  clean       remove $(BUILD)'
	@echo 'Variables: BUILD, NGINX_SRC (an unpacked nginx tree, $(NGINX_SRC)),'
	@echo '  CC, CLANG, JOBS, V=1 (show compiler output), DESTDIR, MODULES_DIR, PREFIX'

# --- packages -------------------------------------------------------------

DEPS_BUILD := gcc libc6-dev make nginx nginx-dev dpkg-dev libssl-dev \
              libpcre2-dev zlib1g-dev libxxhash-dev liburing-dev \
              libhiredis-dev libcurl4-openssl-dev libjansson-dev
DEPS_TEST  := libcmocka-dev clang libclang-rt-dev|libclang-rt-14-dev patch \
              xz-utils openssl procps \
              ca-certificates curl awscli s3cmd python3-pytest \
              python3-pytest-xdist python3-boto3 python3-h2 rclone \
              redis-server redis-sentinel iproute2 mandoc \
              chromium chromium-driver python3-selenium \
              ceph-mon ceph-osd radosgw ceph-common \
              lintian python3-yaml python3-kubernetes
DEPS_DEB   := build-essential debhelper
DEPS_ROOTS := debootstrap buildah
DEPS_BENCH := wrk varnish valgrind fio
DEPS       := $(DEPS_BUILD) $(DEPS_TEST) $(DEPS_DEB)

# $(call install_deps,packages): what is missing; of "a|b" either will do
define install_deps
have=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' 2>/dev/null \
        | sed -n 's/^installed //p'); \
missing=(); \
for p in $(foreach p,$(1),'$(p)'); do \
    grep -qxE "$${p//[+.]/.}" <<<"$$have" || missing+=("$${p%%|*}"); \
done; \
if (($${#missing[@]})); then \
    root=(env DEBIAN_FRONTEND=noninteractive); \
    ((EUID == 0)) || root=(sudo "$${root[@]}"); \
    get=("$${root[@]}" apt-get -y -q -o Dpkg::Use-Pty=0); \
    echo "installing: $${missing[*]}"; \
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null \
        || "$${get[@]}" update; \
    "$${get[@]}" install --no-install-recommends "$${missing[@]}" \
    || { "$${get[@]}" update; \
         "$${get[@]}" install --no-install-recommends "$${missing[@]}"; }; \
fi
endef

.PHONY: deps deps-build deps-bench
deps:
	@$(call install_deps,$(DEPS))
deps-build:
	@$(call install_deps,$(DEPS_BUILD))
deps-bench:
	@$(call install_deps,$(DEPS) $(DEPS_BENCH))

# --- nginx and the module ---------------------------------------------------
#
# A flavour is a folder in $(BUILD): objs/ as nginx's configure makes it, and
# the results beside it. Debian's nginx-dev is built from in place; any other
# tree is copied first, because upstream's configure writes into it. nginx-dev
# has headers only, so nginx itself is built from Debian's source package.

ifeq ($(NGINX_SRC),/usr/share/nginx/src)
FLAVOUR       := module
FLAVOUR_ASAN  := asan
NGINX_TREE    := $(NGINX_SRC)
SUITE         := $(shell . /etc/os-release && echo "$${VERSION_CODENAME:-sid}")
ASAN_TREE     := $(B)/source/$(SUITE)
else
NGINX_VERSION := $(shell sed -n 's/.*define NGINX_VERSION *"\(.*\)"/\1/p' \
                     '$(NGINX_SRC)/src/core/nginx.h')
ifeq ($(NGINX_VERSION),)
$(error NGINX_SRC=$(NGINX_SRC) is no nginx source tree)
endif
FLAVOUR       := nginx-$(NGINX_VERSION)
FLAVOUR_ASAN  := asan-$(NGINX_VERSION)
NGINX_TREE    := $(B)/$(FLAVOUR)/tree
ASAN_TREE     := $(NGINX_TREE)
endif

# For a tree that does not bring Debian's conf_flags.
NGINX_FLAGS   ?= --with-compat --with-debug --with-threads --with-pcre-jit \
                 --with-http_ssl_module --with-http_v2_module \
                 --with-http_stub_status_module --with-http_realip_module \
                 --with-http_auth_request_module --with-http_slice_module \
                 $$([ ! -d src/http/v3 ] || echo --with-http_v3_module)
NGINX_CFLAGS  ?= -O2 -g -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2
NGINX_LDFLAGS ?= -fPIC -Wl,-z,relro -Wl,-z,now
ASAN_CFLAGS   ?= -O1 -g -fPIC -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1
PREFIX        ?= /usr
MODULES_DIR   ?= $(shell sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p' \
                     '$(NGINX_SRC)/conf_flags' 2>/dev/null)

# Ends a recipe line: what it printed goes to the file $(1), whose time changes
# only if its content does.
if_changed = >$(1).new; \
    if cmp -s $(1).new $(1); then rm $(1).new; else mv $(1).new $(1); fi

# $(call quietly,title,command): output is shown on failure, or with V=1.
ifeq ($(V),0)
quietly = @echo '  $(1)'; mkdir -p $(@D); \
    ($(2)) >$@.log 2>&1 || { cat $@.log; echo 'failed: $(1)' >&2; exit 1; }
else
quietly = mkdir -p $(@D); $(2)
endif

$(B)/source/%/configure:
	@echo '  fetch the source of nginx in Debian $*'
	@$(PYTHON) t/lib/debian.py source $* $(@D)

$(B)/nginx-%/from: FORCE
	@mkdir -p $(@D); echo '$(abspath $(NGINX_SRC))' $(call if_changed,$@)

$(B)/nginx-%/tree/configure: $(NGINX_SRC)/configure $(B)/nginx-%/from
	@rm -rf $(@D) && mkdir -p $(@D) && cp -a '$(NGINX_SRC)/.' $(@D)/ && touch $@

# Sources come and go: that, and not their content, asks for a new configure.
.PHONY: FORCE
FORCE:
$(B)/sources: FORCE
	@mkdir -p $(@D); echo $(SRC_C) $(SRC_H) $(GLUE) $(call if_changed,$@)

# $(call flavour,name,tree,cflags,sanitizer,more sanitizers of the module)
define flavour
$(B)/$(1)/flags: FORCE
	@mkdir -p $$(@D); echo '$(CC) $(3) $(4) $(5) $$(NGINX_LDFLAGS)' \
	    $$(call if_changed,$$@)

$(B)/$(1)/objs/Makefile: $(2)/configure config $(B)/sources $(B)/$(1)/flags
	$$(call quietly,configure $(1),cd $(2) \
	    && NGX_CONF_FLAGS=($$(NGINX_FLAGS)) \
	    && { [ ! -f conf_flags ] || . ./conf_flags; } \
	    && ./configure "$$$${NGX_CONF_FLAGS[@]}" --with-cc='$$(CC)' \
	        --with-cc-opt='$(3) $(4)' --with-ld-opt='$$(NGINX_LDFLAGS) $(4)' \
	        --add-dynamic-module=$(CURDIR) --builddir=$(B)/$(1)/objs)
	@touch $$@

$(B)/$(1)/$(MODULE_NAME).so: $(B)/$(1)/objs/Makefile $(SRC_C) $(SRC_H) \
                             $(GLUE) ngx_module/exports.map
	$$(call quietly,build $(1)/$(MODULE_NAME).so,$$(nginx_make) -C $(2) \
	    -f $(B)/$(1)/objs/Makefile modules CC='$$(CC) $(5)')
	@cp $$(@D)/objs/$$(@F) $$@.new && mv $$@.new $$@

$(B)/$(1)/nginx: $(B)/$(1)/objs/Makefile
	$$(call quietly,build $(1)/nginx,$$(nginx_make) -C $(2) \
	    -f $(B)/$(1)/objs/Makefile binary)
	@cp $$(@D)/objs/$$(@F) $$@.new && mv $$@.new $$@
endef

nginx_make = MAKEFLAGS= $(MAKE) --no-print-directory -j$(JOBS) \
             $(if $(filter 0,$(V)),-s)

$(eval $(call flavour,$(FLAVOUR),$(NGINX_TREE),$(NGINX_CFLAGS)))
$(eval $(call flavour,$(FLAVOUR_ASAN),$(ASAN_TREE),$(ASAN_CFLAGS),-fsanitize=address,-fsanitize=undefined))

.PHONY: build nginx asan install
ifeq ($(FLAVOUR),module)
MODULE_SO := $(B)/$(MODULE_NAME).so
$(MODULE_SO): $(B)/module/$(MODULE_NAME).so
	@cp $< $@.new && mv $@.new $@
else
MODULE_SO := $(B)/$(FLAVOUR)/$(MODULE_NAME).so
endif

build: $(MODULE_SO) $(if $(CTL_C),$(B)/s3cachectl)
ifeq ($(FLAVOUR),module)
nginx: $(ASAN_TREE)/configure
	@$(MAKE) --no-print-directory nginx NGINX_SRC=$(ASAN_TREE)
else
nginx: $(B)/$(FLAVOUR)/nginx
endif
asan: $(B)/$(FLAVOUR_ASAN)/nginx $(B)/$(FLAVOUR_ASAN)/$(MODULE_NAME).so

install: build
	@[ -n '$(MODULES_DIR)' ] || { echo 'set MODULES_DIR' >&2; exit 1; }
	install -d '$(DESTDIR)$(MODULES_DIR)'
	install -m 644 $(MODULE_SO) '$(DESTDIR)$(MODULES_DIR)/'
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions'
	install -m 755 $(B)/s3cachectl '$(DESTDIR)$(PREFIX)/bin/'
	install -m 644 docs/s3cachectl.1 '$(DESTDIR)$(PREFIX)/share/man/man1/'
	install -m 644 src/ctl/s3cachectl.bash \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/s3cachectl'

# --- packages of it -----------------------------------------------------------
#
# debian/ is conf-examples/debian, put into a copy of what a package is made of. In
# that copy objects stay from one time to the next.

DEB_SUITES ?= bookworm trixie
DEB_TREE   := Makefile config src ngx_module conf-examples docs README.md \
              LICENSE CHANGES
DEB_FILES  := Makefile config README.md LICENSE CHANGES \
              $(SRC_C) $(SRC_H) $(GLUE) ngx_module/exports.map \
              $(wildcard src/ctl/*) \
              $(wildcard docs/* docs/*/* conf-examples/* conf-examples/*/*)

.PHONY: deb deb-test
deb:
	@$(call install_deps,$(DEPS_BUILD) $(DEPS_DEB))
	@$(MAKE) --no-print-directory $(B)/deb/built

$(B)/deb/built: $(DEB_FILES)
	@mkdir -p $(@D)/tree && cd $(@D)/tree && rm -rf $(DEB_TREE) debian ../*.*
	@cp -rp $(DEB_TREE) conf-examples/debian $(@D)/tree/
	@rm -f $(@D)/tree/debian/changelog.sh
	@sh conf-examples/debian/changelog.sh CHANGES >$(@D)/tree/debian/changelog
	$(call quietly,build a package in deb/,cd $(@D)/tree \
	    && MAKEFLAGS= dpkg-buildpackage -b -us -uc -j$(JOBS))
	@touch $@; ls $(@D)/*.deb

deb-test: deps
	@$(call install_deps,$(DEPS_ROOTS))
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@DEB_SUITES='$(DEB_SUITES)' BUILD=$(B) $(PYTHON) -m pytest $(PYTEST_ARGS) \
	    t/py/test_deb.py t/py/test_container.py

# --- the core by itself: unit tests, fuzzing, micro-measurements ------------

CORE_CFLAGS := -std=gnu11 -g -Wall -Wextra -Wpointer-arith \
               -Wno-unused-parameter -Werror -fno-omit-frame-pointer -Isrc
CORE_LIBS   := -lxxhash -lcrypto -luring -lpthread -lm
SANITIZERS  := address,undefined -fno-sanitize-recover=all

UNIT_CC     := $(CC) -O1 -fsanitize=$(SANITIZERS)
FUZZ_CC     := $(CLANG) -O1 -fsanitize=$(SANITIZERS)
MICRO_CC    := $(CC) -O2 -fPIC

# $(call core,name,compiler variable,flags): src/ as an archive, and the
# objects of the programs that use it
define core
$(B)/$(1)/%.o: %.c $(B)/$(1)/flags
	@mkdir -p $$(@D)
	@$$($(2)) $(3) $(CORE_CFLAGS) -MMD -MP -c -o $$@ $$<

$(B)/$(1)/flags: FORCE
	@mkdir -p $$(@D); echo '$$($(2)) $(3) $(CORE_CFLAGS)' \
	    $$(call if_changed,$$@)

$(B)/$(1)/libs3c.a: $(SRC_C:%.c=$(B)/$(1)/%.o) $(B)/sources
	@rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)

-include $(wildcard $(B)/$(1)/*/*/*.d $(B)/$(1)/*/*/*/*.d)
endef

$(eval $(call core,unit,UNIT_CC))
$(eval $(call core,fuzz,FUZZ_CC,-fsanitize=fuzzer-no-link))
$(eval $(call core,opt,MICRO_CC))

# s3cachectl: a program beside the module, of its own files and what it uses of
# the core's first rooms. Its tests run it as it is built for unit tests.

CTL_LIBS   := -lcurl -ljansson -lcrypto -lxxhash -lpthread -lm
CTL_PARTS  := $(filter-out src/ctl/main.c,$(CTL_C))
CTL_CORE_C := $(wildcard src/base/*.c src/http/*.c src/s3/*.c src/auth/*.c) \
              src/stats/stats_hist.c
CTL_CFLAGS ?= -O2 -g -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
CTL_LDFLAGS ?= -pie -Wl,-z,relro -Wl,-z,now
CTL_CC     := $(CC) $(CTL_CFLAGS)
CTL_ASAN   := $(B)/unit/s3cachectl

$(B)/ctl/%.o: %.c $(B)/ctl/flags
	@mkdir -p $(@D)
	@$(CTL_CC) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/ctl/flags: FORCE
	@mkdir -p $(@D); \
	echo '$(CTL_CC) $(CORE_CFLAGS) $(CTL_CORE_C)' $(call if_changed,$@)

-include $(wildcard $(B)/ctl/*/*/*.d)

$(B)/ctl/libs3c.a: $(CTL_CORE_C:%.c=$(B)/ctl/%.o)
	@rm -f $@ && ar rcs $@ $^

$(B)/s3cachectl: $(CTL_C:%.c=$(B)/ctl/%.o) $(B)/ctl/libs3c.a
	@$(CTL_CC) $(CTL_LDFLAGS) -o $@.new $^ $(CTL_LIBS) && mv $@.new $@

$(CTL_ASAN): $(CTL_C:%.c=$(B)/unit/%.o) $(B)/unit/libs3c.a
	@$(UNIT_CC) -o $@ $^ $(CTL_LIBS) $(CORE_LIBS)

UNIT_BIN  := $(UNIT_C:%.c=$(B)/unit/%)
FUZZ_BIN  := $(FUZZ_C:%.c=$(B)/fuzz/%)
MICRO_BIN := $(MICRO_C:%.c=$(B)/opt/%)

.SECONDARY:
$(UNIT_BIN): %: %.o $(B)/unit/libs3c.a
	@$(UNIT_CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(CORE_LIBS)

# What the tests of a room share: its other .c files go into each of them.
$(foreach t,$(UNIT_BIN),$(eval \
    $(t): $(filter $(dir $(t))%,$(UNIT_SHARED_C:%.c=$(B)/unit/%.o))))

CTL_UNIT := $(filter $(B)/unit/t/unit/ctl/%,$(UNIT_BIN))
CTL_FUZZ := $(filter $(B)/fuzz/t/fuzz/ctl%,$(FUZZ_BIN))
$(CTL_UNIT): $(CTL_PARTS:%.c=$(B)/unit/%.o)
$(CTL_FUZZ): $(CTL_PARTS:%.c=$(B)/fuzz/%.o)
$(CTL_UNIT) $(CTL_FUZZ): CORE_LIBS += -lcurl -ljansson

$(FUZZ_BIN): %: %.o $(B)/fuzz/libs3c.a
	@$(FUZZ_CC) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(CORE_LIBS)

$(MICRO_BIN): %: %.o $(B)/opt/libs3c.a
	@$(MICRO_CC) -o $@ $^ $(CORE_LIBS)

$(B)/opt/$(SIM): %: %.o $(B)/opt/libs3c.a
	@$(MICRO_CC) -o $@ $^ $(CORE_LIBS) -lm

.PHONY: unit fuzz fuzz-smoke micro replay
replay: $(B)/opt/$(SIM)
	@$<
unit: $(UNIT_BIN)
	@t/lib/run_each.sh 'unit tests' $(JOBS) $(B)/unit $(UNIT_BIN)

fuzz: $(FUZZ_BIN)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) \
	    t/lib/run_each.sh 'fuzz targets' $(JOBS) $(B)/fuzz $(FUZZ_BIN)

fuzz-smoke: FUZZ_SECONDS := 3
fuzz-smoke: fuzz

micro: $(MICRO_BIN)

# --- through nginx ----------------------------------------------------------
#
# t/lib/nginx.py takes NGINX_BIN and MODULE_SO from the environment.

XDIST = $(shell $(PYTHON) -c 'import xdist' 2>/dev/null \
            && printf '%s' '-n $(JOBS) --dist loadgroup')
run_pytest = BUILD=$(B) $(PYTHON) -m pytest -p no:cacheprovider $(XDIST) \
                 $(PYTEST_ARGS) t/py

.PHONY: pytest test-asan test
ifeq ($(FLAVOUR),module)
pytest: build $(CTL_ASAN)
	@MODULE_SO=$${MODULE_SO:-} NGINX_BIN=$${NGINX_BIN:-} $(run_pytest)
else
pytest: build nginx $(CTL_ASAN)
	@MODULE_SO=$(MODULE_SO) NGINX_BIN=$(B)/$(FLAVOUR)/nginx $(run_pytest)
endif

test-asan: build asan $(CTL_ASAN)
	@MODULE_SO=$(B)/$(FLAVOUR_ASAN)/$(MODULE_NAME).so \
	 NGINX_BIN=$(B)/$(FLAVOUR_ASAN)/nginx $(run_pytest)

test:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(JOBS) build $(UNIT_BIN) $(FUZZ_BIN) \
	    $(CTL_ASAN)
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory fuzz-smoke
	@$(MAKE) --no-print-directory pytest

.PHONY: demo bench clean
demo:
	@$(call install_deps,$(if $(ORIGIN),$(DEPS_BUILD) python3-boto3,$(DEPS)))
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@BUILD=$(B) ORIGIN='$(ORIGIN)' ACCESS_KEY='$(ACCESS_KEY)' \
	 SECRET_KEY='$(SECRET_KEY)' REGION='$(REGION)' BUCKET='$(BUCKET)' \
	     $(PYTHON) t/demo.py

bench: deps-bench
	@$(MAKE) --no-print-directory -j$(JOBS) build micro
	@if [ -f bench/run.sh ]; then BUILD=$(B) bash bench/run.sh; \
	 else BUILD=$(B) $(PYTHON) bench/run.py; fi

clean:
	rm -rf $(B)
