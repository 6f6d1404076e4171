#!/usr/bin/env bash
# Owns one run of the official Autobahn|Testsuite fuzzing client against a
# WebSocket echo server that is already listening: finds Python 2.7, keeps the
# environment the suite needs, runs it within a time limit, and has
# scripts/conformance/report.py judge the result.
#
# Exit codes: 0 all cases passed; 1 a case failed, was not run, or the suite
# could not be set up; 2 wrong arguments; 77 skipped, no Python 2.7 (the caller
# decides what that means, for instance that it is a failure in CI).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null && pwd)
readonly here
readonly requirements=$here/conformance/requirements.txt
readonly report=$here/conformance/report.py
# The last line of virtualenv that can make a 2.7 environment from one wheel
# without dependencies; it carries pip 20.3.4, the last pip for 2.7.
readonly virtualenv_pin=virtualenv==16.7.12
readonly cache=${DRAFTWIRE_CACHE:-$HOME/.cache/draftwire}
readonly venv=$cache/autobahn-venv
say() { printf 'conformance: %s\n' "$*"; }
die() { printf 'conformance: %s\n' "$2" >&2; exit "$1"; }

usage() {
  cat <<'USAGE'
usage: scripts/conformance.sh [--timeout SECONDS] [--out DIR] ws://HOST:PORT [SELECTOR...]

  SELECTOR           cases to run, quoted: '6.*' '7.7.*' 9.1.1 (default: all 517; 12.* and
                     13.*, compression, take most of the time)
  --timeout SECONDS  limit for the whole run (default: 3600)
  --out DIR          also copy the suite's HTML and JSON report there

  PYTHON27           the Python 2.7 to use (default: looked for in PATH and ~/.pyenv)
  DRAFTWIRE_CACHE    where the environment is kept (default: ~/.cache/draftwire)
USAGE
}

# Whether a command is a Python 2.7 that runs. It is really started, since a
# version manager's shim named python2.7 may exist and then refuse.
is_python27() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' >/dev/null 2>&1
}

# Prints the Python 2.7 to use; fails when there is none.
find_python27() {
  local candidate
  for candidate in python2.7 "$HOME"/.pyenv/versions/2.7*/bin/python2.7; do
    if is_python27 "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# What a finished environment was made from; another answer means: build anew.
stamp() {
  printf '%s\n%s\n' "$virtualenv_pin" "$1"
  cat "$requirements"
}

venv_is_complete() {
  # The stamp is written last, so an install that was cut short has none. The
  # import finds an environment whose Python has been removed since.
  [[ -f $venv/.complete ]] &&
    stamp "$1" | cmp -s - "$venv/.complete" &&
    "$venv/bin/python" -c 'import autobahntestsuite.wstest' >/dev/null 2>&1
}

build_venv() {
  local python27=$1 boot=$work/virtualenv log=$work/install.log installer
  say "installing the test suite into $venv (once, about a minute)"
  rm -rf "$venv"
  # The wheel serves both Pythons, so Python 3's pip will do where 2.7 has none.
  for installer in "$python27" python3; do
    if "$installer" -m pip install --quiet --no-deps --target "$boot" "$virtualenv_pin" >>"$log" 2>&1; then
      break
    fi
    rm -rf "$boot"
  done
  if ! {
    [[ -d $boot ]] &&
      PYTHONPATH=$boot "$python27" -m virtualenv --quiet "$venv" &&
      "$venv/bin/python" -m pip install --no-deps --requirement "$requirements" &&
      "$venv/bin/python" -m pip check &&
      "$venv/bin/python" -c 'import autobahntestsuite.wstest'
  } >>"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die 1 "the test suite could not be installed (it needs pip, a package index, and a C compiler for wsaccel); the end of the log is above"
  fi
  stamp "$python27" >"$venv/.complete"
}

limit='' out=''
while (($# > 0)); do
  case $1 in
    --timeout | --out)
      (($# >= 2)) || die 2 "$1 needs a value"
      if [[ $1 == --out ]]; then out=$2; else limit=$2; fi
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; die 2 "unknown option $1" ;;
    *) break ;;
  esac
  shift
done
(($# >= 1)) || { usage >&2; die 2 'no server address given'; }
readonly url=$1
shift
[[ $url =~ ^wss?://[^/]+ ]] || die 2 "not a WebSocket address: $url"
if (($# > 0)); then selectors=("$@"); else selectors=('*'); fi
: "${limit:=3600}"
[[ $limit =~ ^[1-9][0-9]*$ ]] || die 2 "not a number of seconds: $limit"
command -v python3 >/dev/null || die 1 'python3 is needed to judge the result'

if [[ -n ${PYTHON27:-} ]]; then
  # Somebody chose it: falling back to another, or skipping, would hide a typo.
  is_python27 "$PYTHON27" || die 2 "PYTHON27=$PYTHON27 is not a Python 2.7 that runs"
  python27=$PYTHON27
elif ! python27=$(find_python27); then
  die 77 "skipped because no Python 2.7 was found, which the Autobahn test suite needs: install one (for instance 'pyenv install 2.7.18') or set PYTHON27 to its path"
fi
# Its true path, not that of a shim, which may answer otherwise tomorrow.
python27=$("$python27" -c 'import sys; sys.stdout.write(sys.executable)')

# Settings of the caller's own Python must not leak into the environment.
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_PYTHON_VERSION_WARNING=1

work=$(mktemp -d)
keep_work=false
trap '$keep_work || rm -rf "$work"' EXIT

# Refuses a wrong selector before anything is installed.
python3 "$report" spec "$url" "$work/report" "${selectors[@]}" >"$work/spec.json"

mkdir -p "$cache"
# Two runs at once must not build the same environment over each other.
exec 9>"$cache/autobahn-venv.lock"
if command -v flock >/dev/null; then flock 9; fi
venv_is_complete "$python27" || build_venv "$python27"
exec 9>&-

say "running the fuzzing client against $url, cases ${selectors[*]} (at most $limit s)"
started=$SECONDS
status=0
# Not through bin/wstest: its first line breaks on a cache path that is long or
# has spaces. --foreground, so that Ctrl-C reaches the client.
(cd "$work" && exec timeout --foreground --kill-after=10 "$limit" \
  "$venv/bin/python" -u -c 'from autobahntestsuite.wstest import run; run()' \
  -m fuzzingclient -s "$work/spec.json") >"$work/wstest.log" 2>&1 </dev/null || status=$?
say "the fuzzing client ended after $((SECONDS - started)) s"

if ((status != 0)); then
  # The list of cases is one very long line, hence the cut.
  tail -n 15 "$work/wstest.log" | cut -c 1-200
  if ((status == 124 || status == 137)); then
    say "it was stopped at the limit of $limit s, in or after: $(grep '^Running test case' "$work/wstest.log" | tail -n 1)"
  else
    say "it failed with exit code $status"
  fi
fi
# The client ends well even when it could not connect, at first or later on.
grep '^Connection to .* failed' "$work/wstest.log" | sort -u || true

if [[ -n $out ]]; then
  mkdir -p "$out"
  cp "$work/wstest.log" "$out/"
  if [[ -d $work/report ]]; then cp -R "$work/report/." "$out/"; fi
fi

verdict=0
if ((status != 0)); then verdict=1; fi
if ! python3 "$report" report "$work/report" "${selectors[@]}" >"$work/summary.txt"; then verdict=1; fi
if ((verdict != 0)); then
  keep_work=true
  # Said before the summary, whose last line is the tally that callers read.
  say "full report and log are kept in $work"
fi
cat "$work/summary.txt"
exit "$verdict"
