#!/usr/bin/env bash
# Hosts of a cluster as network namespaces of this machine (root alone may make them), each behind a link of limited rate.
#
#   tests/hosts.sh up N RATE       N hosts, joined by a switch, each link held to RATE both ways, as 1gbit
#   tests/hosts.sh run N COMMAND   mpiexec with a process in each host, over TCP; the command must be a program and its words
#   tests/hosts.sh bytes           what each host has sent
#   tests/hosts.sh down            removes them
set -euo pipefail

switch=tiny-switch
host() { echo "tiny-host$1"; }

up() {
  ip netns add "$switch"
  ip netns exec "$switch" ip link add bridge type bridge
  ip netns exec "$switch" ip link set bridge up
  for i in $(seq 0 $(($1 - 1))); do
    ip netns add "$(host "$i")"
    ip link add "link$i" netns "$(host "$i")" type veth peer name "port$i" netns "$switch"
    ip netns exec "$switch" ip link set "port$i" master bridge
    ip netns exec "$switch" ip link set "port$i" up
    ip netns exec "$(host "$i")" ip link set lo up
    ip netns exec "$(host "$i")" ip addr add "10.77.0.$((i + 1))/24" dev "link$i"
    ip netns exec "$(host "$i")" ip link set "link$i" up
    ip netns exec "$(host "$i")" tc qdisc add dev "link$i" root tbf rate "$2" burst 256k latency 100ms
    ip netns exec "$switch" tc qdisc add dev "port$i" root tbf rate "$2" burst 256k latency 100ms
  done
}

run() {
  local count=$1 words=()
  shift
  for i in $(seq 0 $((count - 1))); do
    [ "$i" = 0 ] || words+=(:)
    words+=(-n 1 ip netns exec "$(host "$i")" "$@")
  done
  # Neighbours would use common memory, and not the link.
  MPIR_CVAR_NOLOCAL=1 UCX_TLS=tcp,self FI_PROVIDER=tcp mpiexec "${words[@]}"
}

bytes() {
  for name in $(ip netns list | awk '/^tiny-host/ { print $1 }' | sort); do
    echo "$name sent $(ip netns exec "$name" cat "/sys/class/net/link${name#tiny-host}/statistics/tx_bytes")"
  done
}

down() {
  for name in $(ip netns list | awk '/^tiny-/ { print $1 }'); do ip netns del "$name"; done
}

"$@"
