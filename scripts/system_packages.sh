#!/usr/bin/env bash
# Installs what live network emulation needs of the operating system, where that is possible.
#
# It never fails: without these packages everything works but live evaluation, which then falls
# back to simulation. It says in one line what is missing and why.
set -uo pipefail

say() { printf 'setup: %s\n' "$*"; }
PATH=$PATH:/usr/sbin:/sbin

if [ "$(uname -s)" != Linux ]; then
    say "network emulation needs Linux; live evaluation falls back to simulation"
    exit 0
fi

missing=()
need() {  # need COMMAND PACKAGE
    command -v "$1" > /dev/null && return
    case " ${missing[*]-} " in *" $2 "*) ;; *) missing+=("$2") ;; esac
}
need ip iproute2              # network namespaces and links
need tc iproute2              # rate, delay, jitter and loss on a link
need ethtool ethtool          # segmentation offload off, so that packets are packets
need modprobe kmod            # whether this kernel has netem
need linux.uml user-mode-linux  # a kernel with netem, where the machine's own has none
need sysctl procps             # the congestion control of the emulated hosts
[ ${#missing[@]} -eq 0 ] && exit 0

skipped() {
    say "system packages not installed: ${missing[*]} ($1)."
    say "Training, simulation and the edge server work without them; live evaluation falls back to simulation."
    say "To have it: apt-get install ${missing[*]}"
    exit 0
}

command -v apt-get > /dev/null || skipped "there is no apt-get here"
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    as_root=(sudo -n)
else
    skipped "that needs root, or sudo without a password"
fi

say "installing system packages with apt-get: ${missing[*]} (SYSTEM_PACKAGES=no leaves them out)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM HUP
apt_get() {
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" < /dev/null > "$log" 2>&1
}
apt_get update || say "apt-get update failed; trying with the package lists at hand"
still_missing=()
for package in "${missing[@]}"; do  # one by one: not every architecture has every package
    apt_get install --no-install-recommends "$package" && continue
    still_missing+=("$package")
    tail -n 3 "$log" | sed 's/^/    /'
done
missing=(${still_missing[@]+"${still_missing[@]}"})
[ ${#missing[@]} -eq 0 ] || skipped "apt-get could not install them, see above"
