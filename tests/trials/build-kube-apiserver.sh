#!/bin/bash
# Builds kube-apiserver 1.20 from Debian 12's source package, and takes etcd from Debian's binary one, into a directory:
#
#     apt-get install -y --no-install-recommends golang-1.19-go
#     tests/trials/build-kube-apiserver.sh DIR
#     python -m tests.trials.kubernetes --binaries DIR
#
# Debian builds no package of the server, but its source is whole. It took twelve minutes on two busy cores.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
go=/usr/lib/go-1.19/bin/go
command -v "$go" >/dev/null || { echo "golang-1.19-go is not installed" >&2; exit 1; }
cd "$dir"

mkdir -p apt/lists/partial apt/parts
echo 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main' >apt/sources
apt=(-o "Dir::Etc::sourcelist=$dir/apt/sources" -o "Dir::Etc::sourceparts=$dir/apt/parts" -o "Dir::State::lists=$dir/apt/lists"
     -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
apt-get "${apt[@]}" update -qq
apt-get "${apt[@]}" source -qq --download-only kubernetes
apt-get download -qq etcd-server
dpkg -x etcd-server_*.deb etcd-package
cp etcd-package/usr/bin/etcd etcd

# Its vendor directory wants the old GOPATH layout.
tree=$dir/gopath/src/k8s.io/kubernetes
mkdir -p "$tree"
tar -xzf kubernetes_*.orig.tar.gz -C "$tree" --strip-components=1
export GO111MODULE=off GOPATH="$dir/gopath" GOCACHE="$dir/gocache" GOFLAGS='' GOPROXY=off CGO_ENABLED=0
cd "$tree"
# The one generated file that the source package lacks.
"$go" build -o "$dir/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
inputs=$(grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd staging/src | grep -v -e code-generator -e sample-apiserver |
    xargs -n1 dirname | sort -u |
    sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^\(pkg\|cmd\)/#k8s.io/kubernetes/\1/#' | paste -sd,)
PATH="$(dirname "$go"):$PATH" "$dir/openapi-gen" --logtostderr -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$dir/violations"
version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
"$go" build -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20" \
    -o "$dir/kube-apiserver" ./cmd/kube-apiserver
"$dir/kube-apiserver" --version
