#!/usr/bin/env bash
# The demo on a cluster in Docker: tools/docker-cluster.sh kind|minikube [NAME]
#
# Makes the cluster NAME (accord, unless given) where there is none, gives it volumes with snapshots, builds Accord's
# three images, loads them, and runs `make demo` on it. Can be repeated; nothing but that cluster and the images is
# changed, and the current context of your kubectl stays what it was. Runs with the bash of macOS, too.
set -euo pipefail
cd "$(dirname "$0")/.."

snapshotter=v8.2.0 # kubernetes-csi/external-snapshotter
hostpath=v1.17.0   # kubernetes-csi/csi-driver-host-path
prefix=localhost   # of the images: never pulled, as they are in the nodes already

fail() {
  echo "docker-cluster: $*" >&2
  exit 1
}
run() {
  echo "+ $*"
  "$@"
}

tool=${1:-}
name=${2:-accord}
case $tool in
kind | minikube) ;;
*) fail "usage: tools/docker-cluster.sh kind|minikube [NAME]" ;;
esac
for program in docker "$tool" kubectl helm git make python3; do
  command -v "$program" >/dev/null || fail "$program is not installed"
done
docker info >/dev/null 2>&1 || fail "Docker is not running, or you may not use it: docker info says why"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 must be Python 3.11 or newer"

mkdir -p build
kubeconfig=$PWD/build/$tool-$name.kubeconfig
# The tools write a context into the kubeconfig that this names, and into no other.
export KUBECONFIG=$kubeconfig

if [ "$tool" = kind ]; then
  if kind get clusters 2>/dev/null | grep -qx "$name"; then
    run kind export kubeconfig --name "$name" --kubeconfig "$kubeconfig"
  else
    run kind create cluster --name "$name" --kubeconfig "$kubeconfig" --wait 5m
  fi
else
  # Starts one that is stopped, and mends one that runs.
  run minikube start --profile "$name" --driver docker --cpus 4 --memory 6g
fi

# Volumes that can be snapshotted: each checkpoint becomes a VolumeSnapshot, and a claim of it is what is served.
if [ "$tool" = kind ]; then
  for part in client/config/crd deploy/kubernetes/snapshot-controller; do
    run kubectl apply --kustomize "https://github.com/kubernetes-csi/external-snapshotter/$part?ref=$snapshotter"
  done
  driver=build/csi-driver-host-path-$hostpath
  [ -d "$driver" ] || run git clone --quiet --depth 1 --branch "$hostpath" \
    https://github.com/kubernetes-csi/csi-driver-host-path "$driver"
  run "$driver/deploy/kubernetes-latest/deploy.sh"
  run kubectl apply --filename "$driver/examples/csi-storageclass.yaml"
else
  run minikube addons enable volumesnapshots --profile "$name"
  run minikube addons enable csi-hostpath-driver --profile "$name"
fi
# These two are the default from now on, instead of what the cluster came with, which cannot take snapshots.
run kubectl annotate storageclass standard storageclass.kubernetes.io/is-default-class=false --overwrite
run kubectl annotate storageclass csi-hostpath-sc storageclass.kubernetes.io/is-default-class=true --overwrite
run kubectl annotate volumesnapshotclass csi-hostpath-snapclass snapshot.storage.kubernetes.io/is-default-class=true \
  --overwrite

run docker build --tag $prefix/accord-operator:dev .
run docker build --tag $prefix/accord-example:dev --file examples/service/Dockerfile .
run docker build --tag $prefix/accord-trainer:dev --file trainer/Dockerfile .
for image in operator example trainer; do
  if [ "$tool" = kind ]; then
    run kind load docker-image "$prefix/accord-$image:dev" --name "$name"
  else
    run minikube image load "$prefix/accord-$image:dev" --profile "$name"
  fi
done

cat <<END

Accord is developed on machines without Docker. There its images are built by another builder from the same
Dockerfiles, and the demo runs on another cluster. What this script runs of kind, minikube, the CSI driver and Docker
itself is therefore not tested: if a step above or below fails for a reason of theirs, that is where to look.

END
export ACCORD_IMAGE_PREFIX=$prefix
run make demo KUBECONFIG="$kubeconfig"
echo
echo "The cluster keeps running. Use it with: export KUBECONFIG=$kubeconfig"
if [ "$tool" = kind ]; then
  echo "Remove it with: kind delete cluster --name $name"
else
  echo "Remove it with: minikube delete --profile $name"
fi
