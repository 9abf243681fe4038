#!/bin/bash
# Builds the image without a registry and without a container engine: debootstrap makes the base
# from a Debian mirror, buildah builds the Dockerfile on it, and the new image is asked about a
# photograph. Needs root, buildah and debootstrap.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: docker/build-offline.sh [OPTION]...

  --mirror URL         Debian mirror for the base (debootstrap's own default when left out)
  --torch-index URL    wheel index for torch, as the build argument TORCH_INDEX_URL
  --wheels DIR         a folder of wheels, which pip looks into besides its index
  --no-index           pip looks into the folder of wheels alone
  --pip-config FILE    pip's configuration during the build (/etc/pip.conf when there is one)
  --ca-bundle FILE     certificates that pip trusts during the build (PIP_CERT when it is set)
  --tag NAME           the image's name (serfiq)
  --archive FILE       also write the image to FILE, for `docker load` on another machine
  --trial-port N       port on which the new image is tried (8000)
  --keep-base          keep the base image and do not make it anew when it is there
USAGE
}

suite=bookworm # of Debian; the Dockerfile's FROM names the same
mirror="" wheels="" pip_config="" ca_bundle="${PIP_CERT:-}" archive="" keep_base=""
tag=serfiq
trial_port=8000
build_options=()
if [ -e /etc/pip.conf ]; then pip_config=/etc/pip.conf; fi

while [ $# -gt 0 ]; do
    case "$1" in
        --mirror) mirror=$2; shift ;;
        --torch-index) build_options+=(--build-arg "TORCH_INDEX_URL=$2"); shift ;;
        --wheels) wheels=$(realpath "$2"); shift ;;
        --no-index) build_options+=(--build-arg PIP_NO_INDEX=1) ;;
        --pip-config) pip_config=$2; shift ;;
        --ca-bundle) ca_bundle=$2; shift ;;
        --tag) tag=$2; shift ;;
        --archive) archive=$2; shift ;;
        --trial-port) trial_port=$2; shift ;;
        --keep-base) keep_base=yes ;;
        --help) usage; exit ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
if [ -n "$wheels" ]; then
    build_options+=(--volume "$wheels:/mnt:ro" --build-arg PIP_FIND_LINKS=/mnt)
fi
if [ -n "$pip_config" ]; then build_options+=(--secret "id=pip_config,src=$pip_config"); fi
if [ -n "$ca_bundle" ]; then build_options+=(--secret "id=ca_bundle,src=$ca_bundle"); fi

cd "$(dirname "$0")/.."
base=$(sed -n 's/^FROM \([^ ]*\) AS python$/\1/p' Dockerfile)
# vfs and chroot ask nothing of the kernel that a plain container or a virtual machine may lack.
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --storage-driver vfs "$@"; }

containers=()
clean_up() {
    for container in "${containers[@]}"; do buildah rm "$container" >/dev/null || true; done
    if [ -z "$keep_base" ]; then buildah rmi "$base" >/dev/null 2>&1 || true; fi
}
trap clean_up EXIT

make_base() {
    local container root
    container=$(buildah from scratch)
    containers+=("$container")
    root=$(buildah mount "$container")
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
        "$suite" "$root" ${mirror:+"$mirror"}
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*
    buildah umount "$container" >/dev/null
    buildah commit --quiet --rm "$container" "docker.io/library/$base" >/dev/null
    containers=()
}

try_image() {
    local container
    container=$(buildah from --pull-never "$tag")
    containers+=("$container")
    buildah run --env "SERFIQ_PORT=$trial_port" "$container" -- python - < docker/trial.py
}

if [ -z "$keep_base" ] || ! buildah inspect --type image "$base" >/dev/null 2>&1; then make_base; fi
# HEALTHCHECK is a thing of Docker's image format; OCI's has no room for it.
buildah bud --pull-never --format docker "${build_options[@]}" --tag "$tag" .
try_image
if [ -n "$archive" ]; then buildah push "$tag" "docker-archive:$archive:$tag"; fi
