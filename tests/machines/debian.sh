#!/usr/bin/env bash
# The README's first command on a bare Debian, as an ordinary user with a blank in the path:
#     tests/machines/debian.sh bookworm|trixie|testing [TARGET=book] [make's variables …]
# Root and debootstrap are needed; the machine's own mirror and pip's settings are taken over. The
# system stays in .build/, which git ignores, for the next run and for a look.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=$1
target=${2:-book}
settings=("${@:3}")
root=$PWD/.build/machine-$suite
mirror=$(grep -rhoE 'https?://[^ ]+/debian' /etc/apt/sources.list* | head -n 1)

if [ ! -x "$root/usr/bin/make" ]; then
    debootstrap --variant=minbase --include=ca-certificates,git,make,python3 "$suite" "$root" "$mirror"
fi
# Whatever this machine's pip needs to reach an index.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/pip.conf "$root/etc/" 2>/dev/null || true
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
chroot "$root" id reader >/dev/null 2>&1 || chroot "$root" useradd --create-home reader
rm -rf "$root/home/reader/the course"
git clone --quiet . "$root/home/reader/the course"
chroot "$root" chown -R reader "/home/reader/the course"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT

inside() {
    chroot "$root" su - reader -c "export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt; cd '/home/reader/the course' && $*"
}
inside cat /etc/os-release | head -n 1
inside python3 --version
if ! inside "python3 -c 'import ensurepip'" 2>/dev/null; then
    inside "make $target" || true  # which says the line to type
    chroot "$root" apt-get install -y -qq --no-install-recommends python3-venv
fi
if inside "make $target ${settings[*]}"; then
    inside "make $target ${settings[*]}" | tail -n 5  # with nothing to do
    echo "in $root/home/reader/the course: $(du -sh "$root/home/reader/the course/.venv" | cut -f 1) of .venv"
else
    echo "make $target ended with $? in $root"
    exit 1
fi
