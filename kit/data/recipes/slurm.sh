#!/usr/bin/env bash
# @{title}
# sbatch FILE; HTTP answers on the job's first node: ssh -N -L @{port}:localhost:@{port} -J LOGIN_NODE FIRST_NODE
#SBATCH --job-name=@{name}
#SBATCH --nodes=@{nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:@{gpus_per_node}
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --output=@{name}-%j.log
set -euo pipefail

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${hosts[0]}
NODE0_IP=$(srun --nodes=1 --ntasks=1 -w "$first" hostname --ip-address | awk '{print $1}')
export NODE0_IP
echo "HTTP will answer on $first:@{port}"

# shellcheck disable=SC2016  # each task fills in its own rank
srun --label bash -c '
export NODE_RANK=$SLURM_NODEID
exec @{command}
'
