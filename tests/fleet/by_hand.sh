#!/usr/bin/env bash
# A fleet that knows nothing of nicburn's own lab: namespaces, links and faults made by hand,
# coordinator and workers started by hand, control in-band.
#
# Run under `unshare -Urnm --kill-child` (as root or not): everything ends with this process.
#   BIN   folder of the two binaries      OUT    folder for results, logs and spools
#   HOSTS number of hosts                 RATE   of each link, tc notation
#   SCENARIO path                         EARLY  shell text run before the coordinator starts
#   LATE  shell text run once the stage named by STAGE has begun (default: storm)
#   LINGER tenths of a second that workers have to end by themselves (default: 45 s)
set -u
PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs none /run
mkdir -p /run/netns

sw() { ip netns exec sw "$@"; }
link() { # name of the namespace, number of the port, address, rate or -
  ip netns add "$1"
  ip -n sw link add "p$2" type veth peer name eth0 netns "$1"
  ip -n sw link set "p$2" master br0 up
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 gso_max_segs 1
  ip -n "$1" addr add "$3/16" dev eth0
  ip -n "$1" link set eth0 up
  if [ "$4" != - ]; then
    tc -n sw qdisc add dev "p$2" root tbf rate "$4" burst 16k limit 512k
    tc -n "$1" qdisc add dev eth0 root tbf rate "$4" burst 16k limit 512k
  fi
}
# The fault of a stranger's table: port $1 goes silent both ways for $3 once $2 is exceeded.
dies_above() {
  sw nft -f - <<NFT
table netdev sick$1 {
  set dead { typeof meta mark; flags dynamic,timeout; size 4; }
  chain tx { type filter hook ingress device p$1 priority 0; policy accept;
    meta mark @dead drop
    limit rate over $2 add @dead { meta mark timeout $3 } drop
  }
  chain rx { type filter hook egress device p$1 priority 0; policy accept;
    meta mark @dead drop
    limit rate over $2 add @dead { meta mark timeout $3 } drop
  }
}
NFT
}
dead() { # port $1, both ways, from now on
  sw nft -f - <<NFT
table netdev dead$1 {
  chain tx { type filter hook ingress device p$1 priority 0; policy drop;
  }
  chain rx { type filter hook egress device p$1 priority 0; policy drop;
  }
}
NFT
}
sent() { # bytes that host $1 has sent, by the switch's own count
  ip -n sw -s -j link show "p$1" | grep -o '"rx":{"bytes":[0-9]*' | grep -o '[0-9]*$'
}
worker() { cat "$OUT/h$1.pid"; }
stage_begun() { # waits until the record tells of stage $1, at most 60 s
  for _ in $(seq 600); do
    grep -qs "\"name\":\"$1\",\"kind\":\"load\"" "$OUT"/*/record.jsonl && return 0
    sleep 0.1
  done
  return 1
}

ip netns add sw
ip -n sw link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
ip -n sw link set br0 up
link c 99 10.77.255.254 -
for k in $(seq "$HOSTS"); do link "h$k" "$k" "10.77.0.$k" "$RATE"; done
eval "${EARLY:-}"

ip netns exec c "$BIN/nicburn" run "$SCENARIO" --listen 10.77.255.254:7440 --join-file "$OUT/join.json" \
  --expect-workers "$HOSTS" --wait 30s --out "$OUT" --seed 5 >"$OUT/stdout" 2>"$OUT/stderr" &
coordinator=$!
echo $coordinator >"$OUT/coordinator.pid"
for k in $(seq "$HOSTS"); do
  ip netns exec "h$k" "$BIN/nicburn-worker" --join "$OUT/join.json" --wait-join 30s --name "h$k" \
    --threads 1 --spool "$OUT/spool" >"$OUT/h$k.log" 2>&1 &
  echo $! >"$OUT/h$k.pid"
done
if [ -n "${LATE:-}" ]; then
  { stage_begun "${STAGE:-storm}" && eval "$LATE"; } >"$OUT/late.log" 2>&1
fi
wait $coordinator
echo $? >"$OUT/exit"
# Workers end by themselves; whoever does not in time is told, and ends with this process.
for _ in $(seq "${LINGER:-450}"); do
  [ -z "$(jobs -rp)" ] && break
  sleep 0.1
done
jobs -rp >"$OUT/left"
