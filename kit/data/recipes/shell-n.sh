#!/usr/bin/env bash
# @{title}
# The same file on all @{nodes} machines:  NODE_RANK=0 NODE0_IP=10.0.0.1 bash FILE   and with NODE_RANK=1 on the second.
# NODE0_IP is the first machine's own address on the network between them. HTTP answers on the first.
# In an environment of its own:  uv pip install "sglang==@{sglang}"
@{reach}
: "${NODE_RANK:?0 on the first machine, 1 on the second}"
: "${NODE0_IP:?address of the first machine}"
# export NCCL_SOCKET_IFNAME=eth0 GLOO_SOCKET_IFNAME=eth0   # the interface between the machines
# export NCCL_DEBUG=INFO                                   # when they do not find each other

@{command}
