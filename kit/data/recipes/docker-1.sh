#!/usr/bin/env bash
# @{title}
# @{image}: @{image_about}
# Inside, the server listens on all addresses; outside it is published on @{publish} only.
@{reach}

@{command}
