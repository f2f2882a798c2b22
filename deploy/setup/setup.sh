#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Everything that a fresh Debian 12 machine needs before `make demo` and `make test`: packages, hugepages if it may, two
# virtual environments, the build. Runs again in seconds when there is nothing to do.
#
# Settings (environment): SKIP_PACKAGES=1 leaves apt alone; HUGEPAGES=N asks for N pages of 2 MiB (0: none; default 1024, or
# an eighth of the free memory if that is less); PYTHON=… another Python 3.11.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/setup
python=${PYTHON:-/usr/bin/python3}

say() { printf 'setup: %s\n' "$*"; }
fail() {
	printf 'setup: %s\n' "$@" >&2
	exit 1
}

listed() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"; }

missing_packages() {
	local package
	for package in $(listed "$1"); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
	done
}

check_platform() {
	[ "$(uname -s)" = Linux ] || fail "Shoal runs on Linux; this is $(uname -s)."
	[ "${SKIP_PACKAGES:-}" = 1 ] && return
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		fail "this setup installs its packages with apt, as on Debian 12, and finds no apt here." \
			"Install what $here/packages.txt names by your system's means, then: make setup SKIP_PACKAGES=1"
	fi
	local system
	system=$(. /etc/os-release && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
	[ "$system" = "debian 12" ] || say "this is $system, not debian 12: going on, but package names and versions may differ"
}

install_packages() {
	[ "${SKIP_PACKAGES:-}" = 1 ] && return
	local required optional
	required=$(missing_packages $here/packages.txt)
	optional=$(missing_packages $here/packages-optional.txt)
	[ -n "$required$optional" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		[ -z "$required" ] || fail "these Debian packages are missing: $required" \
			"and only root may install them. As root: apt-get install $required   (or: sudo make setup)"
		say "not root: going on without $optional"
		return 0
	fi
	export DEBIAN_FRONTEND=noninteractive
	say "installing ${required}${optional}"
	apt-get -q update >/dev/null || say "apt-get update failed: going on with the package lists that are there"
	[ -z "$required" ] || apt-get -q -y --no-install-recommends install $required >/dev/null ||
		fail "apt-get could not install $required (see above)"
	[ -z "$optional" ] || apt-get -q -y --no-install-recommends install $optional >/dev/null ||
		say "apt-get could not install $optional: going on without"
}

# Never fatal: without hugepages Shoal is slower, not different.
reserve_hugepages() {
	local count=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages wanted available now
	[ -r $count ] || { say "no hugepages in this kernel: going on without (slower)"; return 0; }
	available=$(awk '/^MemAvailable/ { print int($2 / 2048 / 8) }' /proc/meminfo)
	wanted=${HUGEPAGES:-$((available < 1024 ? available : 1024))}
	now=$(cat $count)
	if [ "$now" -lt "$wanted" ]; then
		{ echo "$wanted" >$count; } 2>/dev/null || true
		now=$(cat $count)
		[ "$now" -ge "$wanted" ] || say "$now hugepages of the $wanted wanted (not permitted, or memory in pieces): going on (slower)"
	fi
	[ "$now" -gt 0 ] || return 0
	if ! grep -q ' hugetlbfs ' /proc/mounts; then
		mkdir -p /dev/hugepages 2>/dev/null && mount -t hugetlbfs none /dev/hugepages 2>/dev/null ||
			say "hugetlbfs is not mounted and may not be: going on without hugepages (slower)"
	fi
}

# fresh STAMP INPUT…: whether the stamp holds the digest of the inputs; else leaves the digest in $digest.
fresh() {
	local stamp=$1
	shift
	digest=$({ "$python" --version; cat "$@"; } 2>/dev/null | sha256sum)
	[ "$(cat "$stamp" 2>/dev/null)" = "$digest" ]
}

make_environment() { # FOLDER REQUIREMENT…
	local folder=$1
	shift
	fresh "$folder/.requirements" <(printf '%s\n' "$@") && return
	say "making $folder"
	[ -x "$folder/bin/python" ] || "$python" -m venv "$folder" || fail "$python -m venv failed; is python3-venv installed?"
	"$folder/bin/pip" install -q --disable-pip-version-check "$@" || fail "pip could not install: $*"
	printf '%s\n' "$digest" >"$folder/.requirements"
}

# What builds the package: the build runs in .venv itself, so that it can be continued where the last one ended.
build_requirements() {
	"$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
}

# All that the installed package is made of.
product_files() {
	find meson.build meson_options.txt pyproject.toml LICENSE README.md dataplane_c nfs bench bindings pycontrol \
		tests/meson.build -type f ! -path '*/__pycache__/*' ! -name '*_test.c' -print0 | sort -z
}

install_shoal() {
	local files
	mapfile -d '' files < <(product_files)
	fresh .venv/.shoal "${files[@]}" && return
	say "building and installing shoal into .venv"
	.venv/bin/pip install -q --disable-pip-version-check --no-build-isolation --config-settings=build-dir=build-python '.[test,lint]' ||
		fail "the build failed (see above)"
	printf '%s\n' "$digest" >.venv/.shoal
}

check_platform
install_packages
[ "${HUGEPAGES:-}" = 0 ] || reserve_hugepages
mapfile -t requirements < <(build_requirements)
make_environment .venv "${requirements[@]}"
mapfile -t requirements < <(listed $here/requirements-trex.txt)
make_environment .venv-trex "${requirements[@]}"
install_shoal
say "ready: .venv/bin/shoal --help"
