#!/usr/bin/env bash
# @{title}
# @{image}: @{image_about}
# On all @{nodes} machines, as the shell form; the container takes the machine's own network.
@{reach}
: "${NODE_RANK:?0 on the first machine, 1 on the second}"
: "${NODE0_IP:?address of the first machine}"

@{command}
