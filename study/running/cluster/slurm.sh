#!/usr/bin/env bash
# A study on Slurm: a Ray node on each node of the job, and `retune run` beside the first. Edit what is marked, then:
#
#     sbatch slurm.sh STUDY.yaml --dir /shared/runs/NAME
#
# The study's folder and its data have to be on a file system that all nodes share. Before its time is over the job ends
# gently and is queued again; the same command goes on.

#SBATCH --job-name=retune
#SBATCH --nodes=4                # EDIT
#SBATCH --gpus-per-node=4        # EDIT; remove it where there are none
#SBATCH --cpus-per-task=32       # EDIT: all of a node
#SBATCH --mem=0                  # all of a node
#SBATCH --time=24:00:00          # EDIT
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=retune-%j.log

set -euo pipefail

source "$HOME/retune/.venv/bin/activate"                 # EDIT: an environment that all nodes see
export RETUNE_CACHE="${RETUNE_CACHE:-/tmp/retune-$USER}" # EDIT: on a fast disk of each node

export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))') # of this job alone
export RAY_AUTH_TOKEN

on() { # NODE COMMAND..., in the background
    exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" --output="ray-$SLURM_JOB_ID-%N.log" "${@:2}"
}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))
own=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats --block)
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT # Ray ends with the job, however that ends

on "${nodes[0]}" ray start --head --node-ip-address="$head" --port="$port" --include-dashboard=false "${own[@]}" &
first=$!
until (: >"/dev/tcp/$head/$port") 2>/dev/null; do
    kill -0 "$first" # ends the job if Ray has ended: its log says why
    sleep 1
done
for node in "${nodes[@]:1}"; do
    on "$node" ray start --address="$head:$port" "${own[@]}" &
done

retune run "$@" --address "$head:$port" & # nodes that are late join while it runs
driver=$!
trap 'kill -TERM "$driver"' TERM
status=0
while kill -0 "$driver" 2>/dev/null; do # TERM interrupts a wait, and the driver needs a moment
    wait "$driver" && status=0 || status=$?
done
if [[ $status -eq 130 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
